"""`onefold link`, and questions about who is who: `onefold identity explain | as-of | what-if | report | retrain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from onefold.commands import identity_decisions as decisions
from onefold.commands.identity_words import print_explanation, print_report
from onefold.terminal import out, print_json, print_json_line, waiting

if TYPE_CHECKING:
    from onefold_storage.installation import Installation

app = typer.Typer(no_args_is_help=True)
for name, command in decisions.COMMANDS.items():
    app.command(name)(command)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
One = Annotated[str, typer.Argument(metavar="A", help="A record key such as crm:42, or a golden ID.")]
Other = Annotated[str, typer.Argument(metavar="B", help="The other one.")]


def link(
    files: Annotated[list[Path], typer.Argument(help="CSV or Parquet files of one shape.")],
    contract: Annotated[Path, typer.Option(help="The data contract that says what the columns mean.")],
    output: Annotated[Path, typer.Option("--out", help="Parquet file: each record's key and its golden ID.")],
    truth: Annotated[
        str | None, typer.Option(help="Column that says who is who; measures the result, is never evidence.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Find out which records are the same person, and how well, where a truth column is named."""
    from dataclasses import asdict

    from onefold.link import link as resolve

    result = asdict(resolve(files, contract, output, truth))
    if json:
        print_json_line(result)
        return
    out.print(f"{result['records']:,} records are {result['clusters']:,} customers, in {result['seconds']:.1f} s")
    out.print(f"Wrote {output}, each record with its golden ID", markup=False)
    if result["f1"] is not None:
        out.print(", ".join(f"{k} {result[k]:.4f}" for k in ("precision", "recall", "f1")))


@app.command("explain")
def explain(left: One, right: Other, json: Json = False) -> None:
    """Why two records or customers are one, or are not: field by field, in bits that add up."""
    from onefold_workers.stages import asking

    found = asking.explain(_installation(), left, right)
    if json:
        print_json(found)
    else:
        print_explanation(found)


@app.command("what-if")
def what_if(
    threshold: Annotated[float, typer.Option(help="Mean match weight in bits from which clusters are one.")],
    json: Json = False,
) -> None:
    """What another threshold would change; nothing is written."""
    from onefold_workers.stages import asking

    with waiting("resolving with the other threshold"):
        found = asking.what_if(_installation(), threshold)
    if json:
        print_json(found)
        return
    now, then = found["customers_now"], found["customers_then"]
    out.print(
        f"threshold {threshold:g} instead of {found['threshold_now']:g}: {then:,} customers instead of {now:,}"
    )
    out.print(f"  {found['merges']:,} merges" + "".join(f"\n    {' + '.join(ids)}" for ids in found["merged"]))
    parts = "".join(f"\n    {s['golden_id']} into {s['parts']}" for s in found["split"])
    out.print(f"  {found['splits']:,} splits{parts}")


@app.command("as-of")
def as_of(
    when: Annotated[str, typer.Argument(help="A date or time, such as 2017-06-30; a day stands for its end.")],
    named: Annotated[list[str], typer.Argument(help="Record keys or golden IDs.")],
    json: Json = False,
) -> None:
    """Who was who on a date: the customer that each belonged to, and that customer's records then."""
    from onefold_storage.as_of import moment
    from onefold_workers.stages import asking

    found = asking.who_was_who(_installation(), named, moment(when))
    if json:
        print_json({"as_of": moment(when), "found": found})
        return
    for f in found:
        of = f"{f['golden_id']}: {', '.join(f['records'])}" if f["golden_id"] else "no customer yet"
        out.print(escape(f"{f['named']}  {of}"))


@app.command("report")
def report(json: Json = False) -> None:
    """What the last run found, changed and left in conflict, and how it differs from the one before."""
    from onefold_workers.stages.resolving import held_back, last_report

    lake = _installation().lake
    found, held = last_report(lake), held_back(lake)
    if json:
        print_json({"report": found, "held": held})
    else:
        print_report(found, held)


@app.command("retrain")
def retrain(
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="Merge and split more customers than onefold.yaml agrees to.")
    ] = False,
    json: Json = False,
) -> None:
    """Learn the identity model anew from all records, and integrate with it."""
    from onefold.commands.flows import run

    facts: dict[str, Any] = run("integrate", json=json, retrain=True, accept_changes=accept_changes)
    if not json:
        out.print(f"{facts['records']:,} records are {facts['customers']:,} customers")


def _installation() -> Installation:
    from onefold_storage.installation import Installation
    from onefold_storage.settings import StorageSettings

    return Installation(StorageSettings())
