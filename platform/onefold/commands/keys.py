"""`onefold key`: who may ask the API for what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onefold.terminal import out, print_json
from onefold_storage.scopes import ONE_SOURCE, SCOPES, USUAL

if TYPE_CHECKING:
    from onefold_storage.keys import Keys

app = typer.Typer(no_args_is_help=True)
_SCOPE = (
    f"What it may do, again for each: {', '.join(SCOPES)}, or {ONE_SOURCE} to send events of that source alone. "
    f"Without any: {', '.join(USUAL)}."
)
Json = Annotated[bool, typer.Option("--json", help="Print a JSON object.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who the key is for.")],
    scope: Annotated[list[str] | None, typer.Option(help=_SCOPE)] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires; never when left out.")] = None,
    into: Annotated[
        Path | None, typer.Option(help="Write it into this file, not on the screen; a valid key there is kept.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a key. It is shown once; only its hash is kept."""
    from datetime import timedelta

    scopes = scope or list(USUAL)
    lifetime = timedelta(days=days) if days else None
    book = _book()
    if into and (kept := _kept(book, into, scopes)):
        out.print(f"{into} holds the valid key {kept}; nothing done")
        return
    key, secret = book.create(name, scopes, lifetime)
    if into:
        _write(into, secret)
        secret = str(into)
    if json:
        print_json({"id": key.id, "name": key.name, "scopes": sorted(key.scopes), "key": secret})
    else:
        out.print(secret)


@app.command("list")
def list_keys(json: Json = False) -> None:
    """Every key, without its secret."""
    keys = _book().list()
    if json:
        print_json({"keys": [{"id": k.id, "name": k.name, "scopes": sorted(k.scopes)} for k in keys]})
        return
    for k in keys:
        state = "revoked" if k.revoked_at else "valid"
        out.print(f"{k.id}  {k.name:<20} {state:<8} {', '.join(sorted(k.scopes))}")


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="The key's id, as `onefold key list` shows it.")]) -> None:
    """End a key; every API replica refuses it within a second."""
    _book().revoke(key_id)
    out.print(f"Revoked {key_id}")


def _kept(book: Keys, path: Path, scopes: list[str]) -> str | None:
    """The id of the key in a file, where it is valid and may do all that is asked for."""
    from onefold_storage.errors import Unauthorised

    try:
        key = book.verify(path.read_text().strip())
    except (OSError, UnicodeDecodeError, Unauthorised):
        return None
    return key.id if all(key.may(scope) for scope in scopes) else None


def _write(path: Path, secret: str) -> None:
    """Put a secret into a file that its owner alone can read, whole or not at all.

    Raises:
        BadInput: it cannot be written there.
    """
    from onefold_storage.errors import BadInput

    draft = path.with_name(f"{path.name}.new")
    try:
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600, exist_ok=False)
        draft.write_text(f"{secret}\n")
        draft.replace(path)
    except OSError as error:
        raise BadInput(f"{path}: the key cannot be written there: {error.strerror}; make another") from error


def _book() -> Keys:
    from onefold_storage.installation import Installation
    from onefold_storage.settings import StorageSettings

    return Installation(StorageSettings()).ledger.keys
