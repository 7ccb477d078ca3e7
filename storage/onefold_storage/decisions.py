"""People's decisions about who is who: rows of `identity/evidence` and `identity/overrides`, never edits.

A decision is one batch of rows with one time; times grow strictly, so that the order of decisions is never in doubt,
even under a clock that stands still. Taking one back is a further batch. Every later run obeys them, and each has its
line in the audit trail, which names golden IDs alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl
import pyarrow as pa

from onefold_storage.errors import BadInput, Conflict, NotFound
from onefold_storage.evidence import pins, standing
from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.schema import CONTACT_RECORDS, EVIDENCE, LINKS, OVERRIDES, PERSON
from onefold_storage.survivors import survivor

MOST_ROWS = 20_000
MOST_PINS = 1_000
Verdicts = Iterable[tuple[str, str, str]]
"""Left key, right key, verdict."""


@dataclass(frozen=True)
class Side:
    """What was named: a record by its key, or a customer by a golden ID. `keys`: the records meant.

    `golden_id`: of the customer; None where no run has linked the record yet.
    """

    keys: tuple[str, ...]
    golden_id: str | None
    record: bool


@dataclass(frozen=True)
class Decided:
    """What was written: the decision, when, how many rows, and the golden IDs concerned as they stood."""

    decision: str
    at: datetime
    rows: int
    golden_ids: tuple[str, ...]


class Decisions:
    """The book of decisions. `actor`: who decides; `reason`: why, in words."""

    def __init__(self, installation: Installation, actor: str) -> None:
        self._installation = installation
        self._lake = installation.lake
        self._actor = actor

    def side(self, named: str) -> Side:
        """The records that a record key (`source:key`) or a golden ID stands for.

        Raises:
            NotFound: there is no such record or customer; what was named is not repeated.
        """
        return side(self._lake, named)

    def accept(self, left: str, right: str, reason: str | None = None) -> Decided:
        """Two records are one person."""
        a, b = self._records(left, right)
        return self._decide("accept", [(a.keys[0], b.keys[0], "must_link")], reason, a, b)

    def reject(self, left: str, right: str, reason: str | None = None) -> Decided:
        """Two records are two persons."""
        a, b = self._records(left, right)
        return self._decide("reject", [(a.keys[0], b.keys[0], "cannot_link")], reason, a, b)

    def merge(self, left: str, right: str, reason: str | None = None) -> Decided:
        """Two customers (or records) are one person: each record of one is linked to each of the other.

        Raises:
            Conflict: they are one already, or have too many records for one decision.
        """
        a, b = self.side(left), self.side(right)
        if a.golden_id is not None and a.golden_id == b.golden_id and not (a.record and b.record):
            raise Conflict("merge: the two are one customer already")
        return self._decide("merge", self._said(a.keys, b.keys, "must_link"), reason, a, b)

    def unmerge(self, named: list[str], reason: str | None = None) -> Decided:
        """Records leave their customer: those named, or those that a golden ID had before it was merged away.

        None of them is to be one with any that stays; what was decided among those that leave, and among those that
        stay, holds on.

        Raises:
            Conflict: there is nothing to part, or too much for one decision.
        """
        leaving, stays = self._parted(named)
        if not stays:
            raise Conflict("unmerge: this customer has no other records, there is nothing to part")
        return self._decide("unmerge", self._said(leaving.keys, stays, "cannot_link"), reason, leaving)

    def withdraw(self, left: str, right: str, reason: str | None = None) -> Decided:
        """Take back every decision that stands between two records or customers, each as a whole.

        Raises:
            NotFound: none stands.
        """
        a, b, held = self.side(left), self.side(right), self.standing()
        one, other = a.keys, b.keys
        if a.golden_id == b.golden_id and not (a.record or b.record):  # merged meanwhile: what each of them had
            gone = right if a.golden_id == left else left
            leaving, one = self._parted([gone])
            other = leaving.keys
        found = _batches(held, _across(held, one, other))
        if not found:
            raise NotFound("withdraw: no decision stands between these two")
        return self._decide("withdraw", [(x, y, "withdrawn") for x, y in found], reason, a, b)

    def pin(self, record: str, golden_id: str, reason: str | None = None) -> Decided:
        """The record's customer has this golden ID, from the next run on; it leaves the one it is with.

        Raises:
            BadInput: what is to be pinned is no record key. Conflict: too many pins.
        """
        a = self._records(record)[0]
        wanted = golden_id
        _answering(self._lake, wanted)  # it must have been given once
        key, holders = a.keys[0], _keys_of(self._lake, wanted)
        if pins(self._evidence()).height >= MOST_PINS:
            raise Conflict(f"pin: {MOST_PINS:,} records are pinned, which is the most; unpin some")
        rows = [(key, wanted, "pinned")]
        if holders and key not in holders:
            former = tuple(k for k in _keys_of(self._lake, a.golden_id) if k != key)
            rows += self._said((key,), holders, "must_link") + self._said((key,), former, "cannot_link")
        return self._decide("pin", rows, reason, a, Side((), wanted, record=False))

    def unpin(self, record: str, reason: str | None = None) -> Decided:
        """Take back a record's pin, with the links that were part of it.

        Raises:
            NotFound: it is not pinned.
        """
        a = self._records(record)[0]
        said = self._evidence().filter(
            pl.col("left_key") == a.keys[0], pl.col("verdict").is_in(["pinned", "unpinned"])
        )
        last = said.tail(1).to_dicts()
        if not last or last[0]["verdict"] == "unpinned":
            raise NotFound("unpin: this record is not pinned")
        part = self.standing().filter(pl.col("decided_at") == last[0]["decided_at"])
        rows = [(a.keys[0], last[0]["right_key"], "unpinned")]
        rows += [(x, y, "withdrawn") for x, y in part.select("left_key", "right_key").rows()]
        return self._decide("unpin", rows, reason, a)

    def override(self, named: str, field: str, value: str | None, reason: str | None = None) -> Decided:
        """Set a field of a customer's golden record, whatever the sources say; None takes it back.

        It belongs to the record named, or to that of a customer which the field came from: it follows that record
        through merge and split. `value` in its standard form (`onefold_workers.cleaning.value`); empty for none.

        Raises:
            BadInput: no such field. NotFound: nothing to take back.
        """
        known = [c.name for c in PERSON]
        if field not in known:
            raise BadInput(f"override: no field of this name; there are {', '.join(known)}")
        a = self.side(named)
        at = self._lake.scan(OVERRIDES.name).filter(pl.col("record_key").is_in(list(a.keys)), field=field)
        last = at.sort("decided_at").unique("record_key", keep="last", maintain_order=True).collect()
        set_on = last.drop_nulls("value")["record_key"].to_list()
        if value is None and not set_on:
            raise NotFound("override: no value of this field was set by a person")
        keys = set_on if value is None else set_on[-1:] or [self._anchor(a, field)]
        with self._lake.lock("decisions"):
            now = self._next(OVERRIDES.name)
            made = [
                {"record_key": k, "field": field, "value": value, "decided_by": self._actor, "reason": reason}
                | {"decided_at": now}
                for k in keys
            ]
            self._lake.append(OVERRIDES.name, pa.Table.from_pylist(made, schema=OVERRIDES.arrow))
        return self._told("override" if value is not None else "override.withdraw", now, len(made), (a,), field)

    def standing(self) -> pl.DataFrame:
        """The decisions on pairs that hold, as rows of evidence with `left_key` < `right_key`."""
        return standing(self._evidence())

    def _said(self, one: Iterable[str], other: Iterable[str], verdict: str) -> list[tuple[str, str, str]]:
        """A verdict on each pair between two groups of records, where it does not stand already.

        So a row belongs to one decision alone, and taking one back disturbs no other.
        """
        held = self.standing().filter(pl.col("verdict") == verdict).select("left_key", "right_key").rows()
        pairs = {(min(x, y), max(x, y)) for x in one for y in other if x != y}
        if len(pairs) > MOST_ROWS:
            raise Conflict(f"more than {MOST_ROWS:,} pairs of records are concerned; decide about fewer")
        return [(x, y, verdict) for x, y in sorted(pairs - set(held))]

    def _records(self, *named: str) -> tuple[Side, ...]:
        sides = tuple(self.side(n) for n in named)
        if not all(s.record for s in sides):
            raise BadInput("expected record keys such as crm:42, found a golden ID; `merge` takes golden IDs")
        if len({s.keys for s in sides}) < len(sides):
            raise BadInput("expected two records, found the same one twice")
        return sides

    def _parted(self, named: list[str]) -> tuple[Side, tuple[str, ...]]:
        """Those that leave, and those that stay."""
        sides = [self.side(n) for n in named]
        if len(named) == 1 and not sides[0].record:
            own, before = sides[0], named[0]
            closed = (
                self._lake.scan(LINKS.name).filter(pl.col("valid_to").is_not_null(), golden_id=before).collect()
            )
            last = set(closed.filter(pl.col("valid_to") == pl.col("valid_to").max())["record_key"])
            leaving = tuple(k for k in own.keys if k in last)
            if own.golden_id == before or not leaving:
                raise Conflict(
                    "unmerge: this golden ID was not merged into another; name the records that are to leave"
                )
        elif all(s.record for s in sides) and len({s.golden_id for s in sides}) == 1 and sides[0].golden_id:
            own = Side(_keys_of(self._lake, sides[0].golden_id), sides[0].golden_id, record=False)
            leaving = tuple(k for s in sides for k in s.keys)
        else:
            raise BadInput("unmerge: expected one merged golden ID, or record keys of one customer")
        return Side(leaving, own.golden_id, record=True), tuple(k for k in own.keys if k not in set(leaving))

    def _anchor(self, a: Side, field: str) -> str:
        """The record whose value is to be set right: the newest that has the field, else the first."""
        if len(a.keys) == 1:
            return a.keys[0]
        own = self._lake.scan(CONTACT_RECORDS.name).filter(
            pl.col("record_key").is_in(list(a.keys)), pl.col(field).is_not_null()
        )
        found = own.sort("effective_at", "record_key").select("record_key").collect()["record_key"].to_list()
        return str(found[-1]) if found else min(a.keys)

    def _evidence(self) -> pl.DataFrame:
        return self._lake.scan(EVIDENCE.name).collect().sort("decided_at", maintain_order=True)

    def _decide(self, decision: str, rows: Verdicts, reason: str | None, *sides: Side) -> Decided:
        listed = [
            {"left_key": x, "right_key": y, "verdict": v, "decided_by": self._actor, "reason": reason}
            for x, y, v in rows
        ]
        with self._lake.lock("decisions"):
            now = self._next(EVIDENCE.name)
            made = pa.Table.from_pylist([r | {"decided_at": now} for r in listed], schema=EVIDENCE.arrow)
            self._lake.append(EVIDENCE.name, made)
        return self._told(decision, now, len(listed), sides)

    def _next(self, name: str) -> datetime:
        """The clock's time, or just after the last decision where that is not later."""
        last = self._lake.scan(name).select(pl.col("decided_at").max()).collect().item()
        now = self._installation.clock.now()
        return now if last is None or now > last else last + timedelta(microseconds=1)

    def _told(
        self, decision: str, at: datetime, rows: int, sides: tuple[Side, ...], field: str | None = None
    ) -> Decided:
        ids = tuple(dict.fromkeys(s.golden_id for s in sides if s.golden_id))
        detail = {"golden_ids": list(ids), "rows": rows} | ({"field": field} if field else {})
        self._installation.ledger.audit.add(self._actor, f"identity.{decision}", ids[0] if ids else None, detail)
        return Decided(decision, at, rows, ids)


def side(lake: Lake, named: str) -> Side:
    """The records that a record key (`source:key`) or a golden ID stands for; see `Decisions.side`."""
    if ":" not in named:
        golden_id = _answering(lake, named)
        return Side(_keys_of(lake, golden_id), golden_id, record=False)
    owner = (
        lake.scan(LINKS.name).filter(pl.col("valid_to").is_null(), record_key=named).select("golden_id").collect()
    )
    known = owner.height or lake.scan(CONTACT_RECORDS.name).filter(record_key=named).head(1).collect().height
    if not known:
        raise NotFound("no contact record has this key; keys look like source:key")
    return Side((named,), owner["golden_id"].first() if owner.height else None, record=True)  # type: ignore[arg-type]


def _answering(lake: Lake, golden_id: str) -> str:
    """The golden ID that answers for this one."""
    try:
        return survivor(lake, golden_id)[0]
    except NotFound:  # what was named is not repeated: it may be anything
        raise NotFound("no customer has or had this golden ID; record keys look like source:key") from None


def _keys_of(lake: Lake, golden_id: str | None) -> tuple[str, ...]:
    held = lake.scan(LINKS.name).filter(pl.col("valid_to").is_null(), pl.col("golden_id") == golden_id)
    return tuple(held.select("record_key").sort("record_key").collect()["record_key"])


def _across(held: pl.DataFrame, a: Iterable[str], b: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs that decisions stand on, one key of each side."""
    one, other = list(a), list(b)
    left, right = pl.col("left_key"), pl.col("right_key")
    crossing = (left.is_in(one) & right.is_in(other)) | (left.is_in(other) & right.is_in(one))
    return held.filter(crossing).select("left_key", "right_key").rows()


def _batches(held: pl.DataFrame, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """All pairs of the decisions that these are part of."""
    named = pl.DataFrame(pairs, schema={"left_key": pl.String, "right_key": pl.String}, orient="row")
    times = held.join(named, on=["left_key", "right_key"], how="semi")["decided_at"].unique()
    return held.filter(pl.col("decided_at").is_in(times.implode())).select("left_key", "right_key").rows()
