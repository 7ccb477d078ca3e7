"""Sources to bronze: each source is one task; each of its deliveries one load package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from onefold_storage.contracts import Contract
from onefold_storage.deliveries import Delivery
from onefold_storage.errors import Conflict, OnefoldError, Unavailable
from onefold_storage.installation import Installation
from onefold_storage.manifests import committed_bookmark
from onefold_storage.packages import Package
from onefold_storage.settings import StorageSettings
from onefold_workers.cluster import hearing, spread, tell
from onefold_workers.connectors import deliveries, discover
from onefold_workers.progress import counted, reading

_LISTENING_S = 0.2


@dataclass(frozen=True)
class Landed:
    """What came of one source: its packages, the errors of deliveries that were held back, and whether it is away.

    `away`: why a source whose contract lets it be away did not answer, or that another process listens to it; None
    where it was read.
    """

    source: str
    packages: tuple[Package, ...] = ()
    errors: tuple[str, ...] = field(default=())
    away: str | None = None


def land_sources(
    installation: Installation,
    contracts: list[Contract],
    *,
    on_done: Callable[[int, int], None] | None = None,
    on_rows: Callable[[str], None] | None = None,
) -> list[Landed]:
    """Land every source, one Dask task a source, in the order given. A held delivery stops no other.

    `on_rows` is told how many rows of a source have come, once a second; it is called from another thread.
    """
    base = installation.settings.workspace_folder
    task = partial(land_source, installation.settings, base=base)
    if on_rows is None:
        return spread(task, contracts, on_done=on_done)
    with hearing(on_rows) as topic:
        return spread(partial(task, tell=partial(tell, topic)), contracts, on_done=on_done)


@contextmanager
def listening(installation: Installation, source: str) -> Iterator[None]:
    """While entered, this process alone reads the stream: its session at the broker can be one process's only.

    Raises:
        Conflict: another process listens to it.
    """
    with installation.lake.lock(f"listen:{source}", _LISTENING_S):
        yield


def land_source(
    settings: StorageSettings,
    contract: Contract,
    base: Path,
    tell: Callable[[str], None] | None = None,
    *,
    listens: bool = False,
) -> Landed:
    """Land one source, on a worker. `base`: where relative locations start; `tell`: how far it is.

    `listens`: the caller is `listening` to it. For all others, a stream that is listened to lands there.
    """
    installation = Installation(settings)
    packages: list[Package] = []
    errors: list[str] = []
    away: str | None = None
    try:
        alone = nullcontext() if listens else _alone(installation, contract, base)
        with alone, installation.lake.keeping(contract.bronze), reading(contract.id, tell):
            bookmark = committed_bookmark(installation.lake, contract.id)
            for delivery in _there(contract, base, bookmark):
                try:
                    packages.append(installation.lander.land(contract, counted(delivery)))
                    if delivery.landed:
                        delivery.landed()
                except OnefoldError as error:
                    errors.append(str(error))
    except _AwayError as error:
        away = str(error)
    except OnefoldError as error:
        errors.append(str(error))
    finally:
        installation.ledger.close()
    return Landed(contract.id, tuple(packages), tuple(errors), away)


class _AwayError(Exception):
    """The source does not answer, and may do so; or another process listens to it."""


@contextmanager
def _alone(installation: Installation, contract: Contract, base: Path) -> Iterator[None]:
    connector = discover(base / "connectors").get(contract.rules.connector)
    with ExitStack() as stack:
        if connector and connector.live:
            try:
                stack.enter_context(listening(installation, contract.id))
            except Conflict:
                raise _AwayError(f"{contract.id} is being listened to: it lands as it comes") from None
        yield


def _there(contract: Contract, base: Path, bookmark: Any) -> Iterator[Delivery]:
    """The source's deliveries; the connector alone is asked inside, so that storage which is away is an error."""
    try:
        yield from deliveries(contract, base, bookmark=bookmark, extra=base / "connectors")
    except Unavailable as error:
        if contract.rules.may_be_away:
            raise _AwayError(f"{contract.id} is away: {error}") from error
        raise
