"""Media files of a folder, a foreign bucket and a web server: what is read, what is refused, what a draft proposes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

from onefold_storage import contracts
from onefold_storage.errors import BadContract, BadInput
from onefold_storage.settings import StorageSettings
from onefold_workers import connectors
from onefold_workers.connectors._media_files import pattern_of
from onefold_workers.drafting import draft

Make = Callable[..., Any]


@pytest.fixture
def media(tmp_path: Path, contract: Make) -> Make:
    """`media(location, bookmark, delivery, **options)`: the deliveries, each with its batches read."""

    def read(
        location: str, bookmark: Any = None, delivery: str = "changes", **options: Any
    ) -> list[tuple[Any, list[Any]]]:
        made = contract(location, "media", columns=("path", "phone"), primary=("path",), **options)
        changed = contracts.parse(
            made.text.replace("data_use:", f"delivery: {delivery}\n    data_use:"), "trial.yaml"
        )
        found = []
        for d in connectors.deliveries(changed, tmp_path, bookmark=bookmark):
            found.append((d, list(d.batches)))
            assert d.landed is None or d.landed() is None
        return found

    return read


def _rows(deliveries: list[tuple[Any, list[Any]]]) -> list[dict[str, Any]]:
    return [r for _, batches in deliveries for b in batches for r in b.rows.to_pylist()]


def test_packages_hold_some_files_and_their_bookmark_the_rest(media: Make, make: Any, tmp_path: Path) -> None:
    for n in range(7):
        (tmp_path / f"{n}.wav").write_bytes(make.wav(0.1 * (n + 1)))
    first = media("*.wav", files=3)
    assert [sum(b.rows.num_rows for b in batches) for _, batches in first] == [3, 3, 1]
    marks = [d.bookmark() for d, _ in first]
    assert [len(_rows(media("*.wav", mark))) for mark in marks] == [4, 1, 0]
    assert len(json.dumps(marks[-1])) < 7 * 8 * 4 / 3 + 30, "eight bytes a file"
    (tmp_path / "3.wav").unlink()
    assert media("*.wav", marks[-1]) == []
    (whole,) = media("*.wav", marks[-1], delivery="snapshot")
    assert len(_rows([whole])) == 6, "a snapshot has all that is there, so that what is gone has vanished"
    assert media("*.wav", delivery="snapshot")[0][0].content == whole[0].content


def test_what_is_refused(media: Make, make: Any, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(make.wav())
    with pytest.raises(BadContract, match="expected `changes` or `snapshot`"):
        media("*.wav", delivery="append")
    with pytest.raises(BadContract, match="expected names in braces"):
        media("*.wav", pattern="calls/*.wav")
    with pytest.raises(BadContract, match="expected the name of a file beside each"):
        media("*.wav", sidecar="../x.json")
    with pytest.raises(BadInput, match="no file matches"):
        media("*.jpg")
    ((delivery, (batch,)),) = media("*.wav", max_object_bytes=1000)
    assert (batch.rows.num_rows, batch.documents) == (0, ())
    assert [b.rule for b in batch.bad] == ["too_large"]
    assert json.loads(batch.bad[0].raw) == {"path": "a.wav"}
    assert "a.wav" not in batch.bad[0].message + delivery.origin


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("in/calls/+44207/2018-03-04-x.wav", {"phone": "+44207", "day": "2018-03-04"}),
        ("calls/a/b-.wav", {"phone": "a", "day": "b"}),
        ("calls/a/b/c-x.wav", None),
        ("xcalls/a/b-x.wav", None),
        ("calls/a/b-x_wav", None),
    ],
)
def test_patterns(path: str, found: dict[str, str] | None) -> None:
    pattern = pattern_of("calls/{phone}/{day}-*.wav", "x")
    assert pattern is not None
    match = pattern.search(path)
    assert (match and match.groupdict()) == found


def test_a_draft_says_whose_files_are(make: Any, tmp_path: Path) -> None:
    for n in range(4):
        folder = tmp_path / f"calls/+44207946010{n}"
        folder.mkdir(parents=True)
        (folder / "a.wav").write_bytes(make.wav(0.2))
        (folder / "a.json").write_text('{"agent": "Desk 4"}')
    options = {"pattern": "calls/{phone}/*.wav", "sidecar": "{stem}.json"}
    rows, name, found = connectors.sample("calls/*/*", tmp_path, connector="media", options=options)
    assert (rows.num_rows, name, found) == (4, "media", options)
    made = contracts.parse(draft(rows, "calls", "calls/*/*", name, found), "draft")
    assert (made.primary_key, made.kinds, made.rules.delivery) == (("path",), {"phone": "phone"}, "changes")
    people, documents = made.maps
    assert (people.table, people.key) == ("contact_records", ("phone",))
    assert documents.contact is not None and documents.contact.key == ("phone",)
    assert documents.fields["object"].column == "object"


@pytest.mark.needs_minio
def test_a_foreign_bucket(bucket: dict[str, Any], media: Make, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given = StorageSettings(**bucket)
    assert given.s3_secret_key and given.s3_access_key
    monkeypatch.setenv("FOREIGN_SECRET", given.s3_secret_key.get_secret_value())
    storage = {"key": given.s3_access_key, "secret": "${FOREIGN_SECRET}", "endpoint_url": given.s3_endpoint}
    fs = fsspec.filesystem(
        "s3", key=given.s3_access_key, secret=given.s3_secret_key.get_secret_value(), endpoint_url=given.s3_endpoint,
        use_listings_cache=False, skip_instance_cache=True,
    )  # fmt: skip
    base = given.lake.removeprefix("s3://") + "/drop"
    data = make.mp4(seconds=3)
    fs.pipe_file(f"{base}/+442079460101/a.mp4", data)
    fs.pipe_file(f"{base}/+442079460101/a.mp4.json", b'{"agent": "Desk 4"}')
    options = {"storage": storage, "pattern": "{phone}/*.mp4", "sidecar": "{name}.json"}
    first = media(f"s3://{base}/*/*", **options)
    (row,) = _rows(first)
    assert (row["phone"], row["agent"], row["duration_s"]) == ("+442079460101", "Desk 4", "3.0")
    (document,) = first[0][1][0].documents
    assert (document.sha256, document.size) == (hashlib.sha256(data).hexdigest(), len(data))
    with document.read() as file:
        assert file.read() == data
    mark = first[0][0].bookmark()
    assert media(f"s3://{base}/*/*", mark, **options) == []
    fs.pipe_file(f"{base}/+442079460101/a.mp4.json", b'{"agent": "Desk 5"}')
    assert _rows(media(f"s3://{base}/*/*", mark, **options))[0]["agent"] == "Desk 5"
    fs.pipe_file(f"{base}/+442079460101/a.mp4", bytes(9000))
    ((_, (batch,)),) = media(f"s3://{base}/*/*", mark, **options, max_object_bytes=1000)
    assert [b.rule for b in batch.bad] == ["unread"]
