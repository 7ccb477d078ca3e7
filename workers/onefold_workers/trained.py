"""A trained model: plain data with its figures, written and read as JSON, so that loading one runs no code."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from onefold_workers.additive import Additive, Floats
from onefold_workers.evaluation import Figures
from onefold_workers.model import Kind

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Trained:
    """One model, learned.

    `additive` is the fit to use, `tested` the one that the figures are of (it never saw the hold-out). `as_of` is
    the end of the data it learned from; `test` the hold-out's cut-off. `context`: what a ranker knows of
    categories; `average`: the mean of the model's scale, 1 where it has none, with `floor` (see `goal.py`).
    `version` is the registry's; `fingerprint` says what it was learned from.
    """

    model: str
    kind: Kind
    additive: Additive
    tested: Additive
    figures: Figures
    as_of: datetime
    test: datetime
    horizon: timedelta
    fingerprint: str = ""
    version: str = ""
    context: dict[str, Any] = field(default_factory=dict)
    average: float = 1.0
    floor: float = 0.0

    def to_json(self) -> str:
        """All of it but its version as JSON."""
        plain = {
            "format": FORMAT,
            "model": self.model,
            "kind": self.kind,
            "additive": self.additive.plain(),
            "tested": self.tested.plain(),
            "figures": self.figures.plain(),
            "as_of": self.as_of.isoformat(),
            "test": self.test.isoformat(),
            "horizon_days": self.horizon / timedelta(days=1),
            "fingerprint": self.fingerprint,
            "context": self.context,
            "average": self.average,
            "floor": self.floor,
        }
        return json.dumps(plain, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, version: str = "") -> Trained:
        """What `to_json` wrote: it scores identically."""
        plain = json.loads(text)
        if plain["format"] != FORMAT:
            raise ValueError(f"a model of format {plain['format']}; expected {FORMAT}: train it again")
        return cls(
            model=plain["model"],
            kind=plain["kind"],
            additive=Additive.read(plain["additive"]),
            tested=Additive.read(plain["tested"]),
            figures=Figures.read(plain["figures"]),
            as_of=datetime.fromisoformat(plain["as_of"]),
            test=datetime.fromisoformat(plain["test"]),
            horizon=timedelta(days=plain["horizon_days"]),
            fingerprint=plain["fingerprint"],
            version=version,
            context=plain["context"],
            average=plain["average"],
            floor=plain.get("floor", 0.0),
        )

    def status(self) -> dict[str, Any]:
        """name, version, metric, value, baseline, interval, beats_baseline, and further figures."""
        figures = self.figures.plain()
        return {"name": self.model, "version": self.version, **figures, "horizon_days": self.horizon.days}


def matrix(frame: pl.DataFrame, names: tuple[str, ...]) -> Floats:
    """(rows, features) as float64; null is NaN."""
    columns = [frame[n].cast(pl.Float64).fill_null(float("nan")).to_numpy() for n in names]
    return np.column_stack(columns) if columns else np.empty((frame.height, 0))
