"""The same input gives the same tables in a folder and on a bucket, the same publication, and the same erasure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from onefold_storage.erasure import erase
from onefold_storage.installation import Installation
from onefold_storage.publications import Publications
from onefold_storage.settings import StorageSettings

NOW = datetime(2018, 1, 1, tzinfo=UTC)

pytestmark = pytest.mark.needs_minio


@pytest.fixture
def both(tmp_path: Path, bucket: dict[str, Any], small_lake: dict[str, Any]) -> Iterator[list[Installation]]:
    """Two installations, filled alike: in a folder, and on a bucket; what is random (file names) differs."""
    made = []
    for name, given in (("folder", {}), ("bucket", bucket)):
        installation = Installation(StorageSettings(home=tmp_path / name, now=NOW, **given))
        small_lake["fill"](installation)
        made.append(installation)
    yield made
    for installation in made:
        installation.ledger.close()


def _tables(installation: Installation) -> dict[str, pl.DataFrame]:
    return {name: installation.lake.scan(name).collect() for name in installation.lake.names()}


def _check_same(folder: Installation, bucket: Installation) -> None:
    ours, theirs = _tables(folder), _tables(bucket)
    assert ours.keys() == theirs.keys()
    for name, frame in ours.items():
        assert frame.schema == theirs[name].schema, name
        by = [c for c in frame.columns if not frame.schema[c].is_nested()]
        assert_frame_equal(frame.sort(by), theirs[name].sort(by), check_exact=True)


def test_laptop_and_bucket_agree(both: list[Installation]) -> None:
    folder, bucket = both
    assert len(_tables(folder)) > 10
    _check_same(folder, bucket)
    books = [sorted((p.package_id, p.sent, p.landed, p.failed) for p in i.ledger.packages.list()) for i in both]
    assert books[0] == books[1]
    published = [Publications(i.lake.objects).current() for i in both]
    assert published[0] and published[0] == published[1]
    receipts = [erase(i, "g-ann", NOW) for i in both]
    assert receipts[0].complete and receipts[1].complete
    assert (receipts[0].places, receipts[0].suppressed) == (receipts[1].places, receipts[1].suppressed)
    _check_same(folder, bucket)
