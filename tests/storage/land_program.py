"""A program that lands eight packages of two sources and may die on the way; run by `test_landing_crashes.py`.

Run with the globals `settings` and `die_at`: None, or (what, nth time) at which it kills itself without a word.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from onefold_storage import contracts, manifests
from onefold_storage.deliveries import BadRow, Batch, Delivery
from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.packages import Packages
from onefold_storage.settings import StorageSettings

PACKAGES = 4
CONTRACT = """
kind: DataContract
apiVersion: v3.1.0
id: {id}
version: 1.0.0
status: active
schema:
  - name: rows
    logicalType: object
    properties: [{{name: id, logicalType: integer, primaryKey: true}}, {{name: value, logicalType: number}}]
customProperties:
  - {{property: onefold, value: {{location: x, delivery: {delivery}, lawful_basis: contract, data_use: [service]}}}}
"""


def sent(source: str, n: int) -> list[tuple[str, str]]:
    """The rows of one delivery: (id, value). Snapshots grow, change and lose one; every fourth row is bad."""
    if source == "log":
        return [(str(100 * n + i), "x" if i % 4 == 3 else str(i)) for i in range(20)]
    return [(str(i), str(n) if i == n + 1 else "0") for i in range(n, 20 + n)]


def delivery(source: str, n: int) -> Delivery:
    """The n-th delivery of a source, in two batches, one row unreadable in the log."""

    def batches() -> Iterator[Batch]:
        rows = sent(source, n)
        for at in (0, 10):
            ids, values = zip(*rows[at : at + 10], strict=True)
            table = pa.table({"id": list(ids), "value": list(values)})
            bad = (BadRow(99, "csv", "row 99: too many fields", b"1,2,3"),) if source == "log" and at else ()
            yield Batch(table, pa.array(range(at, at + 10), pa.int64()), bad)

    return Delivery(f"{source}-content-{n}", f"{source}-{n}.csv", batches())


def dies(function: Callable[..., Any], when: Callable[..., bool], nth: int) -> Callable[..., Any]:
    """The function, which kills the process before the nth call for which `when` holds."""
    left = nth

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        if when(*args):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    return call


def arm(what: str, nth: int) -> None:
    """Prepare to die before the nth event of a kind."""
    if what == "manifest":
        manifests.write_manifest = dies(manifests.write_manifest, lambda *_: True, nth)
        import onefold_storage.landing as landing

        landing.write_manifest = manifests.write_manifest  # type: ignore[attr-defined]
    elif what == "record":
        Packages.record = dies(Packages.record, lambda *_: True, nth)  # type: ignore[method-assign]
    else:
        Lake.commit = dies(Lake.commit, lambda _lake, name, *_: name.startswith(what), nth)  # type: ignore[method-assign]


def run(settings: StorageSettings, die_at: tuple[str, int] | None) -> None:
    """Land everything, in order; what has landed is repeated."""
    if die_at:
        arm(*die_at)
    installation = Installation(settings)
    for source, kind in (("log", "append"), ("table", "snapshot")):
        contract = contracts.parse(CONTRACT.format(id=source, delivery=kind), source)
        first = (
            installation.lander.reconcile(source) if kind == "snapshot" else 0
        )  # a source sends no older snapshot
        for n in range(max(first - 1, 0), PACKAGES):
            installation.lander.land(contract, delivery(source, n))
    installation.ledger.close()


if "settings" in globals():
    run(globals()["settings"], globals()["die_at"])
