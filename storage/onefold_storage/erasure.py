"""Erases people from every place, looks whether anything is left, and says so in receipts without personal data.

The order matters: first the suppression list, so that nothing lands meanwhile; then what is served and derived;
then each place of `places.py`, each table rewritten; then the old files go. The contact records and links that say
who a person is come last; whom it is about is kept besides (`unfinished.py`) until nothing of them is left, so that
an erasure that was cut off, or left something, is simply run again. Several people go in one pass over the lake.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from onefold_storage.errors import Conflict
from onefold_storage.installation import FLOW, Installation
from onefold_storage.law import ERASED
from onefold_storage.person import Person, find_people, together
from onefold_storage.places import PLACES, table_of
from onefold_storage.rescanning import holding, looked_at, withheld
from onefold_storage.schema import CONTACT_RECORDS, LINKS
from onefold_storage.spool_erasing import rescan_spool
from onefold_storage.sweeping import sweep
from onefold_storage.terms import Terms
from onefold_storage.unfinished import begin, begun, end, kept_people

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
    `together`: how many people went in the same pass, of whom `places`, `files` and `versions` are counts.
    `resumed`: an earlier erasure of this person did not end; what that one removed is not counted here.
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
    together: int = 1
    resumed: bool = False

    @property
    def complete(self) -> bool:
        """Whether nothing is left."""
        return not self.left


def whom(installation: Installation, golden_ids: Iterable[str]) -> list[Person]:
    """Whom an erasure of these golden IDs is about; merged IDs are their survivor, who stands once.

    Raises:
        NotFound: no customer has or had one of them.
    """
    return find_people(installation, golden_ids, kept_people(installation.lake.objects))


def erase(installation: Installation, golden_id: str, now: datetime, *, actor: str = "erasure") -> Receipt:
    """Erase one customer; as `erase_all`."""
    return erase_all(installation, [golden_id], now, actor=actor)[0]


def erase_all(
    installation: Installation, golden_ids: Sequence[str], now: datetime, *, actor: str = "erasure"
) -> list[Receipt]:
    """Erase customers in one pass; run again, it sweeps again. The receipts are kept in the ledger's audit trail.

    Raises:
        NotFound: no customer has or had one of these golden IDs; nobody was erased then.
        Conflict: a table stayed locked; nothing of it was lost, run it again.
    """
    with installation.lake.lock(FLOW):
        return _erase(installation, golden_ids, now, actor) if golden_ids else []


def _erase(installation: Installation, golden_ids: Sequence[str], now: datetime, actor: str) -> list[Receipt]:
    objects, ledger = installation.lake.objects, installation.ledger
    resumed, people = begun(objects), whom(installation, golden_ids)
    for person in people:
        begin(objects, person)
    everyone = together(people)
    ledger.suppression.add(everyone.suppressed(installation.keyed_hash), "erasure")
    installation.law.copy()  # a ledger that is lost from here on is not the end of it
    places = _take_out(installation, everyone, last=False)
    files = _sweep(installation, [n for n in installation.lake.names() if n not in _LAST])
    places |= _take_out(installation, everyone, last=True)
    files += _sweep(installation, [n for n in installation.lake.names() if n in _LAST])
    files += _abandoned(installation)
    versions = objects.forget_versions()
    scanned, left = _searched(installation, people)
    receipts = [
        Receipt(
            p.golden_id, now, places, files, len(p.identifiers), p.shared, scanned if p.identifiers else 0,
            left[p.golden_id], versions, len(people), p.golden_id in resumed,
        )
        for p in people
    ]  # fmt: skip
    for receipt in receipts:
        detail = asdict(receipt) | {"erased_at": now.isoformat(), "left": list(receipt.left)}
        ledger.audit.add(actor, ERASED, receipt.golden_id, detail)
    installation.law.copy()
    for receipt in receipts:
        if receipt.complete:
            end(objects, receipt.golden_id)
    if versions:
        objects.forget_versions()
    ledger.settle()
    return receipts


def _searched(installation: Installation, people: list[Person]) -> tuple[int, dict[str, tuple[str, ...]]]:
    """How many objects and files were looked through, and what still holds each of these people, by golden ID."""
    objects, everyone = installation.lake.objects, together(people)
    keys = looked_at(objects)
    held = holding(objects, Terms.of(everyone.identifiers), keys)
    waiting, unsent = rescan_spool(installation, everyone)
    left = {}
    for person in people:  # once more, and only what holds any of them
        terms = Terms.of(person.identifiers)
        own = holding(objects, terms, held) if len(people) > 1 else held
        files = rescan_spool(installation, person)[1] if unsent and len(people) > 1 else unsent
        left[person.golden_id] = (*withheld(terms, own), *files)
    return len(keys) + waiting, left


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
