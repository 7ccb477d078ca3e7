"""How live wishes become consents of the lake: found again by the keyed hash of the subjects that records carry."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import polars as pl

from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.wishes import Wishes

_COLUMNS = ("subject_kind", "subject_hash", "data_use", "channel", "state", "evidence")


def consents_of(
    wishes: Wishes, records: pl.DataFrame, hashed: KeyedHash, at: datetime | None = None
) -> pl.DataFrame:
    """The wishes about these contact records, as rows for `permissions`.

    `at`: only those expressed until then.
    `records`: record_key, email, phone, external_ids (as silver's contact records; more columns may stand).
    Gives subject_kind, subject (in clear), data_use, channel, state, evidence, effective_at: the last wish of each
    subject found, for a data use and channel, in the order they were expressed.
    """
    wanted = pl.DataFrame(
        [(*(getattr(r, n) for n in _COLUMNS), r.at) for r in wishes.listed(at)],
        schema=dict.fromkeys(_COLUMNS, pl.String) | {"effective_at": pl.Datetime("us", "UTC")},
        orient="row",
    ).unique(["subject_kind", "subject_hash", "data_use", "channel"], keep="last", maintain_order=True)
    subjects = subjects_of(records, wanted["subject_kind"].unique().to_list(), hashed)
    found = wanted.join(subjects, on=["subject_kind", "subject_hash"], how="inner", maintain_order="left")
    return found.select("subject_kind", "subject", "data_use", "channel", "state", "evidence", "effective_at")


def subjects_of(records: pl.DataFrame, kinds: Collection[str], hashed: KeyedHash) -> pl.DataFrame:
    """Distinct identifiers of the kinds asked for: subject_kind, subject (in clear), subject_hash.

    `kinds`: those that there are wishes of, so that nothing is hashed without need.
    """
    frames = [pl.DataFrame(schema={"subject_kind": pl.String, "subject": pl.String})]
    direct = {"record": "record_key", "email": "email", "phone": "phone"}
    for kind, column in direct.items():
        if kind in kinds:
            frames.append(records.select(pl.lit(kind).alias("subject_kind"), pl.col(column).alias("subject")))
    schemes = [k for k in kinds if k not in direct]
    if schemes:
        ids = records.select(pl.col("external_ids").explode()).drop_nulls().unnest("external_ids")
        frames.append(
            ids.filter(pl.col("scheme").is_in(schemes)).select(
                pl.col("scheme").alias("subject_kind"), pl.col("value").alias("subject")
            )
        )
    subjects = pl.concat(frames).drop_nulls().unique()
    kinds_, values = subjects["subject_kind"].to_list(), subjects["subject"].to_list()
    hashes = [hashed.of(k, v) for k, v in zip(kinds_, values, strict=True)]
    return subjects.with_columns(pl.Series("subject_hash", hashes, dtype=pl.String))
