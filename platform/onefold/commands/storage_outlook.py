"""`onefold storage status | forecast`: the room there is, and when it is full."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape

from onefold.terminal import out, print_json, waiting

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def status(
    waste: Annotated[
        bool, typer.Option(help="List every object, to tell what no table needs; may take long.")
    ] = False,
    json: Json = False,
) -> None:
    """Nodes, drives, pools, usable and free bytes, healing, and each source's growth per day."""
    from onefold_storage.installation import Installation
    from onefold_storage.settings import StorageSettings
    from onefold_storage.storage_status import storage_status

    with waiting("storage is asked"):
        found = storage_status(Installation(StorageSettings()), waste=waste)
    if json:
        print_json(found)
    else:
        _print_status(found)


def forecast(
    record: Annotated[
        bool, typer.Option(help="Keep a sample of today's sizes, as the daily flow `forecast` does.")
    ] = False,
    json: Json = False,
) -> None:
    """Days until storage is full, with an interval, by source; and which thresholds are crossed."""
    from onefold_storage.capacity_samples import record as keep
    from onefold_storage.installation import Installation
    from onefold_storage.outlook import outlook
    from onefold_storage.settings import StorageSettings

    settings = StorageSettings()
    installation = Installation(settings)
    with waiting("growth is looked at"):
        found = outlook(installation)
        if record:
            keep(installation.lake, installation.clock.now(), found.capacity, found.growth.tables)
    facts = found.facts(settings)
    if json:
        print_json(facts)
    else:
        _print_forecast(facts)


def size(count: float | None) -> str:
    """Bytes for people: `1.5 TB`; decimal units, as drives are sold."""
    if count is None:
        return "unknown"
    amount, unit = float(count), 0
    while abs(amount) >= 1000 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.0f} {_UNITS[unit]}" if unit == 0 else f"{amount:.1f} {_UNITS[unit]}"


def _print_status(found: dict[str, Any]) -> None:
    out.print(f"[bold]Storage[/bold] {escape(found['where'])}")
    out.print(f"  {size(found['free_bytes'])} free of {size(found['usable_bytes'])} usable, room for "
              f"{size(found['room_bytes'])}")  # fmt: skip
    if found["quota_bytes"]:
        out.print(f"  the bucket holds {size(found['bucket_bytes'])} of its quota of {size(found['quota_bytes'])}")
    if found["kind"] == "cluster":
        away = "" if found["drives_online"] == found["drives"] else ", [bold]some are away[/bold]"
        out.print(
            f"  {found['drives_online']} of {found['drives']} drives online, {found['healing']} healing{away}"
        )
        for node in found["nodes"]:
            state = "online" if node["online"] else "OFFLINE"
            full = f", [bold]{node['drives_full']} FULL[/bold]" if node["drives_full"] else ""
            drives = f"{node['drives_online']} of {node['drives']} drives{full}"
            out.print(f"  {escape(node['address']):<24} {state:<8} {drives}")
        for pool in found["pools"]:
            out.print(f"  pool {pool['number']}: {pool['nodes']} nodes, {pool['drives']} drives in sets of "
                      f"{pool['set_drives']} with {pool['parity']} of parity, {size(pool['free_bytes'])} free of "
                      f"{size(pool['usable_bytes'])}")  # fmt: skip
    for move in found["movements"]:
        out.print(f"  {move['what']} of pool {move['pool']}: {move['state']}, {move['objects']:,} objects moved")
    none_yet = "not known yet: it needs two days of landing" if found["tables"]["rows"] else "nothing landed yet"
    out.print("[bold]Growth per day[/bold]" + ("" if found["sources"] else f" {none_yet}"))
    for source in found["sources"]:
        out.print(f"  {source['source']:<24} {source['rows']:>12,} rows, {size(source['bytes']):>10}; "
                  f"{_daily(source)}")  # fmt: skip
    if waste := found["waste"]:
        out.print(f"[bold]Waste[/bold] {size(waste['bytes'])} in {waste['objects']:,} objects that no table needs now; "
                  "maintenance removes what is a day old")  # fmt: skip
    for text in found["unknown"]:
        out.print(f"  not known: {escape(text)}")


def _daily(source: dict[str, Any]) -> str:
    if source["rows_per_day"] is None:
        return "too short a history for a rate"
    return f"{source['rows_per_day']:,.0f} rows, {size(source['bytes_per_day']['expected'])} per day"


def _print_forecast(facts: dict[str, Any]) -> None:
    days, on = facts["days_to_full"], facts["full_on"]
    if facts["state"] == "unknown":
        out.print(f"No forecast: {escape(facts['reason'])}")
    elif days["expected"] is None and days["low"] is None:
        out.print(f"Not full within {facts['horizon_days'] // 365} years, as it grows now")
    else:
        share = f"{facts['coverage']:.0%}"
        expected = f"in {days['expected']:,.0f} days ({on['expected']})" if days["expected"] is not None else "late"
        late = f"{days['high']:,.0f}" if days["high"] is not None else "never within the horizon"
        out.print(f"Full {expected}; {share} of cases: {days['low']:,.0f} to {late} days")
        out.print(f"  {size(facts['room_bytes'])} of room, {size(facts['bytes_per_day']['expected'])} per day, after "
                  f"erasure coding; from {facts['history_days']} days of what {_basis(facts)}")  # fmt: skip
        if facts["reason"]:
            out.print(f"  rough: {escape(facts['reason'])}")
    for jump in facts["jumps"]:
        out.print(f"  left out as a one-off: {size(jump['bytes'])} on {jump['on']}")
    for source in facts["sources"]:
        share = f"{source['share']:.0%}" if source["share"] is not None else "?"
        out.print(f"  {source['source']:<24} {size(source['bytes_per_day']['expected']):>10} per day, {share:>4}")
    for alert in facts["alerts"]:
        found = f"{alert['found']:.2f}" if alert["what"].startswith("share") else f"{alert['found']:,.0f}"
        out.print(
            f"  [bold]{alert['level']}[/bold]: {alert['what'].replace('_', ' ')} is {found}, limit {alert['limit']}"
        )
    for text in facts["unknown"]:
        out.print(f"  not known: {escape(text)}")


def _basis(facts: dict[str, Any]) -> str:
    return "was sampled" if facts["basis"] == "samples" else "landed"
