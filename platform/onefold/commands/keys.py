"""`onefold key`: who may ask the API for what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from onefold.terminal import out, print_json

if TYPE_CHECKING:
    from onefold_storage.keys import Keys

app = typer.Typer(no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print a JSON object.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who the key is for.")],
    scope: Annotated[list[str] | None, typer.Option(help="What it may do; repeat for several.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires; never when left out.")] = None,
    json: Json = False,
) -> None:
    """Make a key. It is shown once; only its hash is kept."""
    from datetime import timedelta

    scopes = scope or ["read:customers", "read:scores", "read:sources", "search"]
    lifetime = timedelta(days=days) if days else None
    key, secret = _book().create(name, scopes, lifetime)
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


def _book() -> Keys:
    from onefold_storage.installation import Installation
    from onefold_storage.settings import StorageSettings

    return Installation(StorageSettings()).ledger.keys
