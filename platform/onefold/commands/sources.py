"""`onefold source`: draft a data contract from the data, and check one."""

from __future__ import annotations

import re
from json import loads as json_of
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from onefold.commands import source_trial
from onefold.terminal import err, out, print_json
from onefold_storage.errors import BadInput, Conflict, NotFound

app = typer.Typer(no_args_is_help=True)
app.command("test")(source_trial.test)
app.command("preview")(source_trial.preview)


@app.command()
def draft(
    location: Annotated[
        str | None, typer.Argument(help="A file, a glob, or the URL of a database with ?table=NAME.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The source's id; else that of --out, else of the location.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--out", help="Write here instead of standard output.")] = None,
    connector: Annotated[
        str | None, typer.Option(help="Which connector reads it, such as rest; else the location says so.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE (JSON or text) for the connector; may be given again.")
    ] = None,
    http: Annotated[
        bool, typer.Option("--http", help="The file is a sample of events that will be sent over HTTP.")
    ] = False,
    webhook: Annotated[
        bool,
        typer.Option("--webhook", help="The file is a sample of events that another system will send, signed."),
    ] = False,
    tracking: Annotated[
        bool, typer.Option("--tracking", help="Events of tracking SDKs, which need no sample; give --name.")
    ] = False,
) -> None:
    """Propose a contract from the data itself: types, keys, semantic kinds. Review it before you use it."""
    from onefold_storage.contracts import parse
    from onefold_workers.connectors import sample
    from onefold_workers.drafting import checks
    from onefold_workers.drafting import draft as propose
    from onefold_workers.drafting.tracking_contract import draft_tracking

    if output is not None and output.exists():
        raise Conflict(f"{output}: exists already, perhaps with a person's corrections; nothing was changed")
    if tracking:
        if location is not None or not name or http or webhook:
            raise BadInput("--tracking: expected --name SOURCE and no location: what SDKs send is known")
        text = draft_tracking(name)
    elif location is None:
        raise BadInput("LOCATION: expected a file, a glob or a URL to sample; only --tracking does without")
    else:
        base = Path.cwd()
        rows, kind, options = sample(location, base, connector=connector, options=_options(option or []))
        where = ("", "http", {}) if http else (_absolute(location, base), kind, options)
        where = ("", "webhook", {"signature": UNSIGNED}) if webhook else where
        text = propose(rows, name or _source_id(output.name if output else location), *where)
    contract = parse(text, output.name if output else "draft")
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        out.print(f"Wrote {output}")
    kinds = ", ".join(f"{c} is {k}" for c, k in contract.kinds.items())
    told = f"{contract.id}: {len(contract.columns)} columns; {kinds or 'no column about a person recognised'}"
    err.print(escape(told))
    for check in checks(text):
        err.print(escape(f"check: {check}"))


@app.command()
def check(
    file: source_trial.Named,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Validate a contract: the standard, its own properties, and what they refer to."""
    contract = source_trial.contract_of(file)
    if json:
        print_json({"id": contract.id, "version": contract.version, "valid": True, "kinds": contract.kinds})
    else:
        out.print(f"{file}: valid; source {contract.id}, {len(contract.columns)} columns")


@app.command("list")
def list_sources(json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False) -> None:
    """The workspace's sources and what has landed from each."""
    from onefold_storage.installation import Installation
    from onefold_storage.settings import StorageSettings

    installation = Installation(StorageSettings())
    rows = [
        {"source": c.id, "connector": c.rules.connector, "rows": installation.lake.rows(c.bronze)}
        for c in installation.workspace.sound_contracts()[0]
    ]
    if json:
        print_json({"sources": rows})
        return
    for row in rows:
        out.print(f"{row['source']:<24} {row['connector']:<8} {row['rows']:>12,} rows")


@app.command()
def history(
    source: Annotated[str, typer.Argument(help="The source's id.")],
    json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """How a source's columns changed: added, widened, sent but not in the contract, no longer sent."""
    from onefold_storage.drift import history as changes_of
    from onefold_storage.installation import Installation
    from onefold_storage.settings import StorageSettings

    known = changes_of(Installation(StorageSettings()).lake, source)
    if not known:
        raise NotFound(f"{source}: nothing has landed from it yet")
    if json:
        print_json({"source": source, **known})
        return
    for change in known["changes"]:
        told = [f"{what} {', '.join(change[what])}" for what in _CHANGES if change.get(what)]
        out.print(f"{change['at'][:19]}  contract {change['contract']}: {escape('; '.join(told))}")
    if known["unknown"]:
        out.print(escape(f"not in the contract, kept in _extra: {', '.join(known['unknown'])}"))


UNSIGNED = {"header": "X-Hub-Signature-256", "style": "hex", "prefix": "sha256=", "secret": "${WEBHOOK_SECRET}"}
"""How a drafted webhook is signed, for a person to correct."""
_CHANGES = ("added", "changed", "removed", "unknown", "absent")


def _options(given: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for text in given:
        name, found, value = text.partition("=")
        if not found:
            raise BadInput(f"--option {name}: expected NAME=VALUE")
        try:
            options[name] = json_of(value)
        except ValueError:
            options[name] = value
    return options


def _source_id(location: str) -> str:
    stem = re.split(r"[?#]", location)[0].rstrip("/").rsplit("/", 1)[-1].split(".")[0]
    if "table=" in location:
        stem = location.split("table=", 1)[1].split("&", maxsplit=1)[0]
    name = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")
    if not name:
        raise BadInput(f"{stem!r}: no source id can be made of it; give one with --name")
    return name if name[0].isalpha() else f"source_{name}"


def _absolute(location: str, base: Path) -> str:
    if "://" in location or location.startswith("${"):
        return location
    path = Path(location).expanduser()
    return str(path if path.is_absolute() else base / path)
