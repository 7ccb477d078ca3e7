"""What a connector is: one frozen object in one file of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from onefold_storage.contracts import Contract
from onefold_storage.deliveries import Delivery


class Options(BaseModel):
    """Base of a connector's options (the contract's `options`): frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Connector:
    """One kind of source.

    `name`: what contracts write as `connector`.
    `options`: the model its options are checked against.
    `schemes`: URL schemes (without driver, as `postgresql`) that say a location is its; `""` stands for a path.
    `deliveries(contract, base, options, bookmark)`: what lies at the contract's location, one delivery a load
    package; with a bookmark (the last committed delivery's, or None) only what came after it, where the kind can tell.
    Raises BadInput where nothing is there; what is wrong inside one delivery raises when its batches are read,
    so that the others can still land.
    `live`: a stream that is worth reading all the time (`onefold listen`), not only when the flow runs.
    `patient`: it asks again by itself where a source does not answer; for others that is done here.
    `first(contract, base, options, rows)`: what a trial of so many rows reads, for a kind whose `deliveries` reads more
    than it hands on; it may yield more rows, leaves no trace at the source, and its deliveries never land.
    `sample(location, base, rows, options)`: the first rows and the options worth writing into a contract.
    """

    name: str
    options: type[Options]
    schemes: tuple[str, ...]
    deliveries: Callable[[Contract, Path, Any, Any], Iterator[Delivery]]
    sample: Callable[[str, Path, int, Any], tuple[pa.Table, dict[str, Any]]]
    live: bool = False
    patient: bool = False
    first: Callable[[Contract, Path, Any, int], Iterator[Delivery]] | None = None
