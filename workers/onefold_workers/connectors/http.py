"""Events that senders bring over HTTP (`POST /v1/ingest/{source}`): nothing lies anywhere to be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from onefold_storage.contracts import Contract
from onefold_storage.deliveries import Delivery
from onefold_storage.errors import BadInput
from onefold_storage.sending import SentOptions
from onefold_workers.connectors._connector import Connector, Options


def deliveries(contract: Contract, base: Path, options: Options, bookmark: Any) -> Iterator[Delivery]:  # noqa: ARG001
    """None: what was sent lands from the write-ahead log."""
    return iter(())


def sample(location: str, base: Path, rows: int, options: Options) -> tuple[pa.Table, dict[str, Any]]:  # noqa: ARG001
    """Nothing to look at.

    Raises:
        BadInput: always; a draft is made from a file with some events.
    """
    raise BadInput("connector http: has no location to sample; draft it from an NDJSON file with some events")


class HttpSource(Options, SentOptions):
    """The options, which the contract was checked against."""


CONNECTOR = Connector("http", HttpSource, (), deliveries, sample)
