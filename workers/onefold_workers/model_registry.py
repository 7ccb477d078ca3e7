"""The registry of models: every version with its figures and what it was learned from, in MLflow.

`champion` is the version that scores; `challenger` the last one that did worse on its hold-out. A version holds
tables of effects and figures: no rows, no golden IDs. MLflow is imported when it is first needed (it takes seconds)
and sends nothing home. With a SQLite store, writers take turns by a file lock beside it.
"""

from __future__ import annotations

import logging
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from filelock import FileLock

from onefold_storage.errors import NotFound
from onefold_workers.settings import keep_to_itself
from onefold_workers.trained import Trained

CHAMPION, CHALLENGER = "champion", "challenger"
EXPERIMENT = "onefold"
_FOLDER, _FILE = "model", "model.json"
_DECIDED = "decided"
"""Tag of a version that got its alias: the last step of registering one."""


@dataclass(frozen=True)
class ModelRegistry:
    """Versions of models in the MLflow store at `url` (`sqlite:///…/mlflow.db`, or a server's address).

    What belongs to a version is kept below `artifacts`; for a SQLite store that is by default the folder beside
    the database, named as it is without its suffix.
    """

    url: str
    artifacts: str | None = None

    def register(self, trained: Trained, *, champion: bool) -> Trained:
        """Keep a new version and give it the alias; returned with the version's number.

        The first version of a model is its champion, whatever `champion` says.
        """
        with self._turn():
            number = self._undecided(trained) or self._version(trained)
            first = self._number(trained.model, CHAMPION) is None
            alias = CHAMPION if champion or first else CHALLENGER
            self._client.set_registered_model_alias(trained.model, alias, number)
            if alias == CHAMPION and self._number(trained.model, CHALLENGER):
                self._client.delete_registered_model_alias(trained.model, CHALLENGER)
            self._client.set_model_version_tag(trained.model, number, _DECIDED, alias)
        return self.load(trained.model, number)

    def champion(self, model: str) -> Trained | None:
        """The version that scores, or None where the model was never registered."""
        if (database := _database(self.url)) and not database.exists():
            return None  # and MLflow, which takes seconds, is left alone
        with self._turn():
            number = self._number(model, CHAMPION)
        return None if number is None else self.load(model, number)

    def known(self, model: str, fingerprint: str) -> bool:
        """Whether a version was learned from just this and had its turn: training again would give it again."""
        with self._turn():
            found = self._client.search_model_versions(f"name = '{model}'")
        return any(v.tags.get("fingerprint") == fingerprint and _DECIDED in v.tags for v in found)

    def load(self, model: str, which: str) -> Trained:
        """A version by its number or alias.

        Raises:
            NotFound: there is none.
        """
        with self._turn():
            number = which if which.isdigit() else self._number(model, which)
            found = [v for v in self._client.search_model_versions(f"name = '{model}'") if str(v.version) == number]
            if not found:
                raise NotFound(f"model {model} has no version {which}; `onefold train` makes one")
            text = self._text(str(found[0].run_id))
        return Trained.from_json(text, str(number))

    def _text(self, run: str) -> str:
        """A version's JSON: from the folder beside a SQLite store, wherever that was moved to, or from MLflow."""
        if self.artifacts is None and (database := _database(self.url)):
            beside = database.with_suffix("") / run / "artifacts" / _FOLDER / _FILE
            if beside.exists():
                return beside.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as folder:
            path = self._client.download_artifacts(run, f"{_FOLDER}/{_FILE}", folder)
            return Path(path).read_text(encoding="utf-8")

    def _undecided(self, trained: Trained) -> str | None:
        """The version of just this that a killed process had kept and not yet given its alias."""
        found = self._client.search_model_versions(f"name = '{trained.model}'")
        same = [v for v in found if v.tags.get("fingerprint") == trained.fingerprint and _DECIDED not in v.tags]
        return str(same[0].version) if same else None

    def _version(self, trained: Trained) -> str:
        client = self._client
        run = client.create_run(self._experiment, run_name=trained.model)
        facts = trained.status()
        for name in ("value", "baseline", "calibration", "customers", "positives"):
            if facts[name] is not None:
                client.log_metric(run.info.run_id, name, float(facts[name]))
        for name, value in {
            "metric": facts["metric"],
            "kind": trained.kind,
            "horizon_days": facts["horizon_days"],
            "as_of": trained.as_of.isoformat(),
            "test": trained.test.isoformat(),
            "beats_baseline": facts["beats_baseline"],
        }.items():
            client.log_param(run.info.run_id, name, value)
        with tempfile.TemporaryDirectory() as folder:
            client.log_artifacts(run.info.run_id, str(_saved(trained, Path(folder))), _FOLDER)
        if not client.search_registered_models(f"name = '{trained.model}'"):
            client.create_registered_model(trained.model)
        source = f"{run.info.artifact_uri}/{_FOLDER}"
        tags = {"fingerprint": trained.fingerprint}
        number = client.create_model_version(trained.model, source, run.info.run_id, tags=tags).version
        client.set_terminated(run.info.run_id)
        return str(number)

    def _number(self, model: str, alias: str) -> str | None:
        found = self._client.search_registered_models(f"name = '{model}'")
        number = found[0].aliases.get(alias) if found else None
        return None if number is None else str(number)

    @cached_property
    def _client(self) -> Any:
        mlflow = _mlflow()
        database = _database(self.url)
        if database and not database.exists():
            _create(database)
        return mlflow.MlflowClient(tracking_uri=self.url, registry_uri=self.url)

    @cached_property
    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        database = _database(self.url)
        folder = self.artifacts or (database.with_suffix("").as_uri() if database else None)
        return str(self._client.create_experiment(EXPERIMENT, artifact_location=folder))

    @contextmanager
    def _turn(self) -> Iterator[None]:
        database = _database(self.url)
        if database:
            database.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{database}.lock", is_singleton=True) if database else nullcontext():
            yield


def _database(url: str) -> Path | None:
    """The file of a SQLite store; None for a server or another database."""
    return Path(unquote(url.removeprefix("sqlite:///"))).absolute() if urlsplit(url).scheme == "sqlite" else None


def _create(database: Path) -> None:
    """Make an empty store. MLflow does it in many steps and cannot go on from the middle of them: killed there, it
    would never start again. So it is made aside and put in its place whole.
    """
    aside, whole = (database.with_name(f"{database.name}.{end}") for end in ("making", "made"))
    for left in database.parent.glob(f"{database.name}.ma*"):
        left.unlink()
    _mlflow().MlflowClient(f"sqlite:///{aside}").search_experiments(max_results=1)
    with closing(sqlite3.connect(aside)) as made, closing(sqlite3.connect(whole)) as kept:
        made.backup(kept)
    whole.replace(database)
    for left in database.parent.glob(f"{database.name}.making*"):
        left.unlink()


def _mlflow() -> Any:
    """MLflow, which counts its users unless told not to before it is imported."""
    keep_to_itself()
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    return mlflow


def _saved(trained: Trained, folder: Path) -> Path:
    """A folder in MLflow's format: the model's JSON, the loader that reads it, and what that needs."""
    _mlflow()
    from mlflow.models import Model
    from mlflow.pyfunc import add_to_model

    saved = folder / "saved"
    saved.mkdir()
    (saved / _FILE).write_text(trained.to_json(), encoding="utf-8")
    (saved / "requirements.txt").write_text(f"onefold[workers]=={version('onefold')}\n", encoding="utf-8")
    described = Model()
    add_to_model(described, loader_module="onefold_workers.registered", data=_FILE)
    described.save(str(saved / "MLmodel"))
    return saved
