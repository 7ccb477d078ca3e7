"""Events from the write-ahead log to bronze: each exactly once whatever is cut off, and one source stops no other."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from onefold_storage.clock import SystemClock
from onefold_storage.errors import Unavailable
from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.landing import Lander
from onefold_storage.receipts import Receipt, standing
from onefold_storage.requests import Requests
from onefold_storage.spool import Spool
from onefold_storage.spool_frames import Frame
from onefold_workers.stages.draining import Drainer

made = runpy.run_path(str(Path(__file__).with_name("drained_home.py")))
installation, drainer = made["installation"], made["drainer"]
declare, spooled, clicks, landed, failed = (made[n] for n in ("declare", "spooled", "clicks", "landed", "failed"))


def test_every_source_lands_once_in_order(installation: Installation, drainer: Callable[..., Drainer]) -> None:
    spooled(installation, [clicks(1), clicks(7, source="views"), clicks(2, 3)], [clicks(4)])
    heard: list[dict[str, Any]] = []
    assert drainer(report=heard.append).step()
    assert landed(installation) == [1, 2, 3, 4] and landed(installation, "views") == [7]
    assert [h["sources"]["clicks"]["landed"] for h in heard] == [3, 1]
    assert not drainer().step()
    assert Spool(installation.settings.spool_folder).log_folders() == []  # the log is gone with its last segment


def test_a_segment_that_comes_again_lands_nothing(
    installation: Installation, drainer: Callable[..., Drainer], tmp_path: Path
) -> None:
    """As after a crash between commit and removal, and with a ledger that was lost."""
    writer = spooled(
        installation, [clicks(1, key="k" * 32, digest="d" * 32)], [clicks(2, source="views"), clicks(3)]
    )
    shutil.copytree(writer.folder, tmp_path / "copy")
    drainer().step()
    for lost in (False, True):
        shutil.copytree(tmp_path / "copy", writer.folder)
        if lost:
            installation.ledger.close()
            del installation.__dict__["ledger"], installation.__dict__["lander"]
            (installation.settings.root / "ledger.db").unlink()
        drainer().step()
        assert landed(installation) == [1, 3] and landed(installation, "views") == [2]
        assert installation.ledger.packages.totals()["clicks"].landed == 2
        assert installation.ledger.requests.find("clicks", ["k" * 32])["k" * 32].request.body == "d" * 32


def test_bad_events_are_kept_and_the_rest_lands(
    installation: Installation, drainer: Callable[..., Drainer]
) -> None:
    bad = Frame("clicks", b'{"id":1}\nnonsense\n{"id":"x"}\n{"mail":"a@example.org"}\n{"id":5,"new":1}', 5)
    spooled(installation, [clicks(0), bad])
    drainer().step()
    assert landed(installation) == [0, 1, 5]
    assert failed(installation) == [("clicks", 2, "json"), ("clicks", 3, "type"), ("clicks", 4, "required")]
    (package,) = installation.ledger.packages.list("clicks")
    assert (package.sent, package.landed, package.failed) == (6, 3, 3)


def test_many_bad_events_hold_nothing(installation: Installation, drainer: Callable[..., Drainer]) -> None:
    """A sender that goes wrong spoils its own events, not those of all the others that come after."""
    spooled(installation, [clicks(1)], [Frame("clicks", b"\n".join([b'{"id":"x"}'] * 10), 10)], [clicks(2)])
    drainer().step()
    assert landed(installation) == [1, 2] and len(failed(installation)) == 10


def test_a_key_lands_once_and_what_else_comes_under_it_is_kept(
    installation: Installation, drainer: Callable[..., Drainer]
) -> None:
    """Two replicas took the same request; a third took something else under its key."""
    key = {"key": "a" * 32, "digest": "d" * 32}
    spooled(installation, [clicks(1), clicks(2, 3, **key), clicks(4)])
    spooled(installation, [clicks(5), clicks(2, 3, **key), clicks(6)])
    spooled(installation, [clicks(8, 9, key="a" * 32, digest="e" * 32), clicks(7)])
    spooled(installation, [clicks(2, 3, source="views", **key)])  # the same key of another source is another
    drainer().step()
    assert sorted(landed(installation)) == [1, 2, 3, 4, 5, 6, 7]
    assert landed(installation, "views") == [2, 3]
    assert [(s, rule) for s, _, rule in failed(installation)] == [("clicks", "idempotency_key")] * 2
    totals = installation.ledger.packages.totals()["clicks"]
    assert (totals.sent, totals.landed, totals.repeated, totals.failed) == (11, 7, 2, 2)


def test_a_key_is_forgotten_after_its_days(
    installation: Installation, drainer: Callable[..., Drainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days of the machine's clock: the platform's stands still here."""
    key = {"key": "a" * 32, "digest": "d" * 32}
    spooled(installation, [clicks(1, **key)])
    drainer().step()
    assert installation.ledger.requests.forget(7) == 0
    later = datetime.now(UTC) + timedelta(days=7, seconds=1)
    monkeypatch.setattr(SystemClock, "now", lambda _: later)
    assert installation.ledger.requests.forget(7) == 1
    assert installation.ledger.requests.find("clicks", ["a" * 32]) == {}


def test_a_receipt_tells_what_became_of_each_request(
    installation: Installation, drainer: Callable[..., Drainer]
) -> None:
    keyed = installation.keyed_hash
    spool = Spool(installation.settings.spool_folder)
    bad = Frame("clicks", b'{"id":1}\n{"id":"x"}', 2, key="a" * 32, digest="d" * 32)
    writer = spooled(installation, [clicks(0), bad, clicks(7, 8, 9)])

    def told(receipt: Receipt) -> dict[str, Any]:
        read = Receipt.read(keyed, "clicks", receipt.text(keyed))
        assert read.text(keyed) == receipt.text(keyed)
        return standing(read, installation.ledger, installation.lake, spool)

    first = Receipt("clicks", 1, log=writer.id, number=1, first=0)
    second = Receipt("clicks", 2, key="a" * 32)
    third = Receipt("clicks", 3, log=writer.id, number=1, first=3)
    assert told(first) == told(second) == {"state": "acknowledged"}
    drainer().step()
    counts = [(told(r)["landed"], told(r)["failed"]) for r in (first, second, third)]
    assert counts == [(1, 0), (1, 1), (3, 0)]
    assert {told(r)["state"] for r in (first, second, third)} == {"committed"}


def test_a_source_without_contract_is_held_alone_until_it_has_one(
    installation: Installation, drainer: Callable[..., Drainer]
) -> None:
    spool = Spool(installation.settings.spool_folder)
    path = installation.settings.workspace_folder / "contracts" / "clicks.yaml"
    text = path.read_text()
    path.unlink()
    writer = spooled(installation, [clicks(1), clicks(9, source="views")], [clicks(2)])
    drainer().step()
    assert landed(installation, "views") == [9] and landed(installation) == []
    assert len(spool.held("clicks")) == 2 and "no contract" in spool.why("clicks")["message"]
    receipt = Receipt("clicks", 1, log=writer.id, number=1, first=0)
    assert standing(receipt, installation.ledger, installation.lake, spool)["state"] == "held"
    path.write_text("nonsense")
    again = drainer()
    again.step()
    assert landed(installation) == []
    path.write_text(text)
    again.step()
    assert landed(installation) == [1, 2] and spool.depth().total == 0
    assert standing(receipt, installation.ledger, installation.lake, spool)["state"] == "committed"


def test_a_contract_that_breaks_with_the_table_holds_until_it_is_amended(
    installation: Installation, drainer: Callable[..., Drainer]
) -> None:
    spooled(installation, [clicks(1)])
    drainer().step()
    declare(installation, "clicks", id={"logicalType": "boolean", "required": True})
    spooled(installation, [clicks(2)])
    one = drainer()
    one.step()
    assert landed(installation) == [1]
    assert sorted(p.status for p in installation.ledger.packages.list("clicks")) == ["committed", "held"]
    spooled(installation, [clicks(3)])
    one.step()
    assert landed(installation) == [1] and len(Spool(installation.settings.spool_folder).held("clicks")) == 2
    declare(installation, "clicks")
    one.step()
    assert landed(installation) == [1, 2, 3]
    assert [p.status for p in installation.ledger.packages.list("clicks")] == ["committed"] * 3


def test_while_storage_is_away_everything_waits_and_lands_in_order_when_it_is_back(
    installation: Installation, drainer: Callable[..., Drainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    drainer().step()
    spooled(installation, [clicks(1), clicks(9, source="views")], [clicks(2)])
    lake = Path(installation.settings.lake)
    lake.parent.mkdir(exist_ok=True)
    lake.write_bytes(b"in the way")  # nothing can be written below a file, not even by root
    one = drainer()
    for _ in range(5):
        with pytest.raises(Unavailable, match="wait in the log"):
            one.step()
    spool = Spool(installation.settings.spool_folder)
    assert spool.depth().segments == 2 and not spool.held_sources()
    lake.unlink()
    one.step()
    assert landed(installation) == [1, 2] and landed(installation, "views") == [9]


def test_events_that_cannot_be_landed_though_storage_is_well_stop_no_others(
    installation: Installation, drainer: Callable[..., Drainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    spooled(installation, [clicks(1), clicks(9, source="views")])
    real = Lander.land

    def broken(self: Lander, contract: Any, delivery: Any) -> Any:
        if contract.id == "clicks":
            raise ValueError("a fault of ours")
        return real(self, contract, delivery)

    monkeypatch.setattr(Lander, "land", broken)
    one = drainer()
    for _ in range(2):
        with pytest.raises(Unavailable, match="trying again"):
            one.step()
    one.step()
    spool = Spool(installation.settings.spool_folder)
    assert landed(installation, "views") == [9]
    assert "ValueError" in spool.why("clicks")["message"] and "fault of ours" not in spool.why("clicks")["message"]
    monkeypatch.setattr(Lander, "land", real)
    drainer().step()
    assert landed(installation) == [1] and not spool.held_sources()


@pytest.mark.parametrize("where", ["before the commit", "after the commit", "between two sources"])
def test_cut_off_anywhere_it_goes_on_exactly_once(
    installation: Installation, drainer: Callable[..., Drainer], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    spooled(installation, [clicks(1), clicks(9, source="views")], [clicks(2)])
    real = Lake.commit

    def cut(self: Lake, name: str, *given: Any, **more: Any) -> int:
        wanted = "bronze/views" if where == "between two sources" else "bronze/clicks"
        if name != wanted:
            return real(self, name, *given, **more)
        if where == "after the commit":
            real(self, name, *given, **more)
        raise SystemExit

    monkeypatch.setattr(Lake, "commit", cut)
    with pytest.raises(SystemExit):
        drainer().step()
    monkeypatch.setattr(Lake, "commit", real)
    drainer().step()
    assert landed(installation) == [1, 2] and landed(installation, "views") == [9]
    assert installation.ledger.packages.totals()["clicks"].sent == 2


def test_many_requests_with_keys_land_in_one_go(
    installation: Installation, drainer: Callable[..., Drainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    real = Requests.find

    def counted(self: Requests, source: str, keys: Any) -> Any:
        asked.append(len(keys))
        return real(self, source, keys)

    monkeypatch.setattr(Requests, "find", counted)
    frames = [clicks(n, key=f"{n:032x}", digest="d" * 32) for n in range(1200)]
    spooled(installation, frames, frames[::-1])
    drainer().step()
    assert sorted(landed(installation)) == list(range(1200))
    assert asked == [1200, 1200]
    rows = installation.lake.scan("bronze/clicks").select(pl.len()).collect().item()
    assert rows == 1200


def test_the_drainer_needs_neither_dask_nor_a_learner() -> None:
    heavy = ("dask", "distributed", "prefect", "sklearn", "scipy", "mlflow", "fastapi")
    code = f"import sys, onefold.draining; print(sorted(set({heavy}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
