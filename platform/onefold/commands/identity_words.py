"""What identity says to people in the terminal: an explanation as a waterfall, and the report of a run."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

from onefold.terminal import out


def safe(value: Any) -> str:
    """A value for the terminal: without markup and without control characters, which sources may send."""
    return escape("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value)))


def print_explanation(found: dict[str, Any]) -> None:
    """The likeliest pair as a waterfall; of customers also the mean that decides."""
    pair = found["pair"]
    one = "one customer" if found["same_customer"] else "two customers"
    ids = dict.fromkeys(str(found[s]["golden_id"]) for s in ("left", "right"))
    out.print(f"{safe(pair['left_key'])} and {safe(pair['right_key'])}: {one} ({', '.join(ids)})")
    table = Table("field", "left", "right", "likeness", "bits", box=None, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"  # nothing of a value is left out
    table.columns[-1].justify = "right"
    table.columns[-1].no_wrap = True
    table.add_row("prior", "", "", "before anything is compared", f"{pair['prior']:+.2f}")
    for part in pair["fields"]:
        if not part["level"] and not (part["left"] or part["right"]):
            continue
        shown = [safe(part[s] or "") for s in ("left", "right")]
        table.add_row(part["field"], *shown, part["said"], f"{part['weight']:+.2f}")
        if part["frequency"]:
            rare = "a rare value" if part["frequency"] > 0 else "a common value"
            table.add_row("", "", "", rare, f"{part['frequency']:+.2f}")
    for name, said in (
        ("attributes", "attributes depend on each other"),
        ("households", "household, address or move"),
    ):
        if pair[name]:
            table.add_row(name, "", "", said, f"{pair[name]:+.2f}")
    table.add_row("match weight", "", "", f"probability {pair['probability']:.4f}", f"{pair['total']:+.2f}")
    out.print(table)
    out.print(f"blocking rules: {', '.join(pair['rules']) or 'none: compared because others link them'}")
    if pair["told_apart"]:
        out.print("their source says that they are two customers: it gave them two keys")
    if found.get("pairs_in_all", 1) > 1:
        mean, limit = found["mean"], found["threshold"]
        out.print(f"mean of all {found['pairs_in_all']} pairs between them: {mean:+.2f}, one from {limit:+.2f} on")
    for said in found.get("decisions", []):
        who = f"{said['verdict']} by {said['decided_by']} at {said['decided_at']:%Y-%m-%d}"
        out.print(
            safe(f"decided: {said['left_key']} {said['right_key']} {who}: {said['reason'] or 'no reason given'}")
        )


def print_report(found: dict[str, Any] | None, held: dict[str, Any] | None) -> None:
    """The figures of the last run that is in force, and of one that was stopped after it."""
    if held:
        out.print(f"[bold]Stopped[/bold] {held['why']}")
        out.print("  nothing of it is in force; `onefold integrate --accept-changes` lets it through")
    if not found:
        out.print("nothing was resolved yet")
        return
    out.print(f"{found['records']:,} records are {found['clusters']:,} customers under {found['model_version']}")
    out.print(f"  known to one source alone: {found.get('single_source_share', 0):.1%}")
    for group in ("conflicts", "changes", "drift"):
        told = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in (found.get(group) or {}).items())
        out.print(f"  {group}: {told or 'none'}")
    for said in found.get("retraining") or []:
        out.print(f"  learning the model anew is advised (`onefold identity retrain`): {said}")
    for said in found.get("mistaken_schemes") or []:
        out.print(f"  [bold]mistaken[/bold]: {escape(said)}")
    for rule, facts in (found.get("pairs_by_rule") or {}).items():
        out.print(f"  {rule}: " + ", ".join(f"{k.replace('_', ' ')} {v:,}" for k, v in facts.items()))
    sizes = ", ".join(f"{size}: {count:,}" for size, count in (found.get("cluster_sizes") or {}).items())
    out.print(f"  customers by number of records: {sizes}")
    weights = ", ".join(f"{bits}: {count:,}" for bits, count in (found.get("match_weights") or {}).items())
    out.print(f"  pairs by match weight: {weights}")
