"""`onefold identity review | accept | reject | merge | unmerge | withdraw | pin | unpin | override | decisions`.

Each writes rows that every later run obeys, and a line in the audit trail; nothing is edited.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onefold.account import account_name
from onefold.commands.identity_words import print_explanation, safe
from onefold.terminal import out, print_json

if TYPE_CHECKING:
    from onefold_storage.decisions import Decided, Decisions
    from onefold_storage.installation import Installation

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Reason = Annotated[str | None, typer.Option(help="Why, in words that are no personal data.")]
By = Annotated[str | None, typer.Option(help="Who decides; the account's name when left out.")]
Record = Annotated[str, typer.Argument(help="A record key such as crm:42.")]
Named = Annotated[str, typer.Argument(help="A record key such as crm:42, or a golden ID.")]


def review(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Pairs at most.")] = 20,
    by: By = None,
    json: Json = False,
) -> None:
    """Pairs in the grey zone around the threshold, the most informative first, to accept or reject.

    On a terminal each is asked for; elsewhere, and with --json, they are listed: `onefold identity accept` and
    `onefold identity reject` decide them.
    """
    from onefold_workers.stages import asking

    pairs = asking.review(_installation(), limit)
    if json:
        print_json({"pairs": pairs})
        return
    asks = sys.stdin.isatty() and out.is_terminal
    book = _book(by) if asks else None
    for n, found in enumerate(pairs, start=1):
        out.print(f"[bold]{n} of {len(pairs)}[/bold]")
        print_explanation(found)
        if book is None:
            continue
        answer = typer.prompt("one person? [y]es, [n]o, [s]kip, [q]uit", default="s").strip().lower()[:1]
        if answer == "q":
            break
        if answer in ("y", "n"):
            decide = book.accept if answer == "y" else book.reject
            _tell(decide(found["left"]["record"], found["right"]["record"], "review"), json=False)
    if not pairs:
        out.print("nothing to review: no undecided pair lies near the threshold")


def accept(left: Record, right: Record, reason: Reason = None, by: By = None, json: Json = False) -> None:
    """Two records are one person."""
    _tell(_book(by).accept(left, right, reason), json)


def reject(left: Record, right: Record, reason: Reason = None, by: By = None, json: Json = False) -> None:
    """Two records are two persons."""
    _tell(_book(by).reject(left, right, reason), json)


def merge(left: Named, right: Named, reason: Reason = None, by: By = None, json: Json = False) -> None:
    """Two customers are one person: the older golden ID stays and answers for the other."""
    _tell(_book(by).merge(left, right, reason), json)


def unmerge(
    named: Annotated[
        list[str], typer.Argument(help="A golden ID that was merged away, or the records that leave.")
    ],
    reason: Reason = None,
    by: By = None,
    json: Json = False,
) -> None:
    """Part a customer: a golden ID that was merged away comes back, or the records named leave."""
    _tell(_book(by).unmerge(named, reason), json)


def withdraw(left: Named, right: Named, reason: Reason = None, by: By = None, json: Json = False) -> None:
    """Take back every decision that stands between two records or customers."""
    _tell(_book(by).withdraw(left, right, reason), json)


def pin(
    record: Record,
    golden_id: Annotated[str, typer.Argument(help="The golden ID that its customer is to have.")],
    reason: Reason = None,
    by: By = None,
    json: Json = False,
) -> None:
    """Keep a record with a golden ID, whatever merges or splits."""
    _tell(_book(by).pin(record, golden_id, reason), json)


def unpin(record: Record, reason: Reason = None, by: By = None, json: Json = False) -> None:
    """Take back a pin."""
    _tell(_book(by).unpin(record, reason), json)


def override(
    named: Named,
    field: Annotated[str, typer.Argument(help="A field of the golden record, such as birth_date.")],
    value: Annotated[str | None, typer.Argument(help="The value; an empty one says that there is none.")] = None,
    withdrawn: Annotated[bool, typer.Option("--withdraw", help="Take the value back.")] = False,
    reason: Reason = None,
    by: By = None,
    json: Json = False,
) -> None:
    """Set a field that every source has wrong; it wins over every rule until it is taken back."""
    from onefold_storage.errors import BadInput
    from onefold_workers.setting import standard_value

    if withdrawn == (value is not None):
        raise BadInput("override: expected a value, or --withdraw")
    installation = _installation()
    said = None if value is None else standard_value(field, value, installation.workspace.settings.country)
    _tell(_book(by, installation).override(named, field, said, reason), json)


def decisions(json: Json = False) -> None:
    """Every decision about records and every value set by a person, in the order in which they were made."""
    from onefold_storage.schema import EVIDENCE, OVERRIDES

    lake = _installation().lake
    told: list[dict[str, Any]] = []
    for name, kind in ((EVIDENCE.name, "records"), (OVERRIDES.name, "value")):
        told += [{"about": kind, **row} for row in lake.scan(name).collect().to_dicts()]
    told.sort(key=lambda row: row["decided_at"])
    if json:
        print_json({"decisions": told})
        return
    for row in told:
        what = row.get("verdict") or (
            f"{row['field']} set" if row["value"] is not None else f"{row['field']} taken back"
        )
        of = " ".join(filter(None, (row.get("left_key"), row.get("right_key"), row.get("record_key"))))
        out.print(
            safe(f"{row['decided_at']:%Y-%m-%d %H:%M}  {row['decided_by']}  {what}  {of}  {row['reason'] or ''}")
        )


COMMANDS: dict[str, Callable[..., None]] = {
    "review": review,
    "accept": accept,
    "reject": reject,
    "merge": merge,
    "unmerge": unmerge,
    "withdraw": withdraw,
    "pin": pin,
    "unpin": unpin,
    "override": override,
    "decisions": decisions,
}


def _installation() -> Installation:
    from onefold_storage.installation import Installation
    from onefold_storage.settings import StorageSettings

    return Installation(StorageSettings())


def _book(by: str | None, installation: Installation | None = None) -> Decisions:
    from onefold_storage.decisions import Decisions

    return Decisions(installation or _installation(), by or account_name())


def _tell(decided: Decided, json: bool) -> None:
    if json:
        from dataclasses import asdict

        print_json(asdict(decided))
    else:
        rows = f"{decided.rows} row{'' if decided.rows == 1 else 's'}"
        out.print(f"{decided.decision}: {rows} written, in force with the next `onefold integrate`")
