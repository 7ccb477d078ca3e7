"""The write-ahead log: what is whole after a crash at any byte, what a full or broken volume leaves, what is held."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onefold_storage import spool_log
from onefold_storage.errors import Full, Unavailable
from onefold_storage.spool import Spool, frames_of
from onefold_storage.spool_frames import MAGIC, Frame, head, pack, unpack
from onefold_storage.spool_log import DAMAGED, OPEN, SEALED, Writer, segments, set_aside, take_over

GROUPS = [
    [Frame("a", b'{"x":1}', 1)],
    [Frame("a", b'{"x":2}\n{"x":3}', 2, key="k" * 32, digest="d" * 32), Frame("b", b"{}\n\n", 3, erased=(1, 2))],
    [Frame("b", b'{"y":"' + b"\xc3\xa9" * 20 + b'"}', 1), Frame("a", b"", 0)],
]


def _segment(groups: list[list[Frame]]) -> tuple[bytes, list[int]]:
    """The bytes of a segment, and where each group ends."""
    begun = head()
    data, ends = begun, [len(begun)]
    for n, frames in enumerate(groups):
        data += pack(frames, n, begun)
        ends.append(len(data))
    return data, ends


def test_cut_at_every_byte_it_gives_every_group_that_is_whole() -> None:
    data, ends = _segment(GROUPS)
    for size in range(len(data) + 1):
        found = unpack(data[:size])
        whole = sum(e <= size for e in ends[1:])
        assert list(found.frames) == [f for g in GROUPS[:whole] for f in g]
        assert found.damaged == 0
        assert found.whole == (ends[whole] if size >= ends[0] else 0)


def test_a_log_cut_at_every_byte_is_taken_over_without_its_tail(tmp_path: Path) -> None:
    data, ends = _segment(GROUPS[:2])
    for size in range(len(data) + 1):
        folder = tmp_path / f"log{size}"
        folder.mkdir()
        (folder / f"0000000001{OPEN}").write_bytes(data[:size])
        lock = take_over(folder)
        assert lock is not None
        whole = sum(e <= size for e in ends[1:])
        found = segments(folder)
        assert len(found) == (1 if whole else 0)
        if whole:
            assert found[0].path.stat().st_size == ends[whole]
            assert list(found[0].read().frames) == [f for g in GROUPS[:whole] for f in g]
        lock.release()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)
@given(
    lost=st.lists(st.integers(0, 2), min_size=1, max_size=2, unique=True),
    place=st.floats(0, 0.999),
    value=st.integers(1, 255),
)
def test_damage_costs_its_own_group_and_is_told(lost: list[int], place: float, value: int) -> None:
    data, ends = _segment(GROUPS)
    broken = bytearray(data)
    for n in lost:
        at = ends[n] + int(place * (ends[n + 1] - ends[n]))
        broken[at] ^= value
    found = unpack(bytes(broken))
    assert list(found.frames) == [f for n, g in enumerate(GROUPS) if n not in lost for f in g]
    # what has a whole group behind it was durable: that is damage; at the end it is a torn tail
    assert (found.damaged > 0) == any(m not in lost for n in lost for m in range(n + 1, 3))


def test_what_a_sender_sends_never_passes_for_a_group() -> None:
    begun = head()
    forged = MAGIC + b"m" * 8 + pack([Frame("victim", b"{}", 1)], 9, MAGIC + b"m" * 8)
    data = begun + pack([Frame("a", forged, 1)], 0, begun)
    assert unpack(data[: len(begun) + 60] + data[len(begun) + 61 :]).frames == ()
    assert [f.source for f in unpack(data).frames] == ["a"]


def test_a_segment_without_its_head_is_kept_for_people(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    data, _ = _segment(GROUPS)
    path = folder / f"0000000001{OPEN}"
    path.write_bytes(b"X" + data[1:])
    lock = take_over(folder)
    assert lock is not None
    (segment,) = segments(folder)
    found = segment.read()
    assert found.frames == () and found.damaged == len(data)
    set_aside(segment.path, found.frames)
    assert segment.path.with_suffix(DAMAGED).read_bytes() == b"X" + data[1:]
    assert segment.read().damaged == 0
    lock.release()


def test_rows_are_numbered_by_source_and_segment(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "logs")
    assert not writer.folder.exists()
    one, two = Frame("a", b"{}\n{}", 2), Frame("b", b"{}", 1)
    assert writer.append([one, two, one]) == [(1, 0), (1, 0), (1, 2)]
    assert writer.append([one]) == [(1, 4)]
    assert writer.seal() and not writer.seal()
    assert writer.append([one]) == [(2, 0)]
    writer.close()
    first, second = segments(writer.folder)
    assert [(f.source, f.first) for f in first.read().frames] == [("a", 0), ("b", 0), ("a", 2), ("a", 4)]
    assert first.content != second.content


def test_a_log_is_taken_over_only_when_its_process_has_ended(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "logs")
    writer.append([Frame("a", b"{}", 1)])
    code = "import sys; from pathlib import Path; from onefold_storage.spool_log import take_over; "
    code += f"print(take_over(Path({str(writer.folder)!r})))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "None\n"
    )
    writer.close()
    lock = take_over(writer.folder)
    assert lock is not None
    lock.release()


@pytest.mark.parametrize("removed", [True, False])
def test_who_looks_for_logs_while_one_begins_takes_over_none_that_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removed: bool
) -> None:
    """A drainer or an erasure comes between the making of a log's folder and its lock."""
    spool = Spool(tmp_path)
    writer = Writer(spool.logs)
    taken: list[FileLock] = []
    real = FileLock.acquire

    def interrupted(self: FileLock, *given: object, **more: object) -> object:
        monkeypatch.setattr(FileLock, "acquire", real)
        for folder in spool.log_folders():
            lock = take_over(folder)
            assert lock is not None
            taken.append(lock)
            if removed:
                (folder / "lock").unlink()
                folder.rmdir()
        return real(self, *given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(FileLock, "acquire", interrupted)
    assert writer.append([Frame("a", b'{"n":1}', 1)]) == [(1, 0)]
    for lock in taken:
        lock.release()
    assert spool.log_folders() == [writer.folder] and take_over(writer.folder) is None
    writer.append([Frame("a", b'{"n":2}', 1)])
    writer.close()
    assert [f.body for s in segments(writer.folder) for f in s.read().frames] == [b'{"n":1}', b'{"n":2}']
    assert take_over(writer.folder) is not None


def test_a_log_that_could_not_begin_begins_with_the_next_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = spool_log.sync_folder
    for fails_at in (1, 2):
        writer = Writer(tmp_path / f"logs{fails_at}")
        left = fails_at

        def broken(folder: Path) -> None:
            nonlocal left
            left -= 1
            if not left:
                raise OSError(errno.EIO, "Input/output error")
            real(folder)

        monkeypatch.setattr(spool_log, "sync_folder", broken)
        with pytest.raises(Unavailable):
            writer.append([Frame("a", b"{}", 1)])
        assert writer.append([Frame("a", b"{}", 1)])[0][1] == 0
        assert take_over(writer.folder) is None
        writer.close()
        assert sum(f.events for s in segments(writer.folder) for f in s.read().frames) == 1


KILLED = """
import os, sys
from pathlib import Path
from onefold_storage.spool_frames import Frame
from onefold_storage.spool_log import Writer
writer = Writer(Path(sys.argv[1]))
for n in range(10**9):
    writer.append([Frame("a", b'{"n":%d,"k":%d}' % (n, k), 1) for k in range(3)])
    os.write(1, b"%d\\n" % n)
"""


def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    for round_ in range(5):
        logs = tmp_path / f"logs{round_}"
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(logs)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(20 + 7 * round_)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
        process.wait()
        acknowledged = [int(x) for x in lines if x.endswith(b"\n")]
        (folder,) = logs.iterdir()
        lock = take_over(folder)
        assert lock is not None
        bodies = [f.body for s in segments(folder) for f in s.read().frames]
        assert len(bodies) == len(set(bodies))
        assert set(bodies) >= {b'{"n":%d,"k":%d}' % (n, k) for n in acknowledged for k in range(3)}
        lock.release()


LIMITED = 64 << 10


def _limited(path: str) -> None:
    """In a child: files may not grow past a bound, as on a full volume."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMITED, LIMITED))
    writer = Writer(Path(path))
    kept, refused = 0, 0
    for n in range(40):
        try:
            writer.append([Frame("a", b"%04d" % n * 1000, 1)])
            kept += 1
        except Full:
            refused += 1
    assert refused, "the bound was never reached"
    writer.close()
    print(kept)


def test_a_group_that_finds_no_room_leaves_nothing_and_the_log_goes_on(tmp_path: Path) -> None:
    code = f"import runpy; runpy.run_path({__file__!r})['_limited']({str(tmp_path / 'logs')!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "logs").iterdir()
    frames = [f for s in segments(folder) for f in s.read().frames]
    assert len(frames) == int(done.stdout)
    assert all(s.read().damaged == 0 for s in segments(folder))


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    """A volume of its own of half a megabyte."""
    folder = tmp_path / "volume"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("a small volume can only be mounted by root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_volume_refuses_and_takes_again_when_there_is_room(small_volume: Path) -> None:
    writer = Writer(small_volume / "logs")
    kept: list[bytes] = []
    refused = 0
    for n in range(200):
        body = b"%05d" % n * 1000
        try:
            writer.append([Frame("a", body, 1)])
            kept.append(body)
        except Full as error:
            refused += 1
            assert error.status == 507 and "room" in str(error)
    assert refused
    writer.seal()
    found = segments(writer.folder)
    assert [f.body for s in found for f in s.read().frames] == kept
    for segment in found:
        spool_log.remove(segment.path)
    assert writer.append([Frame("a", b"{}", 1)])
    writer.close()


def test_a_sync_that_fails_acknowledges_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(tmp_path / "logs")
    writer.append([Frame("a", b'{"n":1}', 1)])
    real = os.fdatasync

    def fails(file: int) -> None:
        monkeypatch.setattr(os, "fdatasync", real)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fails)
    with pytest.raises(Unavailable, match="does not take writes"):
        writer.append([Frame("a", b'{"n":2}', 1)])
    assert writer.append([Frame("a", b'{"n":3}', 1)]) == [(2, 0)]  # a sync that failed is not trusted again
    writer.close()
    assert [f.body for s in segments(writer.folder) for f in s.read().frames] == [b'{"n":1}', b'{"n":3}']


def test_what_is_held_stays_in_order_and_says_why(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    writer = Writer(spool.logs)
    for n in range(3):
        writer.append([Frame("a", b'{"n":%d}' % n, 1)])
        writer.seal()
    for segment in segments(writer.folder):
        spool.hold("a", segment, segment.read().frames, {"message": "a: has no contract"})
        spool.hold("a", segment, segment.read().frames, {"message": "a: has no contract"})  # after a crash
    held = spool.held("a")
    assert [h.segment.number for h in held] == [1, 2, 3]
    assert [h.segment.content for h in held] == [s.content for s in segments(writer.folder)]
    assert [f.body for h in held for f in frames_of(h.segment.path)] == [b'{"n":%d}' % n for n in range(3)]
    assert spool.why("a") == {"message": "a: has no contract"}
    assert spool.held_sources() == ["a"]
    depth = spool.depth()
    assert depth.segments == 3 and depth.held["a"] > 0 and depth.total == depth.bytes + depth.held["a"]
    for h in held:
        spool_log.remove(h.segment.path)
    assert spool.why("a") == {} and spool.held_sources() == []
    writer.close()


def test_depth_is_nothing_where_nothing_is(tmp_path: Path) -> None:
    depth = Spool(tmp_path / "nowhere").depth()
    assert (depth.total, depth.segments, depth.oldest) == (0, 0, 0.0)
    assert Spool(tmp_path / "nowhere").log_folders() == []


def test_files_of_the_log_are_for_their_owner_alone(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "logs")
    writer.append([Frame("a", b"{}", 1)])
    writer.close()
    (segment,) = segments(writer.folder)
    assert segment.path.suffix == SEALED and segment.path.stat().st_mode & 0o077 == 0
