"""Publications: immutable versions and an atomic pointer, whatever breaks on the way."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from onefold_storage.errors import BadInput, Conflict, NotFound, Unavailable
from onefold_storage.locks import FileLocks
from onefold_storage.objects import Objects
from onefold_storage.publications import Publications
from onefold_storage.settings import StorageSettings

NOW = datetime(2018, 1, 1, tzinfo=UTC)


@pytest.fixture
def objects(stored: str, tmp_path: Path) -> Objects:
    settings = StorageSettings(home=tmp_path)
    return Objects(settings.lake, settings.storage_options)


@pytest.fixture
def publications(objects: Objects, tmp_path: Path) -> Publications:
    locks = FileLocks(tmp_path / "locks")
    return Publications(objects, lambda: locks.hold("publications"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "serving.sqlite"


def _publish(publications: Publications, file: Path, content: bytes) -> str:
    file.write_bytes(content)
    return publications.publish({"serving.sqlite": file}, NOW, {"n": len(content)}).version


def test_a_publication_is_current_and_comes_back_whole(
    publications: Publications, file: Path, tmp_path: Path
) -> None:
    assert publications.pointer() is None and publications.current() is None and publications.list() == []
    version = _publish(publications, file, b"one")
    current = publications.current()
    assert current is not None and (current.version, current.built_at, current.facts) == (version, NOW, {"n": 3})
    assert publications.fetch(current, tmp_path / "cache")["serving.sqlite"].read_bytes() == b"one"
    with pytest.raises(BadInput):
        publications.publish({}, NOW, {})


def test_publishing_what_is_current_changes_nothing(publications: Publications, file: Path) -> None:
    first = _publish(publications, file, b"one")
    assert _publish(publications, file, b"one") == first
    second = _publish(publications, file, b"two")
    assert _publish(publications, file, b"one") not in (first, second)
    assert [p.version.split("-")[0] for p in publications.list()] == ["000003", "000002", "000001"]


def test_what_can_be_gone_back_to_is_older_than_what_is_served(publications: Publications, file: Path) -> None:
    one, two, three = (_publish(publications, file, c) for c in (b"one", b"two", b"three"))
    before = publications.before(publications.get(three))
    assert before.version == two
    file.write_bytes(b"two, closed")
    again = publications.publish({"serving.sqlite": file}, NOW, {"rollback_of": two})
    assert publications.before(again).version == one
    newer = publications.get(_publish(publications, file, b"four"))
    assert publications.before(newer) == again
    with pytest.raises(Conflict, match="no earlier publication"):
        publications.before(publications.get(one))
    with pytest.raises(NotFound, match=r"there are: 000005-.*000001-"):
        publications.get("000009")


def test_going_back_steps_over_what_was_pruned(publications: Publications, file: Path, objects: Objects) -> None:
    versions = [_publish(publications, file, c) for c in (b"one", b"two", b"three")]
    objects.delete_below(f"publications/{versions[1]}")
    assert publications.before(publications.get(versions[2])).version == versions[0]


def test_a_copy_is_whole_or_refused(
    publications: Publications, file: Path, objects: Objects, tmp_path: Path
) -> None:
    made = publications.get(_publish(publications, file, b"one"))
    assert publications.copy(made, tmp_path / "copy")["serving.sqlite"].read_bytes() == b"one"
    objects.put(f"publications/{made.version}/serving.sqlite", b"0ne")
    with pytest.raises(Unavailable, match="checksum"):
        publications.copy(made, tmp_path / "copy")


def test_prune_keeps_the_current_one_and_the_newest(
    publications: Publications, file: Path, objects: Objects
) -> None:
    versions = [_publish(publications, file, bytes([n])) for n in range(5)]
    with objects.open("publications/000009-broken/serving.sqlite", "wb") as torn:
        torn.write(b"half")
    gone = publications.prune(keep=1)
    assert set(gone) == {*versions[:4], "000009-broken"}
    current = publications.current()
    assert current is not None and current.version == versions[4]
    with pytest.raises(NotFound):
        publications.get(versions[0])


def test_an_upload_that_broke_off_is_no_version(publications: Publications, file: Path, objects: Objects) -> None:
    first = _publish(publications, file, b"one")
    with objects.open("publications/000002-0123456789ab/serving.sqlite", "wb") as torn:
        torn.write(b"half")
    assert [p.version for p in publications.list()] == [first]
    assert _publish(publications, file, b"two").startswith("000003-")


def test_a_damaged_file_is_not_served(
    publications: Publications, file: Path, objects: Objects, tmp_path: Path
) -> None:
    version = _publish(publications, file, b"one")
    current = publications.get(version)
    objects.put(f"publications/{version}/serving.sqlite", b"0ne")
    with pytest.raises(Unavailable, match="checksum"):
        publications.fetch(current, tmp_path / "cache")
    objects.delete(f"publications/{version}/serving.sqlite")
    with pytest.raises(Unavailable, match="missing"):
        publications.fetch(current, tmp_path / "cache")


@pytest.mark.parametrize("stored", [pytest.param("s3", marks=pytest.mark.needs_minio)], indirect=True)
def test_copies_from_a_bucket_are_checked_and_old_ones_removed(
    file: Path, publications: Publications, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    for content in (b"one", b"two"):
        file.write_bytes(content)
        current = publications.publish({"serving.sqlite": file}, NOW, {})
        copy = publications.fetch(current, cache)["serving.sqlite"]
        assert copy.is_relative_to(cache) and copy.read_bytes() == content
        assert [p.name for p in cache.iterdir()] == [current.version]
    copy.write_bytes(b"rotten")
    assert publications.fetch(current, cache)["serving.sqlite"].read_bytes() == b"two"


def test_publishers_at_the_same_time_do_not_share_a_version(publications: Publications, tmp_path: Path) -> None:
    def publish(n: int) -> None:
        _publish(publications, tmp_path / f"file{n}", bytes([n]))

    threads = [threading.Thread(target=publish, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = publications.list()
    assert len({p.version.split("-")[0] for p in found}) == len(found) == 8
    pointer = publications.pointer()
    assert pointer is not None and {pointer.version, *pointer.previous} == {p.version for p in found}
