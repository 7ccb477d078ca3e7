"""The command line. Quick to start: nothing heavy is imported before a command needs it.

Errors that a user can act on are one line on standard error; the exit code says which kind (see `errors.py`).
"""

from __future__ import annotations

import errno
import sys
from typing import NoReturn

import typer

from onefold.commands import (
    backup,
    demo,
    documents,
    erase,
    failed,
    flows,
    identity,
    keys,
    listen,
    maintain,
    rollback,
    serve,
    silos,
    sources,
    spool,
    state,
    storage,
    storage_outlook,
    storage_pools,
    workspace,
)
from onefold_storage.errors import BadInput, OnefoldError
from onefold_storage.faults import fault_of
from onefold_storage.starting import start_quickly

_INTERRUPTED = ("interrupted; run it again to go on", 130)
_USUAL = (
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENOSPC,
    errno.EROFS,
    errno.EDQUOT,
)
"""What a machine refuses in its usual ways: no such place, not allowed, not a folder, no room, read-only."""

app = typer.Typer(
    name="onefold",
    help="A self-hosted customer data platform: silos in, one golden record per customer out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("init")(workspace.init)
app.command("demo")(demo.demo)
app.add_typer(sources.app, name="source", help="Draft and check data contracts.")
for name, command in flows.COMMANDS.items():
    app.command(name)(command)
app.command("rollback")(rollback.rollback)
app.command("sources")(silos.sources)
app.add_typer(failed.app, name="failed", help="Rows that broke their contract: list, show, replay.")
app.command("erase")(erase.erase)
app.command("receipts")(erase.receipts)
app.command("maintain")(maintain.maintain)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("listen")(listen.listen)
app.command("serve")(serve.serve)
app.add_typer(spool.app, name="spool", help="The write-ahead log of events: what waits, and draining it.")
app.command("status")(state.status)
app.add_typer(storage.app, name="storage", help="Where the lake lies: its bucket, its room, its growth.")
storage.app.command("status")(storage_outlook.status)
storage.app.command("forecast")(storage_outlook.forecast)
for name, command in storage_pools.COMMANDS.items():
    storage.app.command(name)(command)
app.add_typer(keys.app, name="key", help="API keys: create, list, revoke.")
app.add_typer(identity.app, name="identity", help="Who is who: explain, review, merge, unmerge, pin, override.")
app.command("link")(identity.link)
app.add_typer(documents.app, name="document", help="A customer's recordings, photos, mails: list, fetch.")


def main() -> None:
    """Run the command line; the entry point of the script `onefold`."""
    start_quickly()
    try:
        app()
    except OnefoldError as error:
        _end(str(error), error.exit_code)
    except KeyboardInterrupt:
        _end(*_INTERRUPTED)
    except SystemExit as end:
        if end.code == _INTERRUPTED[1]:  # typer hears Ctrl-C first, and says nothing
            _end(*_INTERRUPTED)
        raise
    except Exception as error:
        if fault := fault_of(error):
            _end(str(fault), fault.exit_code)
        known = _of_the_machine(error)
        if known is None:
            raise  # a fault of ours: all that can be said about it is wanted
        _end(known, BadInput.exit_code)


def _end(message: str, code: int) -> NoReturn:
    """Say it, each line for itself, and end."""
    for line in message.splitlines():
        print(f"onefold: {line}", file=sys.stderr)  # noqa: T201 - the command line speaks here
    sys.exit(code)


def _of_the_machine(error: Exception) -> str | None:
    """What to say of an error that the machine or its settings made, not the program; None for any other."""
    if isinstance(error, OSError) and error.errno in _USUAL:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    if isinstance(error, ValidationError) and error.title.endswith("Settings"):
        wrong = error.errors(include_url=False, include_input=False)
        return "\n".join(f"ONEFOLD_{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in wrong)
    return f"the environment: {error}" if isinstance(error, SettingsError) else None


if __name__ == "__main__":
    main()
