"""Feature views: each file exports one, what they compute, how they read, how the workspace adds one."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cloudpickle
import polars as pl
import pytest

from onefold_storage.errors import BadContract
from onefold_workers import features
from onefold_workers.feature_view import FeatureView
from onefold_workers.features import features_at, rows_at
from onefold_workers.point_in_time import History
from onefold_workers.readable import names_in

CUTOFF = datetime(2023, 9, 1, tzinfo=UTC)
FOLDER = Path(str(features.__file__)).parent


def _view(name: str = "one", feature: str = "x") -> str:
    return f"""
import polars as pl
from onefold_workers.features import Feature, FeatureView

def compute(tables, cutoff):
    return tables.baskets.group_by("golden_id").agg({feature}=pl.len())

VIEW = FeatureView("{name}", 1, "", (Feature("{feature}", "doc", "text", "theme"),), compute)
"""


def test_each_file_exports_exactly_one_view() -> None:
    files = [p for p in FOLDER.glob("*.py") if p.name != "__init__.py"]
    found = features.discover()
    assert len(found) == len(files)
    for path in files:
        module = sys.modules[f"onefold_workers.features.{path.stem}"]
        exported = [v for v in vars(module).values() if isinstance(v, FeatureView)]
        assert exported == [found[path.stem]], "a view is named as its file"
        assert found[path.stem].digest


def test_a_name_stands_only_once(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(_view("recency"))
    with pytest.raises(BadContract, match=r"a\.py: 'recency' is already the name of features/recency\.py"):
        features.discover(tmp_path)
    (tmp_path / "a.py").write_text(_view("one", "recency_days"))
    with pytest.raises(BadContract, match="'recency_days' of view recency is already one of view one"):
        features.discover(tmp_path)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("x = 1", r"broken\.py: expected one FeatureView named VIEW, found nothing"),
        ("VIEW = 3", r"broken\.py: expected one FeatureView named VIEW, found int"),
        ("import gone_missing", r"broken\.py: does not run: ModuleNotFoundError"),
        ("def (", r"broken\.py: does not run: SyntaxError"),
    ],
)
def test_a_file_that_is_no_view_says_so(tmp_path: Path, code: str, why: str) -> None:
    (tmp_path / "broken.py").write_text(code)
    with pytest.raises(BadContract, match=why):
        features.discover(tmp_path)


def test_no_folder_is_no_workspace(tmp_path: Path) -> None:
    assert set(features.discover(tmp_path / "none")) == set(features.discover())


def test_every_text_names_features_of_its_own_view(views) -> None:
    for view in views.values():
        for feature in view.features:
            assert feature.doc and feature.theme
            assert set(names_in(feature.text)) <= set(view.names), feature.name


def test_every_view_gives_what_it_describes(views, history) -> None:
    for view in views.values():
        frame = rows_at(view, history, CUTOFF)
        assert frame.columns == [*view.keys, *view.names]
        assert frame.select(view.keys).is_duplicated().sum() == 0
        assert frame.drop_nulls().height > 0 or view.name == "engagement"


def test_a_view_of_the_workspace_travels_to_another_process(workspace: Path, views, tmp_path: Path) -> None:
    """As it does to Dask workers, which do not have the file."""
    (tmp_path / "view").write_bytes(cloudpickle.dumps(views["mornings"]))
    code = (
        "import pickle, sys, polars as pl, datetime as d\n"
        "from onefold_workers.features import History, features_at\n"
        "view = pickle.load(open(sys.argv[1], 'rb'))\n"
        "at = d.datetime(2023, 1, 2, 9, tzinfo=d.UTC)\n"
        "row = {'golden_id': ['g'], 'kind': ['purchase'], 'effective_at': [at], 'deleted': [False]}\n"
        "print(features_at([view], History.of(pl.DataFrame(row)), d.datetime(2024, 1, 1, tzinfo=d.UTC))['morning_share'][0])"
    )
    run = [sys.executable, "-c", code, str(tmp_path / "view")]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip() == "1.0"


def _shop(days_ago: list[float], amounts: list[float]) -> History:
    frame = pl.DataFrame(
        {
            "golden_id": ["g"] * len(days_ago),
            "kind": ["purchase"] * len(days_ago),
            "effective_at": [CUTOFF - timedelta(days=d) for d in days_ago],
            "amount": amounts,
            "related_key": [str(d) for d in days_ago],
        }
    )
    return History.of(frame.with_columns(pl.col("effective_at").dt.cast_time_unit("us"), deleted=pl.lit(False)))


def test_recency_by_hand(views) -> None:
    row = features_at([views["recency"]], _shop([50, 40, 20, 5], [1, 1, 1, 1]), CUTOFF).row(0, named=True)
    assert (row["recency_days"], row["tenure_days"], row["purchase_days"]) == (5, 50, 4)
    assert (row["gap_mean_days"], row["gap_median_days"], row["gap_max_days"]) == (15, 15, 20)
    assert row["overdue"] == pytest.approx(5 / 16, abs=1e-6)
    assert row["beyond_longest_days"] == -15


def test_purchases_by_hand(views) -> None:
    history = _shop([100, 40, 20, 5, 4], [50, 10, 5, 3, -2])
    row = features_at([views["purchases"]], history, CUTOFF).row(0, named=True)
    assert [row[f"purchases_{w}"] for w in (7, 28, 56, 90, 180)] == [1, 2, 3, 3, 4]
    assert [row[f"spend_{w}"] for w in (7, 28, 56, 90, 180)] == [1, 6, 16, 16, 66]
    assert (row["purchases_29_56"], row["spend_91_180"], row["months_active"]) == (1, 50, 3)


def test_a_single_purchase_and_none(views, shop) -> None:
    plain = [v for v in views.values() if v.keys == ("golden_id",)]
    row = features_at(plain, _shop([3], [2]), CUTOFF).row(0, named=True)
    assert row["recency_days"] == 3
    assert row["gap_mean_days"] is None
    people = pl.DataFrame({"golden_id": ["new"], "first_seen": [CUTOFF - timedelta(days=1)]})
    empty = shop.interactions.clear()
    history = History.of(empty, customers=people.with_columns(pl.col("first_seen").dt.cast_time_unit("us")))
    row = features_at(plain, history, CUTOFF).row(0, named=True)
    assert row["recency_days"] is None
    assert row["purchases_28"] == 0


def test_campaigns_and_cases_by_hand(views, history, shop) -> None:
    plain = [v for v in views.values() if v.keys == ("golden_id",)]
    frame = features_at(plain, history, CUTOFF)
    rows = shop.interactions.filter(pl.col("effective_at") < CUTOFF)
    sent = rows.filter(pl.col("kind") == "campaign_sent").group_by("golden_id").len()
    both = frame.join(sent, on="golden_id", how="left").with_columns(pl.col("len").fill_null(0))
    assert (both["campaigns"] == both["len"]).all()
    cases = {r["golden_id"]: r for r in frame.filter(pl.col("golden_id").is_in(["g0001", "g0002"])).to_dicts()}
    assert (cases["g0001"]["cases_open"], cases["g0002"]["cases_open"]) == (0, 1)
