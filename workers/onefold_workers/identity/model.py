"""The identity model: everything that was learned or decided, as one versioned object that can be stored.

Under one model, clusters depend on the records and on people's decisions alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from onefold_storage.errors import BadInput
from onefold_workers.identity.blocking import Rule
from onefold_workers.identity.text import Values

Bits = npt.NDArray[np.float64]
FORMAT = 3
THRESHOLD = -1.0
"""Mean match weight from which clusters are one: slightly below even odds, for a mean of many pairs says more than
one pair does. The optimum is flat (-2 to 0) over all files tried."""
DAMPING = 0.7
"""How far a value's own frequency replaces the average one (0 not at all, 1 wholly)."""


@dataclass(frozen=True)
class FieldParameters:
    """Probabilities of the levels 1, 2, … of a field among true pairs (`match`) and among random ones.

    `shared`: share of two others in one household who have the value in common.
    """

    name: str
    match: tuple[float, ...]
    random: tuple[float, ...]
    shared: float = 0.0


@dataclass(frozen=True)
class Priors:
    """Of all pairs of records, which share is: one person, one person who moved, two of a family in one
    household, two others at one address."""

    same: float
    moved: float
    household: float
    address: float


@dataclass(frozen=True)
class IdentityModel:
    """Parameters, blocking rules, thresholds and value frequencies.

    `frequencies`: by field, keyed hash of a frequent value → its share of persons; `rare`: the share assumed
    of any other value. `threshold`: mean match weight (bits) at which two clusters are one.
    `strong`: the least weight an identifier's agreement gives; `crowd`: share of persons from which a shared
    value is no identifier. `largest`: the most records of a component between which all pairs are compared.
    """

    fields: tuple[FieldParameters, ...]
    priors: Priors
    rules: tuple[Rule, ...]
    frequencies: dict[str, dict[str, float]]
    rare: dict[str, float]
    threshold: float = THRESHOLD
    damping: float = DAMPING
    strong: float = 0.0
    crowd: float = 1.0
    largest: int = 600
    salt: str = "onefold"

    @cached_property
    def version(self) -> str:
        """A digest of its content: two models that say the same have the same version."""
        return "im-" + hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """The model as JSON text; `from_json` gives it back."""
        parts = {
            **vars(self),
            "fields": [asdict(f) for f in self.fields],
            "rules": [asdict(r) for r in self.rules],
            "priors": asdict(self.priors),
        }
        content = {f.name: parts[f.name] for f in fields(self)}
        return orjson.dumps({"format": FORMAT, **content}, option=orjson.OPT_SORT_KEYS).decode()

    @staticmethod
    def from_json(text: str) -> IdentityModel:
        """The model that `to_json` wrote.

        Raises:
            BadInput: not an identity model, or one of another format.
        """
        try:
            document: dict[str, Any] = orjson.loads(text)
            found = document.pop("format")
            if found != FORMAT:
                raise BadInput(
                    f"identity model: expected format {FORMAT}, found {found}; learn a new one (`onefold identity retrain`)"
                )
            parameters = tuple(
                FieldParameters(f["name"], tuple(f["match"]), tuple(f["random"]), f["shared"])
                for f in document.pop("fields")
            )
            rules = tuple(
                Rule(r["name"], tuple(r["keys"]), tuple(r["refine"]), r["cap"]) for r in document.pop("rules")
            )
            return IdentityModel(
                fields=parameters, rules=rules, priors=Priors(**document.pop("priors")), **document
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadInput(
                f"identity model: expected what `to_json` wrote, found {type(error).__name__}"
            ) from error

    def with_threshold(self, threshold: float) -> IdentityModel:
        """The same model with another threshold (and so another version)."""
        return replace(self, threshold=threshold)

    def shares(self, name: str, values: Values) -> Bits:
        """Share of persons who have each distinct value of a field, in the order of the codes."""
        return shares_of(values, self.frequencies.get(name, {}), self.rare.get(name, 1.0), self.salt)


def shares_of(
    values: Values,
    table: dict[str, float],
    rare: float,
    salt: str,
    held: npt.NDArray[np.integer[Any]] | None = None,
) -> Bits:
    """Share of persons by distinct value, from a model's table.

    `held`: how many records at hand hold each; on a value that fewer than two hold nobody agrees, so it is not
    looked up.
    """
    found = np.full(values.size, rare)
    asked = np.arange(values.size) if held is None else np.flatnonzero(held > 1)
    if table and len(asked):
        found[asked] = [table.get(h, rare) for h in keyed(values.texts(asked), salt)]
    return found


def keyed(values: Iterable[str], salt: str) -> list[str]:
    """Keyed hashes of values (BLAKE2b, 96 bits), so that a model holds nobody's name in the clear."""
    key = salt.encode()[:64]
    return [hashlib.blake2b(str(v).encode(), digest_size=12, key=key).hexdigest() for v in values]
