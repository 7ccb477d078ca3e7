"""The learner's result: an additive model, a table of effects per feature, that explains itself exactly.

score = link(base + effect_1(x_1) + ... + effect_p(x_p)): a generalised additive model (Hastie and Tibshirani,
1986), learned by boosting trees of one feature each (Lou, Caruana and Gehrke, 2012). What a feature adds to a
customer's score is read from its table, so that reasons are not an approximation of the model: they are the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Link = Literal["logit", "identity"]


@dataclass(frozen=True, eq=False)
class Additive:
    """One table a feature: `edges[j]` (ascending) part its values into bins, `effects[j]` holds what each bin adds,
    one more than edges, and last what a missing value (NaN) adds. Effects average 0 over what it was learned from,
    so `base` is what the average customer gets. A value equal to an edge belongs below it.
    """

    names: tuple[str, ...]
    base: float
    edges: tuple[Floats, ...]
    effects: tuple[Floats, ...]
    link: Link

    def contributions(self, values: Floats) -> Floats:
        """What each feature adds: (rows, features) from (rows, features in the order of `names`)."""
        out = np.empty_like(values)
        for j in range(values.shape[1]):
            out[:, j] = self.effects[j][bins(values[:, j], self.edges[j])]
        return out

    def raw(self, values: Floats) -> Floats:
        """base + the sum of contributions: log-odds for `logit`, else the score itself."""
        total = np.full(len(values), self.base)
        for j in range(values.shape[1]):
            total += self.effects[j][bins(values[:, j], self.edges[j])]
        return total

    def predict(self, values: Floats) -> Floats:
        """The score: a probability for `logit`."""
        raw = self.raw(values)
        return 1 / (1 + np.exp(-raw)) if self.link == "logit" else raw

    def plain(self) -> dict[str, Any]:
        """As JSON values; `read` gives the same model back, to the last bit."""
        return {
            "names": list(self.names),
            "base": self.base,
            "edges": [e.tolist() for e in self.edges],
            "effects": [e.tolist() for e in self.effects],
            "link": self.link,
        }

    @classmethod
    def read(cls, plain: dict[str, Any]) -> Additive:
        """The model that `plain` wrote."""
        return cls(
            tuple(plain["names"]),
            float(plain["base"]),
            tuple(np.asarray(e, dtype=np.float64) for e in plain["edges"]),
            tuple(np.asarray(e, dtype=np.float64) for e in plain["effects"]),
            plain["link"],
        )


def bins(column: Floats, edges: Floats) -> NDArray[np.intp]:
    """The bin of each value; NaN gets the one after the last."""
    return np.where(np.isnan(column), len(edges) + 1, np.searchsorted(edges, column, side="left"))
