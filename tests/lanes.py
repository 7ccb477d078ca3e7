"""Three files side by side on two cores: two that compute, and one of those that mostly wait for servers to fail.

A pytest plugin for `pytest -p lanes -n 3 --dist loadfile`. The last lane takes the files below, one after the other,
so that clusters of storage nodes neither stand beside each other nor keep a core idle; then it helps the others.
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

LANES = 3
WAITING = (
    "tests/chaos/test_storage_faults.py",
    "tests/infra/test_up_local.py",
    "tests/storage/test_pool_growth.py",
    "tests/storage/test_bucket_faults.py",
    "tests/storage/test_torn_commits.py",
    "tests/flows/test_deployments.py",
    "tests/flows/test_server.py",
    "tests/platform/demo/test_live.py",
    "tests/platform/test_api_ingest_faults.py",
    "tests/workers/connectors/test_bad_servers.py",
    "tests/workers/connectors/test_pace.py",
    "tests/workers/connectors/test_imap.py",
    "tests/infra/test_pool_plan.py",  # last: it uses what test_compose_schema.py builds
)


class Lanes(LoadFileScheduling):
    """Files by the order of their names; the last lane begins with those that wait, in the order above."""

    def _assign_work_unit(self, node: Any) -> None:
        if fitting := self._fitting(waits=node.gateway.id == f"gw{LANES - 1}"):
            self.workqueue.move_to_end(fitting, last=False)
        super()._assign_work_unit(node)

    def _fitting(self, *, waits: bool) -> str | None:
        """The next file for a lane; None where there is none of its kind, and any will do."""
        files = WAITING if waits else self.workqueue
        return next((file for file in files if file in self.workqueue and (file in WAITING) == waits), None)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Lanes:
    """What xdist asks for a scheduler."""
    if missing := [file for file in WAITING if not (config.rootpath / file).exists()]:
        raise pytest.UsageError(f"lanes: there is no {', '.join(missing)}")
    return Lanes(config, log)
