"""`onefold failed`: rows that broke their contract: count them, look at them, repair and replay them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from onefold.terminal import out, print_json, waiting
from onefold_storage.errors import HeldBack, OnefoldError

if TYPE_CHECKING:
    from onefold_storage.failed import Chosen
    from onefold_storage.installation import Installation

app = typer.Typer(no_args_is_help=True)
Source = Annotated[str | None, typer.Argument(help="A source's id; all when left out.")]
Rule = Annotated[str | None, typer.Option(help="Only events that broke this rule, such as type or required.")]
Field = Annotated[str | None, typer.Option(help="Only events at fault in this field.")]
Package = Annotated[str | None, typer.Option(help="Only events of this load package.")]
Since = Annotated[str | None, typer.Option(help="Only events that failed since this ISO 8601 date or time.")]
Json = Annotated[bool, typer.Option("--json", help="Print a JSON object.")]


@app.command("list")
def list_groups(
    source: Source = None,
    rule: Rule = None,
    field: Field = None,
    package: Package = None,
    since: Since = None,
    json: Json = False,
) -> None:
    """Count the open events by source, rule and field. Shows no row."""
    from onefold_storage.failed import groups

    installation, chosen = _open(source, rule, field, package, since)
    found = groups(installation.lake, chosen)
    if json:
        print_json({"events": sum(g.events for g in found), "groups": [asdict(g) for g in found]})
        return
    for group in found:
        of = f"{group.rule} {group.field}" if group.field else group.rule
        out.print(
            f"{group.source:<20} {group.events:>10,}  {escape(of):<28} {escape(group.message)}  "
            f"({group.packages:,} package{'s' * (group.packages != 1)}, last {group.last:%Y-%m-%d %H:%M})"
        )
    out.print(f"{sum(g.events for g in found):,} failed events are open")


@app.command()
def show(
    source: Source = None,
    rule: Rule = None,
    field: Field = None,
    package: Package = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="So many at most.")] = 20,
    offset: Annotated[int, typer.Option(min=0, help="After so many.")] = 0,
    output: Annotated[
        Path | None, typer.Option("--out", help="Write all of them here as NDJSON, to repair.")
    ] = None,
    json: Json = False,
) -> None:
    """Show the events with their rows as they came. This is personal data."""
    from onefold_storage.failed import export, page

    installation, chosen = _open(source, rule, field, package, since)
    if output is not None:
        events = export(installation.lake, chosen, output)
        told = (
            f"{events:,} events in {output}: correct `row` in each line (a line that has only `raw` text gets a `row`: "
            f"an object of column and value), then onefold failed replay --from {output}"
        )
        print_json({"events": events, "file": str(output)}) if json else out.print(escape(told))
        return
    rows = page(installation.lake, chosen, limit, offset)
    if json:
        print_json({"events": rows})
        return
    for event in rows:
        out.print(
            f"[bold]{event['package_id']} row {event['row_id'] + 1}[/bold] of {escape(event['origin'] or '?')}"
        )
        out.print(f"  {escape(event['message'])}")
        out.print(f"  {escape(_line(event))}")
    out.print("Rows are counted from 1; a header line is none." if rows else "no such failed events are open")


@app.command()
def replay(
    source: Source = None,
    rule: Rule = None,
    field: Field = None,
    package: Package = None,
    since: Since = None,
    repairs: Annotated[
        Path | None, typer.Option("--from", exists=True, dir_okay=False, help="Repaired rows, from show --out.")
    ] = None,
    json: Json = False,
) -> None:
    """Check the events again, against the contract as it is now, and land those that pass, exactly once."""
    from onefold_storage.failed import groups, repaired
    from onefold_storage.replaying import replay as replay_source

    installation, chosen = _open(source, rule, field, package, since)
    rows = repaired(repairs) if repairs else None
    results: list[dict[str, Any]] = []
    held: list[str] = []
    for name in sorted({g.source for g in groups(installation.lake, chosen)}):
        try:
            with waiting(f"{name} is replayed"):
                results.append(
                    asdict(replay_source(installation, installation.workspace.contract(name), chosen, rows))
                )
        except OnefoldError as error:
            held.append(f"{name}: {error}")
    totals = {k: sum(r[k] for r in results) for k in ("tried", "landed", "repeated", "suppressed")}
    unknown = max(len(rows) - totals["tried"], 0) if rows is not None else 0
    for result in results:
        del result["unknown"]
    facts = totals | {"unknown": unknown, "sources": results, "errors": held}
    if json:
        print_json(facts)
    else:
        _print_replay(facts)
    if held:
        raise HeldBack.after(held, facts)


def _print_replay(facts: dict[str, Any]) -> None:
    for result in facts["sources"]:
        kept = [f"{result[k]:,} {k}" for k in ("landed", "repeated", "suppressed") if result[k]]
        out.print(f"{result['source']}: {result['tried']:,} tried: {', '.join(kept) or 'none passes'}")
        for rule, events in sorted(result["failing"].items()):
            out.print(f"  {events:,} still fail: {escape(rule)}")
    if facts["unknown"]:
        out.print(f"{facts['unknown']:,} repaired rows name no open event: replayed before, or not meant")
    if not facts["sources"] and not facts["errors"]:
        out.print("no failed event is open")


def _open(
    source: str | None, rule: str | None, field: str | None, package: str | None, since: str | None
) -> tuple[Installation, Chosen]:
    """The installation, with replays that were cut off finished, and what is meant."""
    from onefold_storage.failed import Chosen
    from onefold_storage.installation import Installation
    from onefold_storage.replaying import finish_all
    from onefold_storage.settings import StorageSettings

    chosen = Chosen.of(source, rule, field, package, since)
    installation = Installation(StorageSettings())
    finish_all(installation.lake)
    return installation, chosen


def _line(event: dict[str, Any]) -> str:
    """A row as one printable line: what a terminal would obey is written out."""
    from orjson import dumps

    text = dumps(event["row"]).decode() if "row" in event else str(event["raw"])
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
