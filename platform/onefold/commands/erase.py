"""`onefold erase`: customers are taken out of every place; `onefold receipts`: the proof, without personal data."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onefold.terminal import err, out, print_json, waiting

if TYPE_CHECKING:
    from onefold_storage.erasure import Receipt
    from onefold_storage.installation import Installation

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Customers = Annotated[
    list[str], typer.Argument(metavar="GOLDEN_ID...", help="Golden IDs, as the API and the pages show them.")
]


def erase(
    golden_ids: Customers,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    publish: Annotated[bool, typer.Option(help="Publish what is left; until then the API serves nobody.")] = True,
    by: Annotated[str | None, typer.Option(help="Who erases; the account's name when left out.")] = None,
    json: Json = False,
) -> None:
    """Erase customers from every place that may hold them, for good.

    Their identifiers go onto the suppression list as keyed hashes, so that they do not land again. Afterwards every
    object is decoded and searched for them; the receipt says what was removed and whether anything is left. What was
    published is withdrawn, and published anew without them. Several go in one pass. Run again after it was cut off,
    it goes on. Ends with 4 where something is left, which the receipts name; they are printed all the same.
    """
    from onefold.account import account_name
    from onefold_storage.erasure import erase_all
    from onefold_storage.errors import Conflict

    installation = _installation()
    _agreed(installation, golden_ids, yes)
    receipts: list[Receipt] = []
    version: str | None = None
    try:
        with waiting(f"erasing {', '.join(golden_ids)}"):
            now, actor = installation.clock.now(), by or account_name()
            receipts = erase_all(installation, golden_ids, now, actor=actor)
        if not json:
            for receipt in receipts:
                _tell(_plain(receipt))
        served = installation.ledger.publications.any_served()
        installation.ledger.close()
        if publish and served:
            version = _published()
    finally:
        if json:
            print_json({"receipts": [_plain(r) for r in receipts], "publication": version})
    if version and not json:
        out.print(f"publication {version} is served without them")
    if left := [r.golden_id for r in receipts if not r.complete]:
        raise Conflict(
            f"something is left of {', '.join(left)}: see to what the receipt names, then run the erasure again"
        )


def receipts(
    limit: Annotated[int, typer.Option(min=1, help="The newest, so many at most.")] = 200, json: Json = False
) -> None:
    """What became of every erasure: when, by whom, what was removed, and whether anything was left."""
    from onefold_storage.law import ERASED

    found = _installation().ledger.audit.list(ERASED, limit)
    details = [(entry.detail or {}) | {"by": entry.actor} for entry in found]
    told = [detail | {"complete": not detail["left"]} for detail in details]
    if json:
        print_json({"receipts": told})
        return
    for receipt in told:
        _tell(receipt)
    if not told:
        out.print("nobody was erased")


def _agreed(installation: Installation, golden_ids: list[str], yes: bool) -> None:
    """Every ID is known, before anything is erased; and a person at a terminal has said yes.

    Raises:
        NotFound: one is not. BadInput: nobody can be asked, and `--yes` was not given.
    """
    from onefold_storage.erasure import whom
    from onefold_storage.errors import BadInput

    with waiting("looking for them"):
        people = whom(installation, golden_ids)
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadInput("an erasure cannot be undone: give --yes where nobody can be asked")
    for person in people:
        err.print(
            f"{person.golden_id}: {len(person.record_keys):,} records of theirs will be gone from every place"
        )
    if not typer.confirm("This cannot be undone. Erase?", err=True):
        err.print("nothing was erased")
        raise typer.Exit(1)


def _published() -> str:
    from onefold.commands.flows import run

    return str(run("publish", json=False)["version"])


def _plain(receipt: Receipt) -> dict[str, Any]:
    return asdict(receipt) | {"erased_at": receipt.erased_at.isoformat(), "complete": receipt.complete}


def _tell(receipt: dict[str, Any]) -> None:
    by = f" by {receipt['by']}" if "by" in receipt else ""
    out.print(f"{receipt['golden_id']} erased {receipt['erased_at']}{by}", markup=False)
    if receipt.get("resumed"):
        out.print("  goes on with an erasure that had not ended; what that one removed is not counted here")
    if (together := receipt.get("together", 1)) > 1:
        out.print(f"  {together:,} customers went in one pass: what was removed is counted of all of them")
    removed = {place: count for place, count in receipt["places"].items() if count}
    for place, count in sorted(removed.items()):
        out.print(f"  {place:36} {count:,} removed", markup=False)
    out.print(
        f"  {receipt['files']:,} old files and {receipt['versions']:,} old versions went with them; "
        f"{receipt['suppressed']:,} identifiers may not land again"
    )
    if receipt["shared"]:
        out.print(f"  {receipt['shared']:,} identifiers stay: other customers have them too")
    left = receipt["left"]
    if not receipt["scanned"]:
        out.print("  nothing was known of them any more, so nothing was searched for")
        return
    out.print(
        f"  searched afterwards: {receipt['scanned']:,} objects, "
        + ("nothing is left" if not left else f"{len(left):,} still hold them: {', '.join(left)}"),
        markup=False,
    )


def _installation() -> Installation:
    from onefold_storage.installation import Installation
    from onefold_storage.settings import StorageSettings

    return Installation(StorageSettings())
