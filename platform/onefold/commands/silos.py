"""`onefold sources`: the silo report, for IT and data teams."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape

from onefold.commands.storage_outlook import size
from onefold.terminal import out, print_json
from onefold_storage.errors import NotFound

_WIDTH = 100
_SHOWN = 20
_STATE = "{:<{w}}  {:<16} {:>10} {:>8} {:>8} {:>10} {:>10} {:>8}"
_ADDED = "{:<{w}}  {:>9} {:>8} {:>12} {:>6}   {}"
_PAIR = "  {:<{w}}  {:>9}  {:>9}"


def sources(
    source: Annotated[str | None, typer.Argument(help="One source, with its overlap with every other.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Every source: freshness, rows, failures, growth, overlap with the others; and files that no contract reads."""
    from onefold_storage.installation import Installation
    from onefold_storage.publications import Publications
    from onefold_storage.settings import StorageSettings
    from onefold_storage.status import sources as sources_of
    from onefold_storage.unmanaged import told_of

    installation = Installation(StorageSettings())
    lake = installation.lake
    current = Publications(lake.objects, lambda: lake.lock("publications")).current()
    published = {s["source"]: s for s in current.facts.get("sources", [])} if current else {}
    listed = [published.get(s["source"], {}) | s for s in sources_of(installation)]
    contracts, broken = installation.workspace.sound_contracts()
    if source is not None:
        one = next((s for s in listed if s["source"] == source), None)
        if one is None:
            raise NotFound(
                f"{source}: no such source; there are {', '.join(s['source'] for s in listed) or 'none'}"
            )
        print_json(one) if json else _print_one(one)
        return
    strays, problem = told_of(installation.settings, contracts)
    if json:
        told = {"sources": listed, "unmanaged": strays, "landing_problem": problem}
        print_json(told | {"invalid": [str(e) for e in broken]})
        return
    _print_all(listed)
    if current is None:
        out.print("Customers and overlap are counted when results are published: onefold refresh")
    _print_strays(strays, problem)
    for error in broken:
        out.print(f"[bold]Invalid[/bold] {escape(str(error))}")


def _print_all(listed: list[dict[str, Any]]) -> None:
    width = max((len(s["source"]) for s in listed), default=6)
    heads = ("rows", "a day", "failed", "customers", "only here", "orphans")
    out.print(f"[bold]{_STATE.format('Source', 'fresh', *heads, w=width)}[/bold]")
    for s in listed:
        known = (_n(s.get(k)) for k in ("customers", "only_here", "orphans"))
        row = (_fresh(s), _n(s["rows"]), _n(s["rows_per_day"]), _share(s["failed_share"]), *known)
        line = _STATE.format(s["source"], *row, w=width)
        out.print(escape(line) if s["fresh"] else f"[red]{escape(line)}[/red]")
    told = [s for s in listed if s.get("customers")]
    if not told:
        return
    shown = ("customers", "fields", "interactions", "cases", "shares most customers with")
    out.print("\nWhat connecting each source added: what would be missing without it")
    out.print(f"[bold]{_ADDED.format('Source', *shown, w=width)}[/bold]")
    room = _WIDTH - len(_ADDED.format("", "", "", "", "", "", w=width))
    for s in told:
        added = s.get("added") or {}
        counts = (_n(added.get(k)) for k in ("customers", "fields", "interactions", "cases"))
        out.print(escape(_ADDED.format(s["source"], *counts, _partners(s, room), w=width)))


def _print_one(s: dict[str, Any]) -> None:
    made_up = " [bold](generated data)[/bold]" if s["generated"] else ""
    out.print(f"[bold]{escape(s['source'])}[/bold]{made_up}: {escape(s['description'] or '')}")
    landed = s["last_landed_at"] or "never"
    out.print(f"  fresh          {_fresh(s)} (last landed {landed})")
    day = "" if s["rows_per_day"] is None else f", {_n(s['rows_per_day'])} a day"
    out.print(
        f"  rows           {_n(s['rows'])}{day}; {_n(s['failed_events'])} failed events ({_share(s['failed_share'])})"
    )
    out.print(f"  lawful basis   {escape(s['lawful_basis'].replace('_', ' '))}")
    if s.get("customers") is None:
        out.print("  It tells of no customers, or nothing was published since it landed.")
        return
    out.print(f"  customers      {_n(s['customers'])}, of whom {_n(s['only_here'])} are known only here")
    out.print(f"  orphans        {_n(s['orphans'])} interactions and cases of nobody known")
    added = ", ".join(f"{_n(n)} {what}" for what, n in s["added"].items())
    out.print(f"  it added       {added}")
    shared = s["shared"]
    if not shared:
        out.print("  It shares no customer with another source.")
        return
    width = max(len(other) for other in shared)
    out.print(f"[bold]{_PAIR.format('Shares with', 'customers', 'of these', w=width)}[/bold]")
    for other, n in sorted(shared.items(), key=lambda item: (-item[1], item[0])):
        out.print(escape(_PAIR.format(other, _n(n), f"{n / s['customers']:.0%}", w=width)))


def _print_strays(strays: list[dict[str, Any]], problem: str | None) -> None:
    if problem:
        out.print(f"\n[bold]Unmanaged silos[/bold] were not looked for: {escape(problem)}")
    if not strays:
        return
    out.print(
        "\n[bold]Unmanaged silos[/bold]: files in the landing that no contract reads; onefold source draft makes one"
    )
    for stray in strays[:_SHOWN]:
        newest = f", newest of {stray['newest'][:10]}" if stray["newest"] else ""
        files = "1 file" if stray["objects"] == 1 else f"{stray['objects']:,} files"
        out.print(escape(f"  {stray['folder']}: {files} ({stray['kind']}), {size(stray['bytes'])}{newest}"))
    if strays[_SHOWN:]:
        out.print(f"  and {len(strays) - _SHOWN} more kinds of files; --json lists all")


def _partners(s: dict[str, Any], room: int) -> str:
    """Those that it shares most customers with, as many as the line has room for, at least one."""
    told = ""
    for other, n in sorted((s.get("shared") or {}).items(), key=lambda item: (-item[1], item[0])):
        more = f"{told}, {n:,} {other}" if told else f"{n:,} {other}"
        if told and len(more) > room:
            break
        told = more
    return told or "nobody"


def _n(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}"


def _fresh(source: dict[str, Any]) -> str:
    if source["age_s"] is None:
        return "never landed"
    age, most = _span(source["age_s"]), _span(source["freshness_objective_s"])
    return f"{'yes' if source['fresh'] else 'NO'}, {age} of {most}"


def _span(seconds: float) -> str:
    for span, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * span or (seconds >= span and not seconds % span):
            return f"{seconds / span:,.0f} {unit}"
    return f"{seconds:.0f} s"
