"""Three files side by side on two cores: two that compute, and one of those that mostly wait for servers to fail.

A pytest plugin for `pytest -p lanes -n 3 --dist loadfile`. The last lane takes the files below and nothing else, so
that clusters of storage nodes neither stand beside each other nor keep a core idle.
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

LANES = 3
WAITING = (
    "tests/chaos/test_storage_faults.py",
    "tests/infra/test_pool_plan.py",
    "tests/infra/test_up_local.py",
    "tests/storage/test_pool_growth.py",
    "tests/storage/test_bucket_faults.py",
    "tests/flows/test_deployments.py",
    "tests/flows/test_server.py",
    "tests/platform/demo/test_live.py",
    "tests/platform/test_api_ingest_faults.py",
    "tests/workers/connectors/test_bad_servers.py",
    "tests/workers/connectors/test_pace.py",
)


class Lanes(LoadFileScheduling):
    """Files by the order of their names; those that wait one after the other, in a lane of their own."""

    def _assign_work_unit(self, node: Any) -> None:
        if fitting := self._fitting(node):
            self.workqueue.move_to_end(fitting, last=False)
        super()._assign_work_unit(node)

    def _reschedule(self, node: Any) -> None:
        if self._waits(node) and self.workqueue and not self._fitting(node) and not node.shutting_down:
            node.shutdown()  # it finishes what it has
            return
        super()._reschedule(node)

    def _fitting(self, node: Any) -> str | None:
        """The next file for this lane."""
        waits = self._waits(node)
        return next((file for file in self.workqueue if (file in WAITING) == waits), None)

    def _waits(self, node: Any) -> bool:
        return bool(node.gateway.id == f"gw{LANES - 1}")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Lanes:
    """What xdist asks for a scheduler."""
    if missing := [file for file in WAITING if not (config.rootpath / file).exists()]:
        raise pytest.UsageError(f"lanes: there is no {', '.join(missing)}")
    return Lanes(config, log)
