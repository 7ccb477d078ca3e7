"""Live wishes: consents and objections as people express them, in force from the next request on.

A wish belongs to a contact point or a record, by its keyed hash, and names the golden IDs it was about when it
was expressed. The last wish of a subject for a data use and channel stands. A DENIED or REVOKED one forbids at
once, whatever the publication says; a GRANTED one lifts an earlier wish of the same subject for the same data use
and channel, and allows only when it has become a consent in the lake (fail closed). What `any` means is the same
here as there: otherwise a list would change its mind with the next publication.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row, func, select

from onefold_storage.clock import Clock
from onefold_storage.ledger_access import Access
from onefold_storage.ledger_tables import wishes

State = Literal["GRANTED", "DENIED", "REVOKED"]
ANY = "any"
Subject = tuple[str, str]
"""Kind of identifier and its keyed hash."""


@dataclass(frozen=True)
class Wish:
    """What one person wants: `data_use` and `channel` may be `any`; `evidence` says where it was expressed."""

    subject_kind: str
    subject_hash: str
    data_use: str
    channel: str
    state: State
    golden_ids: tuple[str, ...] = ()
    evidence: str | None = None

    @property
    def forbids(self) -> bool:
        """Whether it takes a permission away."""
        return self.state != "GRANTED"

    def covers(self, data_use: str, channel: str) -> bool:
        """Whether it speaks about that data use and channel; use without contact (`any`) is part of every channel."""
        return self.data_use in (data_use, ANY) and (self.channel in (channel, ANY) or channel == ANY)


@dataclass(frozen=True)
class Standing:
    """The wishes that stand, by subject: of each data use and channel the newest, newest first.

    Subjects are in the order of their newest wish. A wish names whom any of the earlier ones it replaces was about.
    """

    revision: int
    by_subject: Mapping[Subject, tuple[Wish, ...]]
    fresh: tuple[Subject, ...] = ()
    """Whose wishes came last, where this followed on another."""
    recorded: int = 0
    last: tuple[object, ...] = ()
    """How many wishes the book had, and what the newest of them said: tells whether it was rewritten since."""

    def golden_ids(self, subject: Subject) -> set[str]:
        """The customers a subject was known to be of when its wishes were expressed."""
        return {g for wish in self.by_subject.get(subject, ()) for g in wish.golden_ids}

    def forbidding(self, subjects: Iterable[Subject], data_use: str, channel: str) -> Wish | None:
        """The wish that forbids contact with a person who has these subjects: the strictest wins; else None."""
        for subject in subjects:
            found = _forbidding(self.by_subject.get(subject, ()), data_use, channel)
            if found is not None:
                return found
        return None


def _forbidding(expressed: Iterable[Wish], data_use: str, channel: str) -> Wish | None:
    """Of one subject's wishes, newest first: the one that forbids.

    One against the data use through `any` channel is lifted by a later one that grants the channel by name. One
    against `any` data use is lifted by nothing but a grant of the same words.
    """
    heard: set[tuple[str, str]] = set()
    granted = False  # this use through this channel, by name
    for wish in expressed:
        said = (wish.data_use, wish.channel)
        if said in heard or not wish.covers(data_use, channel):
            continue
        heard.add(said)
        if not wish.forbids:
            granted |= said == (data_use, channel)
        elif not (granted and said == (data_use, ANY)):
            return wish
    return None


class Wishes:
    """The book of live wishes."""

    def __init__(self, access: Access, clock: Clock) -> None:
        self._access = access
        self._clock = clock

    def add(self, wanted: Iterable[Wish], actor: str) -> datetime:
        """Keep wishes; gives the time they were expressed at."""
        at = self._clock.now()
        rows = [{**asdict(w), "golden_ids": list(w.golden_ids), "at": at, "actor": actor} for w in wanted]
        if rows:
            with self._access.write() as connection:
                connection.execute(wishes.insert(), rows)
        return at

    def forget_evidence(self, golden_ids: Collection[str]) -> int:
        """Drop what was written as evidence of wishes about these customers; gives of how many."""
        c = wishes.c
        with self._access.write() as connection:
            rows = connection.execute(select(c.id, c.golden_ids).where(c.evidence.is_not(None))).all()
            found = [r.id for r in rows if not set(golden_ids).isdisjoint(r.golden_ids)]
            for one in found:
                connection.execute(wishes.update().where(c.id == one).values(evidence=None))
        return len(found)

    def revision(self) -> int:
        """Grows with every wish: readers that know it need not read again.

        Writers of the ledger take turns until they have committed (`ledger.py`), so a wish is never seen before
        one with a smaller number.
        """
        found: int = self._access.one("SELECT coalesce(max(id), 0) FROM wishes")
        return found

    def standing(self, at: datetime | None = None) -> Standing:
        """What every subject wants now, or wanted at a moment."""
        return _followed(Standing(0, {}), self.listed(at))

    def after(self, known: Standing) -> Standing | None:
        """What every subject wants now, where `known` was read before: only what came since is read.

        None where the book was rewritten meanwhile (a ledger that was restored or rebuilt): all of it counts anew.
        """
        c = wishes.c
        with self._access.read() as connection:
            rows = connection.execute(select(wishes).where(c.id >= known.revision).order_by(c.id)).all()
            before = select(func.count()).select_from(wishes).where(c.id <= known.revision)
            recorded = connection.execute(before).scalar_one()
        same = not known.recorded or (bool(rows) and _said(rows[0]) == known.last)
        if recorded != known.recorded or not same:
            return None
        return _followed(known, rows[1:] if known.recorded else rows)

    def listed(self, at: datetime | None = None) -> list[Row[Any]]:
        """Every wish as it was expressed until `at`, oldest first; a row has the columns of the table."""
        query = select(wishes).order_by(wishes.c.id)
        with self._access.read() as connection:
            return list(connection.execute(query if at is None else query.where(wishes.c.at <= at)))


def _followed(known: Standing, rows: Sequence[Row[Any]]) -> Standing:
    """What stands after these wishes too, oldest first."""
    if not rows:
        return known
    by_subject, fresh = dict(known.by_subject), dict[Subject, None]()
    for r in rows:
        subject = (r.subject_kind, r.subject_hash)
        earlier = by_subject.pop(subject, ())
        replaced = [w for w in earlier if (w.data_use, w.channel) == (r.data_use, r.channel)]
        about = dict.fromkeys([*r.golden_ids, *(g for w in replaced for g in w.golden_ids)])
        wish = Wish(*subject, r.data_use, r.channel, r.state, tuple(about))
        by_subject[subject] = (wish, *(w for w in earlier if w not in replaced))
        fresh.pop(subject, None)
        fresh[subject] = None
    return Standing(rows[-1].id, by_subject, tuple(fresh), known.recorded + len(rows), _said(rows[-1]))


def _said(row: Row[Any]) -> tuple[object, ...]:
    return (row.id, row.at, row.subject_kind, row.subject_hash, row.data_use, row.channel, row.state)
