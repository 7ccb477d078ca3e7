"""New, changed and vanished records in a resolved base: the same clusters as if all were resolved anew.

Under one model the clusters follow from the records alone, and what one record changes is bounded: the blocks that it
comes into or leaves, the pairs of those, and the components that these pairs tie. Only values of records in there are
fetched; everything else stands in what the last run kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from onefold_storage.errors import BadInput
from onefold_workers.identity.clustering import components
from onefold_workers.identity.coding import StoredPeople, code_people, forget, keep_rows
from onefold_workers.identity.comparing import CLOSE, Weighing, weigh_pairs
from onefold_workers.identity.conflicts import sole_holders
from onefold_workers.identity.desk import InMemory
from onefold_workers.identity.fields import ATTRIBUTE
from onefold_workers.identity.frequencies import known_shares
from onefold_workers.identity.grouping import Ground, group
from onefold_workers.identity.keeping import Kept, stacked
from onefold_workers.identity.marking import Marks, mark
from onefold_workers.identity.model import IdentityModel
from onefold_workers.identity.people import People, Rows
from onefold_workers.identity.reporting import edges as edge_rows
from onefold_workers.identity.resolution import copies_weight, decided_rows
from onefold_workers.identity.shares import BIRTH
from onefold_workers.identity.touching import Blocks, Flags, is_among
from onefold_workers.identity.weighed import PairRows, Weighed, laid_down, together
from onefold_workers.identity.weights import log2, tells_a_person

Fetch = Callable[[pl.Series], pl.DataFrame]
"""Records by key, as `resolve` takes them, in any order."""
_NO_RULE = ("component", "identical")


@dataclass(frozen=True)
class Added:
    """What has become of a base: what to keep now, its edges, and how much of it was looked at.

    `kept`: one row a record; its keys and clusters are the new clusters. `looked_at`: records that were compared;
    `pairs`: how many pairs; `touched`: records whose component was clustered anew.
    """

    kept: Kept
    edges: pl.DataFrame
    looked_at: int
    pairs: int
    touched: int


def resolve_more(
    kept: Kept,
    edges: pl.DataFrame,
    records: pl.DataFrame,
    gone: pl.Series,
    fetch: Fetch,
    model: IdentityModel,
    *,
    evidence: pl.DataFrame | None = None,
    many: Sequence[str] = (),
) -> Added | None:
    """Add records to a resolved base.

    Args:
        kept, edges: what the last run under this model and this evidence left.
        records: new records, and changed ones as they are now.
        gone: keys of records that are no more.
        fetch: gives the values of records of the base.

    Returns:
        None where all must be resolved anew: the records bring a field or a source of its own keys that the base does
        not know, or people decided about one of them.

    Raises:
        BadInput: `fetch` did not give a record that it was asked for.
    """
    records = records.unique("record_key", keep="first").sort("record_key")
    fresh = code_people(records, None, InMemory(), map)
    news = [n for n in fresh.columns if n not in kept.fields and not n.startswith(ATTRIBUTE)]
    sides = evidence.select("left_key", "right_key") if evidence is not None else None
    changing = pl.concat([records["record_key"].alias("k"), gone.cast(pl.String).alias("k")])
    if news or (sides is not None and any(s.is_in(changing.implode()).any() for s in sides.get_columns())):
        return None
    fresh = code_people(records, frozenset(kept.fields), InMemory(), map)
    marked = mark(fresh, model.rules, kept.fields, model.salt, map)
    stays = ~kept.keys.is_in(changing.implode()).to_numpy()
    grown = _grown(kept, records["record_key"], marked.profile, marked.keys)
    live = np.concatenate([stays, np.ones(records.height, dtype=bool)])
    before = np.concatenate([kept.lead, np.zeros(records.height, dtype=bool)])
    said_again = np.unique(np.concatenate([marked.profile, kept.profile[~stays]]))
    after = _leads(grown, live, before, said_again)
    blocks = Blocks(grown.marks, before, after)
    dirty = blocks.changed(model.rules, np.flatnonzero(before != after))
    left, right, number = blocks.pairs(model.rules, dirty)
    # A profile that more or fewer records share than before is looked at again, too.
    again = np.flatnonzero(is_among(grown.profile, said_again) & after)
    near = np.unique(np.concatenate([dirty, left, right, again, np.flatnonzero(before & ~after)]))
    reach = _of_components(grown.component, near) & after
    reach[near] = after[near]
    part = _Part(grown, np.flatnonzero(reach), records, fetch, model, evidence, many, live)
    torn = np.concatenate([dirty, again, np.flatnonzero(before & ~after)])
    torn = np.flatnonzero((_of_components(grown.component, torn) | _among(len(after), torn)) & after)
    return part.settled(edges, (left, right, number), dirty, torn, before & ~after, after)


def _grown(kept: Kept, keys: pl.Series, profile: Marks, marks: dict[str, Marks]) -> Kept:
    """All records that are or were, new ones last and in no component yet."""
    none = np.full(len(keys), -1, dtype=np.int64)
    return replace(
        kept,
        keys=pl.concat([kept.keys, keys.alias(kept.keys.name)]),
        component=np.concatenate([kept.component, none]),
        cluster=np.concatenate([kept.cluster, none]),
        lead=np.concatenate([kept.lead, none < -1]),
        profile=np.concatenate([kept.profile, profile]),
        marks={n: stacked(m, marks[n]) for n, m in kept.marks.items()},
    )


def _leads(grown: Kept, live: Flags, before: Flags, profiles: Marks) -> Flags:
    """Which records stand for their profile now: of those that say the same the first by key."""
    after = before & live
    rows = np.flatnonzero(is_among(grown.profile, profiles))
    after[rows] = False
    rows = rows[live[rows]]
    some = pl.DataFrame({"row": rows, "key": grown.keys.gather(rows), "profile": grown.profile[rows]})
    after[some.sort("key").unique("profile", keep="first")["row"].to_numpy()] = True
    return after


def _of_components(component: Rows, rows: Rows) -> Flags:
    """Which records are in a component of any of the rows."""
    hit = np.zeros(int(component.max(initial=-1)) + 2, dtype=bool)
    hit[component[rows]] = True
    hit[-1] = False
    found: Flags = hit[component]
    return found


def _among(size: int, rows: Rows) -> Flags:
    out = np.zeros(size, dtype=bool)
    out[rows] = True
    return out


class _Part:
    """The records that may be touched, with their values, in the order of their keys."""

    def __init__(
        self,
        grown: Kept,
        rows: Rows,
        records: pl.DataFrame,
        fetch: Fetch,
        model: IdentityModel,
        evidence: pl.DataFrame | None,
        many: Sequence[str],
        live: Flags,
    ) -> None:
        self.grown, self.model, self.live = grown, model, live
        order = grown.keys.gather(rows).arg_sort().to_numpy()
        self.rows = rows[order]
        self.keys = grown.keys.gather(self.rows)
        wanted = self.keys.filter(~self.keys.is_in(records["record_key"].implode()))
        mine = records.filter(pl.col("record_key").is_in(self.keys.implode()))
        values = pl.concat([fetch(wanted), mine], how="diagonal_relaxed") if len(wanted) else mine
        values = values.sort("record_key")
        if not values["record_key"].equals(self.keys.alias("record_key")):
            raise BadInput(f"records: expected {len(self.keys)} that the base has, found {values.height} of them")
        stored = code_people(values, frozenset(grown.fields), InMemory(), map)
        self.people: People = stored.open()
        self.stored: StoredPeople = keep_rows(stored, np.arange(stored.size), self.people.persons, map)
        self.copies = self._count()
        self.rich = tells_a_person(self.people, log2(model.priors.same))
        must, cannot = decided_rows(self.keys, evidence)
        born = self.people.columns[BIRTH].known if BIRTH in self.people.columns else np.zeros(len(rows), dtype=bool)
        holders = sole_holders(values, many, grown.own_keys)
        copies = np.where(self.rich, self.copies, 1)
        self.ground = Ground(self.people.fields, must, cannot, holders, copies, born)
        bare = replace(model, frequencies={}, rare={})
        self.weighing = Weighing(
            self.stored, bare, known_shares(self.stored, model, np.flatnonzero(self.copies > 1), map)
        )

    def _members(self) -> tuple[Rows, Rows]:
        """Records that say what those of this part say, and the place of each one's profile in this part."""
        mine = self.grown.profile[self.rows]
        order = np.argsort(mine)
        rows = np.flatnonzero(is_among(self.grown.profile, mine[order]) & self.live)
        return rows, order[np.searchsorted(mine[order], self.grown.profile[rows])]

    def _count(self) -> npt.NDArray[np.int64]:
        return np.bincount(self._members()[1], minlength=len(self.rows))

    def settled(
        self,
        edges: pl.DataFrame,
        found: tuple[Rows, Rows, Rows],
        dirty: Rows,
        torn: Rows,
        retired: Flags,
        after: Flags,
    ) -> Added:
        """Weigh what is new, cluster what is touched, and put both in the place of what was."""
        place = np.full(len(after), -1, dtype=np.int64)
        place[self.rows] = np.arange(len(self.rows))
        lost = pl.concat([self.grown.keys.filter(pl.Series(retired)), self.grown.keys.gather(dirty)])
        lost = pl.concat([lost, self.grown.keys.filter(pl.Series(~self.live))]).unique()
        stale = pl.col("left_key").is_in(lost.implode()) | pl.col("right_key").is_in(lost.implode())
        edges = edges.filter(~stale)
        fresh = self._weigh(place[found[0]], place[found[1]], found[2])
        fresh = fresh.at(fresh.weight > self.model.threshold + CLOSE)
        close = together([fresh, self._weigh(*self._known(edges))])
        order = np.argsort(close.pairs.keys)
        close = close.at(order)
        likely = close.weight > self.model.threshold
        left = np.append(close.pairs.left[likely], self.ground.must[:, 0])
        right = np.append(close.pairs.right[likely], self.ground.must[:, 1])
        component = components(len(self.rows), left, right)
        hit = np.zeros(len(self.rows), dtype=bool)
        hit[component[place[torn]]] = True
        touched = hit[component]
        mine = close.at(touched[close.pairs.left] & touched[close.pairs.right])
        desk, threshold = self.stored.desk, self.model.threshold
        now = group(self.ground, [laid_down(desk, mine, threshold)], self.weighing, self.model.largest, map)
        own = copies_weight(self.weighing, self.copies, self.rich, map)
        rows, profile = self._members()
        rows, profile = rows[touched[profile]], profile[touched[profile]]
        kept = self._put(rows, profile, now.label, now.component, own, after)
        pairs = [fresh.rows(), *(desk.get(handle) for handle in now.further)]
        more = self._edges(pairs, own, rows, profile, touched)
        names = self.keys.filter(pl.Series(touched)).implode()
        remade = pl.col("rule").is_in(_NO_RULE) & (
            pl.col("left_key").is_in(names) | pl.col("right_key").is_in(names)
        )
        edges = pl.concat([edges.filter(~remade), more]).sort("left_key", "right_key")
        forget()
        compared = len(found[0]) + now.inside.close + now.inside.further
        return Added(kept, edges, len(self.rows), compared, int(touched.sum()))

    def _weigh(self, a: Rows, b: Rows, rule: Rows) -> Weighed:
        low, high = np.minimum(a, b), np.maximum(a, b)
        order = np.argsort(low << 32 | high)
        found = weigh_pairs(self.weighing, low[order], high[order], map)
        bits = np.uint64(1) << rule[order].astype(np.uint64)
        return replace(found, pairs=replace(found.pairs, rules=bits))

    def _known(self, edges: pl.DataFrame) -> tuple[Rows, Rows, Rows]:
        """Pairs inside this part that rules brought in earlier runs."""
        here = pl.DataFrame({"key": self.keys, "at": np.arange(len(self.keys))})
        names = {r.name: n for n, r in enumerate(self.model.rules)}
        some = (
            edges.lazy()
            .filter(~pl.col("rule").is_in(_NO_RULE))
            .join(here.lazy(), left_on="left_key", right_on="key")
            .join(here.lazy(), left_on="right_key", right_on="key", suffix="_r")
            .select("at", "at_r", number=pl.col("rule").replace_strict(names, return_dtype=pl.Int64))
            .collect()
        )
        return some["at"].to_numpy(), some["at_r"].to_numpy(), some["number"].to_numpy()

    def _put(
        self, rows: Rows, profile: Rows, label: Rows, component: Rows, own: npt.NDArray[np.float64], after: Flags
    ) -> Kept:
        """The records that are, with their new components and clusters."""
        where, which = self.grown.component.copy(), self.grown.cluster.copy()
        first = self.rows[profile]
        cluster = label[profile]
        alone = (own[profile] <= self.model.threshold) & (rows != first)
        cluster[alone] = len(label) + np.flatnonzero(alone)
        which[rows] = int(which.max(initial=-1)) + 1 + cluster
        where[rows] = int(where.max(initial=-1)) + 1 + component[profile]
        grown, live = self.grown, self.live
        if live.all():
            return replace(grown, component=where, cluster=which, lead=after)
        return Kept(
            grown.keys.filter(pl.Series(live)),
            where[live],
            which[live],
            after[live],
            grown.profile[live],
            {n: m[live] for n, m in grown.marks.items()},
            grown.fields,
            grown.own_keys,
        )

    def _edges(
        self, found: list[PairRows], own: npt.NDArray[np.float64], rows: Rows, profile: Rows, touched: Flags
    ) -> pl.DataFrame:
        """Rows of `identity/edges` for these pairs, and for the copies of touched profiles."""
        extra = rows[rows != self.rows[profile]]
        place = np.concatenate([np.arange(len(self.rows)), profile[rows != self.rows[profile]]])
        keys = pl.concat([self.keys, self.grown.keys.gather(extra)])
        first = np.arange(len(self.rows))
        copies = np.where(touched, self.copies, 1)
        return edge_rows(keys, first, place, found, own, copies, self.model, self.model.rules)
