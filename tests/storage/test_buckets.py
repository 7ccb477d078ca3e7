"""The lake's bucket, its rules and its user on a real MinIO."""

from __future__ import annotations

from typing import Any

from onefold_storage.buckets import prepare
from onefold_storage.settings import StorageSettings


def test_done_again_nothing_changes(minio: Any) -> None:
    settings = StorageSettings(**minio.settings("twice"), **minio.root())
    first = prepare(settings, quota=10**9)
    assert first.changed == ("bucket", "lifecycle", "quota", "policy", "user", "permission")
    again = prepare(settings)
    assert (again.changed, again.quota, again.versioning, again.warning) == ((), 10**9, "Off", None)
