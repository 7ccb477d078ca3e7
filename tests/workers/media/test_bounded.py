"""Hostile files: whatever is in them, the reader answers within its bounds, and reads the next file."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from onefold_workers.media.bounded import Reader


def test_a_bomb_costs_its_own_facts_alone(make: SimpleNamespace, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.pdf"
    bomb.write_bytes(make.pdf(bomb=300 << 20))
    assert bomb.stat().st_size < 4 << 20
    good = tmp_path / "good.pdf"
    good.write_bytes(make.pdf())
    with Reader(seconds=30, memory=512 << 20) as reader:
        with bomb.open("rb") as file:
            facts = reader.facts(file, "pdf")
        assert facts.kind == "pdf"
        assert facts.problem
        assert facts.text is None or "Invoice" not in facts.text
        with good.open("rb") as file:
            assert reader.facts(file, "pdf").pages == 2


def test_a_file_that_takes_too_long_is_given_up(
    make: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "slow.pdf"
    slow.write_bytes(make.pdf(tuple("word " * 20_000 for _ in range(60))))
    good = tmp_path / "good.wav"
    good.write_bytes(make.wav())
    with Reader(seconds=60) as reader, good.open("rb") as file:
        assert reader.facts(file, "wav").duration_s == 1.5
        reader._seconds = 0.2  # the process is there already, so that its start is not what is measured
        began = time.monotonic()
        with slow.open("rb") as other:
            facts = reader.facts(other, "pdf")
        assert time.monotonic() - began < 20
        assert facts.kind == "pdf"
        assert "more than 0.2 s" in str(facts.problem) or "pages was read" in str(facts.problem)
        reader._seconds = 60
        assert reader.facts(file, "wav").duration_s == 1.5


def test_a_huge_photo_is_not_unpacked(make: SimpleNamespace, tmp_path: Path) -> None:
    photo = tmp_path / "huge.png"
    photo.write_bytes(make.bomb())
    with Reader(memory=512 << 20) as reader, photo.open("rb") as file:
        facts = reader.facts(file, "png")
    assert (facts.width, facts.height, facts.problem) == (60_000, 50_000, None)


def test_a_reader_that_dies_is_replaced(make: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(make.wav())
    with Reader() as reader, path.open("rb") as file:
        assert reader.facts(file, "wav").problem is None
        assert reader._process is not None
        os.kill(reader._process.pid, 9)
        reader._process.wait()
        facts = reader.facts(file, "wav")
        assert (facts.kind, facts.media_type) == ("audio", "audio/x-wav")
        assert "brought its reader down" in str(facts.problem)
        assert reader.facts(file, "wav").duration_s == 1.5
