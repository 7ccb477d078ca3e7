"""How MLflow loads a registered model as `mlflow.pyfunc`: the flavour's loader module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from onefold_workers.additive import Floats
from onefold_workers.trained import Trained, matrix


class Registered:
    """A trained model behind MLflow's interface."""

    def __init__(self, trained: Trained) -> None:
        """`trained` is what scores."""
        self.trained = trained

    def predict(self, frame: Any) -> Floats:
        """Scores of the rows of a pandas frame with a column per feature.

        A classifier's and a ranker's are probabilities, a regressor's are multiples of the model's `scale`.
        """
        names = self.trained.additive.names
        return self.trained.additive.predict(matrix(pl.from_pandas(frame[list(names)]), names))


def _load_pyfunc(path: str) -> Registered:
    """Called by MLflow with the path of the model's JSON."""
    return Registered(Trained.from_json(Path(path).read_text(encoding="utf-8")))
