"""What `onefold storage status` shows."""

from __future__ import annotations

import pytest

from onefold.commands import storage_outlook


def test_drives_that_are_away_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    found: dict[str, object] = dict.fromkeys(("free_bytes", "usable_bytes", "room_bytes", "quota_bytes", "waste"))
    found |= {"where": "http://minio", "kind": "cluster", "drives_online": 6, "drives": 8, "healing": 0}
    found |= {name: [] for name in ("nodes", "pools", "movements", "sources", "unknown")}
    storage_outlook._print_status(found | {"tables": {"rows": 0}})
    assert "  6 of 8 drives online, 0 healing, some are away\n" in capsys.readouterr().out
