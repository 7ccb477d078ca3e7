"""A small shop for tests of features and models: a year of purchases with a pattern that can be learned."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from onefold_workers import features, models
from onefold_workers.feature_view import FeatureView
from onefold_workers.model import Model
from onefold_workers.plan import Plan, plan, spans
from onefold_workers.point_in_time import History
from onefold_workers.trained import Trained
from onefold_workers.training import train, training_frames

NOW = datetime(2024, 1, 1, tzinfo=UTC)
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Shop:
    """Silver's rows with golden IDs, as the lake has them."""

    interactions: pl.DataFrame
    items: pl.DataFrame
    customers: pl.DataFrame
    cases: pl.DataFrame

    def history(self, **changed: pl.DataFrame) -> History:
        frames = {k: getattr(self, k) for k in ("interactions", "items", "customers", "cases")}
        return History.of(**{**frames, **changed})


def _record(source: str, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_row_index("row_id").with_columns(
        pl.col("row_id").cast(pl.Int64),
        pl.concat_str(pl.lit(f"{source}:"), "row_id").alias("record_key"),
        pl.lit(source).alias("source"),
        pl.lit("p").alias("package_id"),
        pl.lit(False).alias("deleted"),
    )


def make_shop(customers: int = 200, days: int = 365, seed: int = 3, categories: int = 30) -> Shop:
    """Customers with paces of their own, some of whom leave; they love a few categories; campaigns reach half."""
    rng = np.random.default_rng(seed)
    start = NOW - timedelta(days=days)
    rows: list[dict[str, object]] = []
    for c in range(customers):
        pace = float(np.exp(rng.normal(2.5, 1.2))) + 1
        leaves = float(rng.uniform(days / 6, 1.6 * days)) if rng.random() < 0.25 else days * 2.0
        love = rng.permutation(categories)[:6]
        at, basket = float(rng.uniform(0, 20)), 0
        while at < min(days, leaves):
            lines = int(rng.integers(1, 5))
            for _ in range(lines):
                item = int(rng.choice(love)) if rng.random() < 0.7 else int(rng.integers(0, categories))
                rows.append(
                    {
                        "golden_id": f"g{c:04}",
                        "effective_at": start + timedelta(days=at),
                        "kind": "purchase",
                        "channel": "web" if c % 3 == 0 else "store",
                        "item_key": f"items:{item}",
                        "quantity": float(rng.integers(1, 4)),
                        "amount": round(float(rng.gamma(2.0, 3.0 + pace / 4)), 2),
                        "related_key": f"b{c}-{basket}",
                    }
                )
            at += float(rng.exponential(pace)) + 0.02
            basket += 1
        if c % 2:
            answers = rng.random() < 0.35
            for month in range(1, days // 30):
                sent = start + timedelta(days=30.0 * month)
                campaign = {"golden_id": f"g{c:04}", "related_key": f"campaigns:{month}", "channel": "post"}
                rows.append({**campaign, "effective_at": sent, "kind": "campaign_sent"})
                if answers and rng.random() < 0.5 and 30.0 * month + 9 < min(days, leaves):
                    rows.append({**campaign, "effective_at": sent + timedelta(days=9), "kind": "coupon_redeemed"})
    interactions = pl.DataFrame(rows, infer_schema_length=None).with_columns(
        pl.col("amount").cast(pl.Decimal(18, 4)), pl.col("effective_at").dt.cast_time_unit("us")
    )
    items = pl.DataFrame(
        {
            "effective_at": [NOW] * categories,
            "category": [f"category {i}" for i in range(categories)],
            "department": [f"department {i % 4}" for i in range(categories)],
        }
    ).with_columns(pl.col("effective_at").dt.cast_time_unit("us"))
    items = _record("items", items)
    people = interactions.group_by("golden_id").agg(
        first_seen=pl.col("effective_at").min(), last_seen=pl.col("effective_at").max()
    )
    opened = start + timedelta(days=days / 2)
    cases = pl.DataFrame(
        {
            "golden_id": ["g0001", "g0001", "g0002"],
            "record_key": ["t:1", "t:1", "t:2"],
            "effective_at": [opened, opened + timedelta(days=3), opened],
            "deleted": [False, False, False],
            "kind": ["ticket", "ticket", "ticket"],
            "state": ["open", "closed", "open"],
        }
    ).with_columns(pl.col("effective_at").dt.cast_time_unit("us"))
    return Shop(_record("pos", interactions), items, people, cases)


def example(readme: Path) -> tuple[str, str]:
    """(file name, code) of a README's Python example; its first line names the file."""
    code = re.findall(r"```python\n(.*?)```", readme.read_text(), flags=re.DOTALL)
    assert len(code) == 1
    return str(code[0]).splitlines()[0].removeprefix("# "), str(code[0])


@pytest.fixture(scope="session")
def now() -> datetime:
    return NOW


@pytest.fixture(scope="session")
def shops() -> Callable[..., Shop]:
    return make_shop


@pytest.fixture(scope="session")
def shop() -> Shop:
    return make_shop()


@pytest.fixture(scope="session")
def history(shop: Shop) -> History:
    return shop.history()


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the view and the model of the READMEs."""
    folder = tmp_path_factory.mktemp("workspace")
    for room in ("features", "models"):
        name, code = example(ROOT / "workers" / "onefold_workers" / room / "README.md")
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(code)
    return folder


@pytest.fixture(scope="session")
def views(workspace: Path) -> dict[str, FeatureView]:
    """Every view, the workspace's too."""
    return features.discover(workspace / "features")


@pytest.fixture(scope="session")
def declared(workspace: Path) -> dict[str, Model]:
    """Every model, the workspace's too."""
    return models.discover(workspace / "models")


@pytest.fixture(scope="session")
def plans(declared: dict[str, Model], history: History) -> dict[str, Plan]:
    found = [spans(history, NOW)]
    return {n: plan(m, found, NOW) for n, m in declared.items()}


@pytest.fixture(scope="session")
def frames(
    declared: dict[str, Model], views: dict[str, FeatureView], history: History, plans: dict[str, Plan]
) -> dict[str, pl.DataFrame]:
    return training_frames(declared, views, history, plans)


@pytest.fixture(scope="session")
def trained(
    declared: dict[str, Model],
    views: dict[str, FeatureView],
    frames: dict[str, pl.DataFrame],
    plans: dict[str, Plan],
) -> dict[str, Trained]:
    return {n: train(declared[n], views, frames[n], plans[n]) for n in plans}


@pytest.fixture(scope="session")
def customer_features(views: dict[str, FeatureView], history: History) -> pl.DataFrame:
    """Features of everybody, as of now."""
    return features.features_at([v for v in views.values() if v.keys == ("golden_id",)], history, NOW)
