"""A customer's permissions as read from the lake, with the live wishes laid over them: as strict as the API."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from onefold.serving.objections import held
from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.wish_consents import subjects_of
from onefold_storage.wishes import Standing

_LIVE = {"live": pl.Boolean}


def with_wishes(
    permissions: pl.DataFrame,
    records: pl.DataFrame,
    golden_ids: Collection[str],
    standing: Standing,
    hashed: KeyedHash,
) -> pl.DataFrame:
    """One customer's permissions (columns of PERMISSIONS), closed where a wish forbids; `live` says that one does.

    `records`: the customer's contact records. `golden_ids`: the customer's, merged ones among them. A wish finds the
    customer by either, as in `Objections`.
    """
    found = subjects_of(records, {kind for kind, _ in standing.by_subject}, hashed)
    own = {s for s in standing.by_subject if not standing.golden_ids(s).isdisjoint(golden_ids)}
    own |= set(found.select("subject_kind", "subject_hash").iter_rows())
    subjects = sorted(own & standing.by_subject.keys())
    rows = [
        held(row | {"live": False}, standing.forbidding(subjects, row["data_use"], row["channel"]))
        for row in permissions.to_dicts()
    ]
    return pl.DataFrame(rows, schema={**permissions.schema, **_LIVE}, orient="row")
