"""Connectors: one file a kind of source, all ending in the same deliveries. Start reading in `files.py`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from onefold_storage.contracts import Contract
from onefold_storage.deliveries import Delivery
from onefold_storage.errors import BadContract
from onefold_workers.connectors import _discovery, _locations
from onefold_workers.connectors._connector import Connector, Options
from onefold_workers.connectors._patience import begun_again

__all__ = ["Connector", "Options", "deliveries", "discover", "sample"]


def discover(extra: Path | None = None) -> dict[str, Connector]:
    """Every connector by name: this folder's, and those of the files in `extra` (a workspace's folder).

    Raises:
        BadInput: a file exports no `CONNECTOR`, or two share a name.
    """
    return _discovery.exported(__name__, "CONNECTOR", Connector, extra)


def deliveries(
    contract: Contract, base: Path, *, bookmark: Any = None, extra: Path | None = None, first: int | None = None
) -> Iterator[Delivery]:
    """What now lies at the contract's location, one `Delivery` a load package, in a stable order.

    `base`: folder that relative locations start from. `bookmark`: the last committed delivery's.
    `extra`: folder of the workspace's own connectors. `first`: for a trial, which lands nothing and looks at so many
    rows: no more is read than they take.
    Reading a delivery's batches may raise BadInput for that delivery alone.

    Raises:
        BadContract: the connector or one of its options is unknown.
        BadInput: nothing is there, or it cannot be read; the message names file and row.
    """
    known = discover(extra)
    name = contract.rules.connector
    if name not in known:
        raise BadContract(
            f"{contract.id}: onefold.connector: {name!r} is unknown; known are {', '.join(sorted(known))}"
        )
    options = _checked(known[name], contract.rules.options, f"{contract.id}: onefold.options")
    chosen = known[name]
    begin = partial(chosen.deliveries, contract, base, options, bookmark)
    if first is not None and chosen.first is not None:
        begin = partial(chosen.first, contract, base, options, first)
    return begin() if chosen.patient else begun_again(begin)


def sample(
    location: str,
    base: Path,
    rows: int = 20_000,
    *,
    options: dict[str, Any] | None = None,
    connector: str | None = None,
    extra: Path | None = None,
) -> tuple[pa.Table, str, dict[str, Any]]:
    """The first rows at a location, for drafting: (table, connector's name, options worth writing down).

    `connector`: which one reads it; without it the location's scheme says so.

    Text formats give strings, Parquet and SQL their own types. Rows that cannot be read are left out.

    Raises:
        BadInput: nothing is there, or it cannot be read.
    """
    known = discover(extra)
    scheme = _locations.read(location).scheme
    if connector is not None and connector not in known:
        raise BadContract(f"connector {connector!r} is unknown; known are {', '.join(sorted(known))}")
    fitting = [known[connector]] if connector else [c for c in known.values() if scheme in c.schemes]
    if not fitting:
        schemes = sorted(s for c in known.values() for s in c.schemes if s)
        raise BadContract(
            f"location: no connector reads {scheme}://; expected a path or one of {', '.join(schemes)}"
        )
    chosen = fitting[0]
    checked = _checked(chosen, options or {}, "options")
    table, found = chosen.sample(location, base, rows, checked)
    return table, chosen.name, {**(options or {}), **found}


def _checked(connector: Connector, given: dict[str, Any], where: str) -> Options:
    try:
        return connector.options.model_validate(given)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(str(part) for part in detail["loc"]) or "value"
        known = ", ".join(connector.options.model_fields)
        hint = f"; {connector.name} knows {known}" if detail["type"] == "extra_forbidden" else ""
        raise BadContract(f"{where}.{at}: {detail['msg']}{hint}") from error
