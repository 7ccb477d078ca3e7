"""`onefold backup` and `onefold restore`: ledger and lake to another place and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from onefold.terminal import err, out, print_json
from onefold_storage.errors import BadInput

if TYPE_CHECKING:
    from onefold_storage.installation import Installation

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Url = Annotated[str | None, typer.Argument(help="A folder or s3://bucket/prefix; else ONEFOLD_BACKUP_URL.")]


def backup(
    url: Url = None,
    keep: Annotated[int, typer.Option(min=0, help="Keep so many of the newest; 0 keeps all.")] = 0,
    with_secret: Annotated[
        bool, typer.Option(help="Take the secret of the keyed hashes along; without it, keep it elsewhere.")
    ] = True,
    listed: Annotated[bool, typer.Option("--list", help="Only list the backups that are there.")] = False,
    json: Json = False,
) -> None:
    """Copy ledger, lake, workspace and models as of one moment; what an earlier backup holds is not copied again."""
    from onefold_storage.backup import back_up, store_at
    from onefold_storage.installation import Installation
    from onefold_storage.settings import StorageSettings

    settings = StorageSettings()
    store = store_at(settings, _place(url, settings.backup_url))
    if listed:
        ids = store.ids()
        print_json({"backups": ids}) if json else out.print("\n".join(ids) or "no backup yet")
        return
    with _shown("the backup waits for the flows") as step:
        done = back_up(Installation(settings), store, with_secret=with_secret, keep=keep, on_step=step)
    if json:
        print_json(asdict(done))
        return
    out.print(f"{done.id}: {done.objects:,} objects and {done.ledger_rows:,} ledger rows, {_mib(done.size)}")
    out.print(f"  {done.copied:,} objects copied ({_mib(done.copied_size)}), the others were there")
    if done.pruned:
        out.print(f"  removed: {', '.join(done.pruned)}")
    out.print(
        "  it holds personal data" + (" and the secret" if with_secret else "") + ": guard its place as the lake"
    )


def restore(
    url: Url = None,
    backup_id: Annotated[str | None, typer.Option("--backup", help="Which one; the newest when left out.")] = None,
    law: Annotated[
        str | None, typer.Option(help="A lake that survived: its wishes and erasures are newer than the backup.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is in the lake and the ledger.")] = False,
    from_lake: Annotated[
        bool, typer.Option("--ledger-from-lake", help="Only rebuild a lost ledger, from what the lake knows.")
    ] = False,
    json: Json = False,
) -> None:
    """Bring a backup back into an empty installation; who was erased since is erased again."""
    from onefold_storage.backup import store_at
    from onefold_storage.installation import Installation
    from onefold_storage.objects import Objects
    from onefold_storage.restoring import ledger_from_lake
    from onefold_storage.restoring import restore as bring_back
    from onefold_storage.settings import StorageSettings

    settings = StorageSettings()
    if from_lake:
        if url or backup_id or law or force:
            raise BadInput("--ledger-from-lake goes alone: it restores no backup")
        installation = Installation(settings)
        added = ledger_from_lake(installation)
        if json:
            print_json(added)
        else:
            out.print(", ".join(f"{rows:,} {kind}" for kind, rows in added.items()) + " added to the ledger")
            if not _has_key(installation):
                out.print("no API key is left: make new ones with onefold key create")
        return
    store = store_at(settings, _place(url, settings.backup_url))
    survived = law.rstrip("/").removeprefix("file://") if law else None
    place = Objects(survived, settings.options_for(survived)) if survived else None
    with _shown("the restore begins") as step:
        done = bring_back(Installation(settings), store, backup=backup_id, force=force, law=place, on_step=step)
    if json:
        print_json(asdict(done))
        return
    out.print(f"{done.id}: {done.objects:,} objects and {done.ledger_rows:,} ledger rows, {_mib(done.size)}")
    newer = ", ".join(f"{rows:,} {kind}" for kind, rows in done.newer.items() if rows)
    out.print(f"  newer than the backup: {newer or 'no wish and no erasure that is known'}")
    if done.erased or done.swept:
        out.print(f"  erased again: {done.erased:,} customers, and {done.swept:,} further rows; publish anew")


def _has_key(installation: Installation) -> bool:
    """Whether a key still opens something."""
    now = installation.clock.now()
    with installation.ledger as ledger:
        return any(
            k.revoked_at is None and (k.expires_at is None or k.expires_at > now) for k in ledger.keys.list()
        )


def _place(url: str | None, setting: str | None) -> str:
    found = url or setting
    if not found:
        raise BadInput("where? Name a folder or s3://bucket/prefix, or set ONEFOLD_BACKUP_URL")
    return found


@contextmanager
def _shown(text: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal how far it is."""
    if not err.is_terminal:
        yield lambda _: None
        return
    with err.status(text) as status:
        yield lambda step: status.update(escape(step))


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
