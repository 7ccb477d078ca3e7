"""The command line. Quick to start: nothing heavy is imported before a command needs it.

Errors that a user can act on are one line on standard error; the exit code says which kind (see `errors.py`).
"""

from __future__ import annotations

import sys

import typer

from onefold.commands import demo, flows, identity, keys, serve, sources, state, workspace
from onefold_storage.errors import OnefoldError

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
app.command("serve")(serve.serve)
app.command("status")(state.status)
app.add_typer(keys.app, name="key", help="API keys: create, list, revoke.")
app.command("link")(identity.link)


def main() -> None:
    """Run the command line; the entry point of the script `onefold`."""
    try:
        app()
    except OnefoldError as error:
        print(f"onefold: {error}", file=sys.stderr)  # noqa: T201 - the command line speaks here
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("onefold: interrupted; run it again to go on", file=sys.stderr)  # noqa: T201
        sys.exit(130)


if __name__ == "__main__":
    main()
