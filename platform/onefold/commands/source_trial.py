"""`onefold source test|preview`: what a source would bring, without landing anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from onefold.terminal import out, print_json, waiting

if TYPE_CHECKING:
    from onefold_storage.contracts import Contract
    from onefold_workers.trial import Trial

Named = Annotated[Path, typer.Argument(help="The contract's file, or a source's id.")]
Rows = Annotated[int, typer.Option("--rows", min=1, max=100_000, help="How many rows to try.")]
Json = Annotated[bool, typer.Option("--json", help="Print a JSON object.")]
_SHOWN = 5


def test(file: Named, rows: Rows = 1000, json: Json = False) -> None:
    """Connect, read the first rows and hold them against the contract; nothing lands."""
    found = _tried(file, rows)
    if json:
        print_json(_facts(found))
        return
    out.print(escape(f"reached {', '.join(found.origins) or 'nothing: there is nothing new'}"))
    out.print(f"{found.sent:,} rows tried: {found.good:,} keep the contract, {len(found.bad):,} would fail")
    for bad in found.bad[:_SHOWN]:
        out.print(escape(f"  row {bad.row_id + 1}: {bad.message}"))
    _say_columns(found)


def preview(file: Named, rows: Rows = 20, json: Json = False) -> None:
    """Show what the first rows become in the canonical tables; nothing lands. Shows personal data."""
    found = _tried(file, rows)
    how = _read_as(file)
    tables = {name: _filled(table.to_pylist()) for name, table in found.silver.items()}
    if json:
        print_json({**_facts(found), "read_as": how, "lost": found.lost, "doubts": found.doubts, "tables": tables})
        return
    out.print(escape("read as: " + ", ".join(f"{k} {v}" for k, v in how.items())))
    for name, listed in tables.items():
        out.print(f"[bold]{name}[/bold] {len(listed):,} rows of {found.good:,}")
        for row in listed[:_SHOWN]:
            out.print("  " + escape(", ".join(f"{k}: {v}" for k, v in row.items())))
    for field, count in found.lost.items():
        out.print(escape(f"{field}: {count:,} rows {_lost(field)}"))
    for doubt in found.doubts:
        out.print(escape(f"check: {doubt}"))
    if not tables:
        out.print("no canonical table: the contract maps nothing, or no row keeps it")
    _say_columns(found)


def contract_of(given: Path) -> Contract:
    """The contract in a file; or that of a source of the workspace, which other commands know by its id.

    Raises:
        BadContract: not valid. NotFound: neither a file nor a source.
    """
    from onefold_storage.contracts import read
    from onefold_storage.installation import Installation
    from onefold_storage.settings import StorageSettings

    if given.exists() or given.suffix or given.name != str(given):
        return read(given)
    return Installation(StorageSettings()).workspace.contract(given.name)


def _lost(field: str) -> str:
    """What is told of rows whose value could not be read."""
    if field == "interactions.effective_at":
        return "hold no time that can be read, and are left out"
    became = "they count from their landing on" if field.endswith(".effective_at") else "nothing became of it"
    return f"hold a value that could not be read, and {became}"


def _tried(file: Path, rows: int) -> Trial:
    from onefold_storage.installation import Installation
    from onefold_storage.settings import StorageSettings
    from onefold_workers.trial import trial

    settings = StorageSettings()
    base = settings.workspace_folder
    with waiting("the source is asked"):
        return trial(
            contract_of(file), base, Installation(settings).clock.now(), rows=rows, extra=base / "connectors"
        )


def _read_as(file: Path) -> dict[str, str]:
    """What the contract takes for granted of values that do not say it themselves."""
    rules = contract_of(file).rules
    return {
        "time zone": rules.timezone,
        "locale": rules.locale or "not named (decimal marks are guessed)",
        "currency": rules.currency or "not named",
        "country": rules.country or "not named",
    }


def _facts(found: Trial) -> dict[str, Any]:
    return {
        "origins": found.origins,
        "sent": found.sent,
        "good": found.good,
        "bad": [{"row": b.row_id + 1, "field": b.field, "rule": b.rule, "message": b.message} for b in found.bad],
        "unknown": found.unknown,
        "absent": found.absent,
        "silver": {name: table.num_rows for name, table in found.silver.items()},
    }


def _say_columns(found: Trial) -> None:
    if found.unknown:
        out.print(escape(f"not in the contract, would be kept in _extra: {', '.join(found.unknown)}"))
    if found.absent:
        out.print(escape(f"of the contract, and did not come in these rows: {', '.join(found.absent)}"))


def _filled(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if v not in (None, [])} for row in rows]
