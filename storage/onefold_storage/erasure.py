"""Erases a person from every place, looks whether anything is left, and says so in a receipt without personal data.

The order matters: first the suppression list, so that nothing lands meanwhile; then what is served and derived;
then each place of `places.py`, each table rewritten; then the old files go. The contact records and links that say
who the person is come last, so that an erasure that was cut off is simply run again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from onefold_storage.errors import Conflict
from onefold_storage.installation import FLOW, Installation
from onefold_storage.law import ERASED
from onefold_storage.person import Person, find_person
from onefold_storage.places import PLACES, table_of
from onefold_storage.rescanning import Terms, rescan
from onefold_storage.schema import CONTACT_RECORDS, LINKS
from onefold_storage.spool_erasing import rescan_spool
from onefold_storage.sweeping import sweep

_LAST = (CONTACT_RECORDS.name, LINKS.name)
_PATIENCE = 600.0
"""Seconds to wait for who is landing: what lies uncommitted is theirs."""


@dataclass(frozen=True)
class Receipt:
    """What an erasure came to.

    `places`: what was removed by place: rows, objects or files. `files`: old files that went with them.
    `suppressed`: identifiers that may not land again. `shared`: identifiers left out because other customers carry
    them too. `scanned`: objects decoded afterwards, and files of the write-ahead log; `left`: those that still hold
    the person, none at best.
    `versions`: what a bucket that somebody versions had kept of objects that were replaced or deleted.
    """

    golden_id: str
    erased_at: datetime
    places: dict[str, int]
    files: int
    suppressed: int
    shared: int
    scanned: int
    left: tuple[str, ...] = field(default=())
    versions: int = 0

    @property
    def complete(self) -> bool:
        """Whether nothing is left."""
        return not self.left


def erase(installation: Installation, golden_id: str, now: datetime, *, actor: str = "erasure") -> Receipt:
    """Erase a customer; run again, it sweeps again. The receipt is kept in the ledger's audit trail.

    Raises:
        NotFound: no customer has or had this golden ID.
        Conflict: a table stayed locked; nothing of it was lost, run it again.
    """
    with installation.lake.lock(FLOW):
        return _erase(installation, golden_id, now, actor)


def _erase(installation: Installation, golden_id: str, now: datetime, actor: str) -> Receipt:
    person = find_person(installation, golden_id)
    ledger = installation.ledger
    ledger.suppression.add(person.suppressed(installation.keyed_hash), "erasure")
    installation.law.copy()  # a ledger that is lost from here on is not the end of it
    places = _take_out(installation, person, last=False)
    files = _sweep(installation, [n for n in installation.lake.names() if n not in _LAST])
    places |= _take_out(installation, person, last=True)
    files += _sweep(installation, [n for n in installation.lake.names() if n in _LAST])
    files += _abandoned(installation)
    versions = installation.lake.objects.forget_versions()
    scanned, left = rescan(installation.lake.objects, Terms.of(person.identifiers))
    waiting, unsent = rescan_spool(installation, person)
    receipt = Receipt(
        person.golden_id, now, places, files, len(person.identifiers), person.shared, scanned + waiting,
        (*left, *unsent), versions,
    )  # fmt: skip
    detail = asdict(receipt) | {"erased_at": now.isoformat(), "left": list(receipt.left)}
    ledger.audit.add(actor, ERASED, person.golden_id, detail)
    installation.law.copy()
    ledger.settle()
    return receipt


def _take_out(installation: Installation, person: Person, *, last: bool) -> dict[str, int]:
    done: dict[str, int] = {}
    tables = installation.lake.names()
    for place in PLACES:
        if place.erase is None or (place.name in _LAST) != last:
            continue
        names = [t for t in tables if place.covers(t) and t not in done] if place.kind == "table" else [place.name]
        for name in names:
            done[name] = place.erase(installation, name.removesuffix("/*"), person)
    return done


def _sweep(installation: Installation, names: list[str]) -> int:
    """Remove the files that tables no longer need: those just rewritten, and those replaced before."""
    files = 0
    for name in names:
        done = sweep(installation.lake, name, timedelta(0), patience=_PATIENCE)
        if done.busy:
            raise Conflict(
                f"{name}: somebody has been landing into it for {_PATIENCE:.0f} s; run the erasure again"
            )
        files += done.objects
    return files


def _abandoned(installation: Installation) -> int:
    """Remove parts of tables that never came to be: a first package that was killed on the way."""
    lake = installation.lake
    names = {t for k in lake.objects.keys("") if (t := table_of(k))}
    gone = 0
    for name in sorted(names):
        with lake.lock(f"land:{name.split('/', 1)[1]}"), lake.lock(name):
            if not lake.exists(name):
                gone += len(lake.objects.keys(name))
                lake.objects.delete_below(name)
    return gone
