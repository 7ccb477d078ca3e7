"""`onefold sources`: the silo report, for IT and data teams."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape

from onefold.terminal import out, print_json

_LINE = "{:<{w}}  {:>10}  {:>7}  {:>8}  {:>9}  {:>9}  {:>9}  {}"
_SHOWN = 20


def sources(json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Every source: freshness, rows, failures, growth, overlap with the others; and files that no contract reads."""
    from onefold_storage.installation import Installation
    from onefold_storage.publications import Publications
    from onefold_storage.settings import StorageSettings
    from onefold_storage.status import sources as sources_of
    from onefold_storage.unmanaged import unmanaged

    installation = Installation(StorageSettings())
    lake = installation.lake
    current = Publications(lake.objects, lambda: lake.lock("publications")).current()
    published = {s["source"]: s for s in current.facts.get("sources", [])} if current else {}
    listed = [published.get(s["source"], {}) | s for s in sources_of(installation)]
    contracts, broken = installation.workspace.sound_contracts()
    strays = [asdict(u) for u in unmanaged(installation.settings, contracts)]
    if json:
        print_json({"sources": listed, "unmanaged": strays, "invalid": [str(e) for e in broken]})
        return
    width = max((len(s["source"]) for s in listed), default=0)
    out.print(
        _LINE.format("source", "rows", "failed", "a day", "customers", "only here", "orphans", "fresh", w=width)
    )
    for s in listed:
        known = (_n(s.get(k)) for k in ("customers", "only_here", "orphans"))
        rows, failed, day = _n(s["rows"]), _share(s["failed_share"]), _n(s["rows_per_day"])
        out.print(_LINE.format(escape(s["source"]), rows, failed, day, *known, _age(s), w=width))
    for s in listed:
        most = sorted((s.get("shared") or {}).items(), key=lambda item: -item[1])[:3]
        if most:
            told = ", ".join(f"{n:,} with {other}" for other, n in most)
            out.print(f"{escape(s['source'])} shares customers: {escape(told)}")
    for stray in strays[:_SHOWN]:
        what = f"{stray['objects']:,} files ({stray['kind']}, {stray['bytes']:,} bytes) in {stray['folder']}"
        out.print(f"unmanaged: {escape(what)}: no contract reads them")
    if strays[_SHOWN:]:
        out.print(f"unmanaged: and {len(strays) - _SHOWN} more kinds of files; --json lists all")
    for error in broken:
        out.print(f"invalid: {escape(str(error))}")


def _n(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}"


def _age(source: dict[str, Any]) -> str:
    if source["age_s"] is None:
        return "never landed"
    hours = source["age_s"] / 3600
    return f"{'yes' if source['fresh'] else 'NO'}, {hours:,.0f} h old"
