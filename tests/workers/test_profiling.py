"""Golden records and permissions by partition: each reads the wishes of its own customers, and all come out the same."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from onefold_storage.installation import Installation
from onefold_storage.schema import CONSENTS, CONTACT_RECORDS, PERMISSIONS
from onefold_workers.cluster import cluster
from onefold_workers.stages import profiling
from onefold_workers.stages.gathering import gather
from onefold_workers.stages.profiling import build_profiles

pytestmark = pytest.mark.needs_dask
made = runpy.run_path(str(Path(__file__).with_name("decided_lake.py")))


@pytest.fixture(scope="module", autouse=True)
def _workers() -> Iterator[None]:
    with cluster():
        yield


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Installation]:
    """300 records with wishes on records, emails, phones and cards, and some on what nobody has."""
    records = made["contact_records"](300).with_row_index("n")
    card = pl.struct(scheme=pl.lit("card"), value=pl.format("c{}", "n"))
    records = records.with_columns(external_ids=pl.when(pl.col("n") % 4 == 0).then(pl.concat_list(card)))
    opened = made["fill"](tmp_path / "home", made["shaped"](CONTACT_RECORDS, records.drop("n")))
    kinds = {"email": pl.col("email"), "phone": pl.col("phone"), "card": pl.format("c{}", "n")}
    wishes = [
        records.gather_every(7, offset=n).select(
            "n", subject_kind=pl.lit(kind), subject=value.fill_null("nobody's")
        )
        for n, (kind, value) in enumerate(kinds.items())
    ]
    said = pl.concat(wishes).with_columns(
        record_key=pl.format("told:{}", pl.int_range(pl.len())),
        source=pl.lit("told"),
        data_use=pl.lit("marketing"),
        channel=pl.lit("email"),
        state=pl.when(pl.col("n") % 2 == 0).then(pl.lit("GRANTED")).otherwise(pl.lit("REVOKED")),
    )
    made["add"](opened, CONSENTS, made["shaped"](CONSENTS, said.drop("n")))
    workspace = opened.settings.workspace_folder
    (workspace / "data_uses.yaml").write_text("data_uses:\n  marketing: {email: consent, phone: consent}\n")
    made["resolve"](opened)
    yield opened
    opened.ledger.close()


def _permissions(home: Installation, partitions: int) -> pl.DataFrame:
    assert build_profiles(home, [], gather(home, at_least=partitions))
    return home.lake.scan(PERMISSIONS.name).collect().sort("golden_id", "data_use", "channel")


def test_however_many_partitions_permissions_are_the_same(home: Installation) -> None:
    one = _permissions(home, 1)
    assert {"granted", "denied", "revoked", "no_consent"} <= set(one["reason"])
    assert _permissions(home, 5).equals(one)


def test_a_partition_reads_the_wishes_of_its_own_customers(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    decide = profiling.permissions

    def watched(consents: pl.DataFrame, *more: Any) -> pl.DataFrame:
        read.append(consents.height)
        return decide(consents, *more)

    monkeypatch.setattr(profiling, "permissions", watched)
    monkeypatch.setattr(profiling, "spread", lambda task, chunks: [task(chunk) for chunk in chunks])
    _permissions(home, 8)
    stated = home.lake.rows(CONSENTS.name)
    assert len(read) == 8 and max(read) < stated // 3
