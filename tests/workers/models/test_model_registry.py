"""The registry: versions, aliases, identical scores after loading, nothing personal, nothing sent home."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from onefold_storage.errors import NotFound
from onefold_workers.features import rows_at
from onefold_workers.model_registry import ModelRegistry
from onefold_workers.scoring import offers, score
from onefold_workers.trained import Trained


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home with space")


@pytest.fixture(scope="module")
def registry(folder: Path, trained: dict[str, Trained]) -> ModelRegistry:
    """With one version of every model."""
    found = ModelRegistry(f"sqlite:///{folder}/mlflow.db")
    for model in trained.values():
        assert found.register(model, champion=False).version == "1"
    return found


def test_nothing_registered(tmp_path: Path) -> None:
    registry = ModelRegistry(f"sqlite:///{tmp_path}/new/mlflow.db")
    assert registry.champion("churn") is None
    assert not registry.known("churn", "x")
    with pytest.raises(NotFound, match="model churn has no version champion"):
        registry.load("churn", "champion")


def test_what_is_loaded_scores_the_same(
    registry, trained, declared, views, customer_features, history, now
) -> None:
    for name, model in trained.items():
        loaded = registry.champion(name)
        assert loaded is not None
        assert (loaded.version, loaded.fingerprint, loaded.figures) == ("1", model.fingerprint, model.figures)
        if model.kind == "ranker":
            pairs = rows_at(views["category_affinity"], history, now)
            found = [offers(t, customer_features, pairs, declared[name]) for t in (model, loaded)]
        else:
            found = [score(t, declared[name], views, customer_features) for t in (model, loaded)]
        assert found[0].drop("model_version").equals(found[1].drop("model_version"))


def test_champion_and_challenger(registry, trained) -> None:
    churn = trained["churn"]
    assert registry.known("churn", churn.fingerprint)
    assert not registry.known("churn", "another")
    second = registry.register(replace(churn, fingerprint="second"), champion=False)
    assert second.version == "2"
    assert registry.champion("churn").version == "1"
    assert registry.load("churn", "challenger").fingerprint == "second"
    third = registry.register(replace(churn, fingerprint="third"), champion=True)
    assert registry.champion("churn").version == third.version == "3"
    assert registry.load("churn", "1").fingerprint == churn.fingerprint
    assert registry.known("churn", "second")
    with pytest.raises(NotFound):
        registry.load("churn", "challenger")
    with pytest.raises(NotFound):
        registry.load("churn", "9")


def test_a_person_with_mlflow_alone_loads_it(registry, trained, customer_features) -> None:
    import mlflow

    mlflow.set_tracking_uri(registry.url)
    mlflow.set_registry_uri(registry.url)
    loaded = mlflow.pyfunc.load_model("models:/campaign_response@champion")
    additive = trained["campaign_response"].additive
    frame = customer_features.select(additive.names).to_pandas()
    values = customer_features.select(additive.names).fill_null(float("nan")).to_numpy()
    assert (loaded.predict(frame) == additive.predict(values)).all()


def test_a_moved_home_still_loads(registry, folder, tmp_path) -> None:
    import shutil

    shutil.copytree(folder, tmp_path / "moved")
    moved = ModelRegistry(f"sqlite:///{tmp_path}/moved/mlflow.db")
    champion = moved.champion("customer_value")
    assert champion is not None
    assert champion.to_json() == registry.champion("customer_value").to_json()


def test_it_holds_no_golden_id(registry, folder, shop) -> None:
    ids = shop.interactions["golden_id"].unique().to_list()
    found = [p for p in folder.rglob("*") if p.is_file()]
    assert any(p.name == "model.json" for p in found)
    for path in found:
        content = path.read_bytes()
        assert not [i for i in ids if i.encode() in content], path.name


def test_two_processes_may_register_at_once(trained, tmp_path) -> None:
    (tmp_path / "model.json").write_text(trained["churn"].to_json())
    code = (
        "import sys, pathlib\n"
        "from onefold_workers.model_registry import ModelRegistry\n"
        "from onefold_workers.trained import Trained\n"
        "home = pathlib.Path(sys.argv[1])\n"
        "trained = Trained.from_json((home / 'model.json').read_text())\n"
        "print(ModelRegistry(f'sqlite:///{home}/mlflow.db').register(trained, champion=True).version)\n"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) for _ in range(2)]
    assert sorted(r.communicate(timeout=120)[0].decode().strip() for r in runs) == ["1", "2"]
    assert not (Path.cwd() / "mlruns").exists()


def test_mlflow_is_imported_late_and_sends_nothing() -> None:
    code = (
        "import sys, os\n"
        "import onefold_workers.model_registry as r, onefold_workers.scoring, onefold_workers.models\n"
        "assert 'mlflow' not in sys.modules\n"
        "r._mlflow()\n"
        "from mlflow.telemetry.utils import is_telemetry_disabled\n"
        "print(is_telemetry_disabled())\n"
    )
    quiet = {k: v for k, v in os.environ.items() if k not in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "CI")}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=quiet)
    assert run.stdout.strip() == "True"


def test_another_format_is_refused(trained) -> None:
    text = trained["churn"].to_json().replace('"format": 1', '"format": 99')
    with pytest.raises(ValueError, match="format 99; expected 1"):
        Trained.from_json(text)


def test_scores_carry_the_version(registry, declared, views, customer_features) -> None:
    frame = score(registry.champion("campaign_response"), declared["campaign_response"], views, customer_features)
    assert frame["model_version"].unique().to_list() == ["1"]
    assert frame.filter(pl.col("model") != "campaign_response").is_empty()


def test_a_version_that_a_killed_process_left_gets_its_turn(trained, tmp_path) -> None:
    registry = ModelRegistry(f"sqlite:///{tmp_path}/mlflow.db")
    registry.register(trained["churn"], champion=True)
    cut_off = replace(trained["churn"], fingerprint="cut off")
    with registry._turn():
        assert registry._version(cut_off) == "2"  # and killed before it got its alias
    assert not registry.known("churn", "cut off")
    assert registry.register(cut_off, champion=True).version == "2"
    assert registry.champion("churn").fingerprint == "cut off"
    assert registry.known("churn", "cut off")


_CREATE = """
import sys
from onefold_workers.model_registry import ModelRegistry
print("begins", flush=True)
ModelRegistry(sys.argv[1]).champion("churn")
"""


@pytest.mark.chaos
def test_killed_while_the_store_is_made(tmp_path) -> None:
    """MLflow's own making of its tables, cut off in the middle, would never start again."""
    url, database = f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "mlflow.db"
    process = subprocess.Popen([sys.executable, "-c", _CREATE, url], stdout=subprocess.PIPE)
    aside = tmp_path / "mlflow.db.making"
    while not (aside.exists() and aside.stat().st_size > 50_000):
        assert process.poll() is None
    process.kill()
    process.communicate()
    assert not database.exists()
    assert ModelRegistry(url).champion("churn") is None
    assert [p.name for p in tmp_path.iterdir() if "ma" in p.suffix] == []
