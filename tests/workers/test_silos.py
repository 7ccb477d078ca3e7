"""The silo report: sums over customers, whatever the partitions; every figure against a plain count."""

from __future__ import annotations

from collections import defaultdict

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from onefold_workers.silos import count, report
from onefold_workers.survivorship import PERSON_FIELDS

SOURCES = ("crm", "shop", "pos")
ROW = st.tuples(st.integers(0, 5), st.sampled_from(SOURCES), st.booleans(), st.booleans())


def _records(rows: list[tuple[int, str, bool, bool]]) -> pl.DataFrame:
    values = {
        "golden_id": [f"g{g}" for g, *_ in rows],
        "source": [s for _, s, *_ in rows],
        **{n: [None] * len(rows) for n in PERSON_FIELDS},
        "email": ["a@example.org" if e else None for *_, e, _ in rows],
        "city": ["X" if c else None for *_, c in rows],
    }
    return pl.DataFrame(values, schema=dict.fromkeys(values, pl.String))


def _events(rows: list[tuple[int, str, bool, bool]]) -> pl.LazyFrame:
    schema = {"golden_id": pl.String, "source": pl.String}
    return pl.LazyFrame([(f"g{g}", s) for g, s, *_ in rows], schema=schema, orient="row")


@given(st.lists(ROW, max_size=30), st.lists(ROW, max_size=30), st.lists(ROW, max_size=10))
def test_partitions_sum_to_the_whole(
    records: list[tuple[int, str, bool, bool]],
    interactions: list[tuple[int, str, bool, bool]],
    cases: list[tuple[int, str, bool, bool]],
) -> None:
    whole = [(records, interactions, cases)]
    split = [tuple([r for r in rows if r[0] % 2 == p] for rows in whole[0]) for p in (0, 1)]
    made = [
        report([count(_records(a), _events(b), _events(c)) for a, b, c in parts], {"ghost": 4})
        for parts in (whole, split)
    ]
    assert made[0] == made[1]
    known: dict[str, set[int]] = defaultdict(set)
    for rows in whole[0]:
        for golden, source, *_ in rows:
            known[source].add(golden)
    found = made[0]
    assert set(found) == {*known, "ghost"}
    assert found["ghost"] == {
        "customers": 0, "only_here": 0, "orphans": 4, "shared": {},
        "added": {"customers": 0, "fields": 0, "interactions": 0, "cases": 0},
    }  # fmt: skip
    for source, golden in known.items():
        others = {s: len(golden & g) for s, g in known.items() if s != source and golden & g}
        assert found[source]["customers"] == len(golden)
        assert found[source]["shared"] == others
        assert found[source]["only_here"] == len(
            golden - set().union(*(g for s, g in known.items() if s != source))
        )
        assert found[source]["added"]["interactions"] == sum(s == source for _, s, *_ in interactions)
        assert found[source]["added"]["cases"] == sum(s == source for _, s, *_ in cases)
    fields = 0
    for at in (2, 3):
        filled: dict[int, set[str]] = defaultdict(set)
        for row in records:
            if row[at]:
                filled[row[0]].add(row[1])
        fields += sum(len(s) == 1 for s in filled.values())
    assert sum(s["added"]["fields"] for s in found.values()) == fields
