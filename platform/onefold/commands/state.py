"""`onefold status`: the state of the lake, the sources, identity, the models and the publication."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape

from onefold.terminal import out, print_json


def status(json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """The state of everything."""
    from onefold_storage.installation import Installation
    from onefold_storage.settings import StorageSettings
    from onefold_storage.status import status as state_of

    state = state_of(Installation(StorageSettings()))
    if json:
        print_json(state)
    else:
        print_state(state)


def print_state(state: dict[str, Any]) -> None:
    """Print a status for people."""
    out.print("[bold]Landed[/bold]" + ("" if state["packages"] else " nothing yet"))
    for source in state["packages"]:
        kept = [f"{source[k]:,} {k}" for k in ("landed", "failed", "repeated", "suppressed") if source[k]]
        parts = [", ".join(kept), f"held: {source['message']}" if source["message"] else ""]
        told = "; ".join(p for p in parts if p) or "nothing"
        out.print(f"  {source['source']:<20} {source['sent']:>10,} sent: {escape(told)}")
    spool = state["spool"]
    if spool["bytes"] or spool["held"]:
        held = f"; held: {', '.join(spool['held'])} (onefold spool status)" if spool["held"] else ""
        out.print(f"[bold]Events waiting[/bold] {spool['bytes']:,} bytes, {spool['oldest_s']:.1f} s old{held}")
    out.print("[bold]Tables[/bold]" + ("" if state["tables"] else " none yet"))
    for table in state["tables"]:
        out.print(f"  {table['name']:<32} {table['rows']:>10,} rows")
    for source, rows in state["untimed"].items():
        out.print(f"  {rows:,} rows of {source} are no interactions: their time is absent or cannot be read")
    identity = state["identity"]
    out.print("[bold]Identity[/bold]")
    out.print(f"  {identity['records']:,} records are {identity['customers']:,} customers")
    if identity["f1"] is not None:
        figures = ", ".join(f"{k} {identity[k]:.4f}" for k in ("precision", "recall", "f1"))
        out.print(f"  against the truth, by pairs: {figures}")
    changes = identity["changes"]
    if changes:
        told = ", ".join(f"{changes[k]:,} {k}" for k in ("created", "merged", "split"))
        out.print(f"  the last run: {told}; more: onefold identity report")
    for why in identity["retraining"]:
        out.print(f"  learning the model anew is advised: {why}")
    for said in identity["mistaken_schemes"]:
        out.print(f"  [bold]mistaken[/bold]: {escape(said)}")
    if identity["held"]:
        out.print(f"  [bold]stopped[/bold]: {identity['held']}")
    lies = "(on a hold-out that lies after all training data)" if state["models"] else "none yet"
    out.print(f"[bold]Models[/bold] {lies}")
    for model in state["models"]:
        verdict = "better" if model["beats_baseline"] else "NOT better"
        out.print(
            f"  {model['name']:<18} {model['metric']:<12} {model['value']:.4f}, "
            f"baseline {model['baseline']:.4f}: {verdict}"
        )
    for why in state["left_out"]:
        out.print(f"  not trained: {escape(why)}")
    for remark in state["remarks"]:
        out.print(f"  {escape(remark)}")
    _print_served(state)


def _print_served(state: dict[str, Any]) -> None:
    """What the API serves, and whose erasure has not ended."""
    publication = state["publication"]
    none = "none any more: run onefold publish" if state["published_before"] else "none yet"
    out.print(f"[bold]Publication[/bold] {publication['version'] if publication else none}")
    for golden_id in state["erasing"]:
        out.print(f"  [bold]erasure not ended[/bold]: run onefold erase {golden_id} again")
