"""Events from the write-ahead log to bronze: each exactly once whatever is cut off, and one source stops no other."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from onefold_storage.errors import Unavailable
from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.landing import Lander
from onefold_storage.person import Person
from onefold_storage.receipts import Receipt, standing
from onefold_storage.requests import Requests
from onefold_storage.schema import FAILED_EVENTS
from onefold_storage.settings import StorageSettings
from onefold_storage.spool import Spool, frames_of
from onefold_storage.spool_erasing import spool as erase_from_spool
from onefold_storage.spool_frames import Frame
from onefold_storage.spool_log import SEALED, Writer, segments
from onefold_storage.suppression import Suppressed
from onefold_workers.stages.draining import Drainer

NOW = datetime(2018, 1, 1, tzinfo=UTC)
COLUMNS: dict[str, Any] = {
    "id": {"logicalType": "integer", "required": True},
    "mail": {"logicalType": "string", "customProperties": [{"property": "onefold", "value": {"kind": "email"}}]},
}


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """An installation that takes events of `clicks` and `views`."""
    made = Installation(StorageSettings(home=tmp_path / "home", now=NOW))
    folder = made.settings.workspace_folder / "contracts"
    folder.mkdir(parents=True)
    (folder.parent / "onefold.yaml").write_text("name: test\n")
    for source in ("clicks", "views"):
        declare(made, source)
    yield made
    made.ledger.close()


def declare(installation: Installation, source: str, **changes: Any) -> None:
    """Write a contract of events."""
    properties = [{"name": n, **(changes.get(n) or c)} for n, c in COLUMNS.items()]
    value = {"connector": "http", "lawful_basis": "contract", "data_use": ["service"]}
    document = {
        "kind": "DataContract", "apiVersion": "v3.1.0", "id": source, "version": "1.0.0", "status": "active",
        "schema": [{"name": source, "logicalType": "object", "properties": properties}],
        "customProperties": [{"property": "onefold", "value": value}],
    }  # fmt: skip
    path = installation.settings.workspace_folder / "contracts" / f"{source}.yaml"
    path.write_text(yaml.safe_dump(document))


@pytest.fixture
def drainer(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Drainer]]:
    """`drainer()`: a fresh one, as after a restart, which looks for logs and contracts at once."""
    monkeypatch.setattr("onefold_workers.stages.draining._LOOK_SECONDS", -1.0)
    monkeypatch.setattr("onefold_storage.contract_watch._SECONDS", -1.0)
    made: list[Drainer] = []

    def fresh(**more: Any) -> Drainer:
        for one in made:
            one.close()
        made.append(Drainer(installation, **more))
        return made[-1]

    yield fresh
    for one in made:
        one.close()


def spooled(installation: Installation, *groups: list[Frame]) -> Writer:
    """A log with these groups, a segment each, whose process has ended."""
    writer = Writer(Spool(installation.settings.spool_folder).logs)
    for frames in groups:
        writer.append(frames)
        writer.seal()
    writer.close()
    return writer


def clicks(*ids: int, source: str = "clicks", **more: Any) -> Frame:
    """A request with these events."""
    body = b"\n".join(b'{"id":%d,"mail":"person%d@example.org"}' % (n, n) for n in ids)
    return Frame(source, body, len(ids), **more)


def landed(installation: Installation, source: str = "clicks") -> list[int]:
    """Ids in bronze, in order."""
    if not installation.lake.exists(f"bronze/{source}"):
        return []
    return installation.lake.scan(f"bronze/{source}").sort("_package_id", "_row_id").collect()["id"].to_list()


def failed(installation: Installation) -> list[tuple[str, int, str]]:
    """Failed events as (source, row, rule)."""
    rows = installation.lake.scan(FAILED_EVENTS.name).sort("package_id", "row_id").collect()
    return rows.select("source", "row_id", "rule").rows()


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


def test_a_key_is_forgotten_after_its_days(installation: Installation, drainer: Callable[..., Drainer]) -> None:
    key = {"key": "a" * 32, "digest": "d" * 32}
    spooled(installation, [clicks(1, **key)])
    drainer().step()
    assert installation.ledger.requests.forget(7) == 0
    assert installation.ledger.requests.forget(-1) == 1
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


def test_damage_is_set_aside_and_the_rest_lands(
    installation: Installation, drainer: Callable[..., Drainer]
) -> None:
    writer = Writer(Spool(installation.settings.spool_folder).logs)
    for n in range(3):
        writer.append([clicks(n)])
    writer.close()
    (segment,) = segments(writer.folder)
    data = segment.path.read_bytes()
    segment.path.write_bytes(data.replace(b"person1", b"perso_1"))
    drainer().step()
    assert landed(installation) == [0, 2]
    assert [p.suffix for p in writer.folder.iterdir() if p.name != "lock"] == [".damaged"]


def test_who_was_erased_does_not_land_and_leaves_the_log(
    installation: Installation, drainer: Callable[..., Drainer]
) -> None:
    writer = spooled(installation, [clicks(1), clicks(2, 3)])
    keyed, mail = installation.keyed_hash, "person2@example.org"
    installation.ledger.suppression.add([Suppressed(keyed.of("email", mail), "email")], "erasure")
    person = Person("g", frozenset({"g"}), frozenset(), frozenset({("email", mail)}), 0)
    assert erase_from_spool(installation, "spool", person) == 1
    (path,) = writer.folder.glob(f"*{SEALED}")
    assert b"person2" not in path.read_bytes()
    assert [f.erased for f in frames_of(path)] == [(), (0,)]
    assert erase_from_spool(installation, "spool", person) == 0
    drainer().step()
    assert landed(installation) == [1, 3]
    (package,) = installation.ledger.packages.list("clicks")
    assert (package.sent, package.landed, package.suppressed) == (3, 2, 1)
    spooled(installation, [clicks(2, 4)])  # sent again, the suppression list alone keeps the person out
    drainer().step()
    assert landed(installation) == [1, 3, 4]


def test_what_a_sender_writes_never_counts_as_erased(
    installation: Installation, drainer: Callable[..., Drainer]
) -> None:
    odd = b'#erased\n{"id":1}\n#suppressed\n#erased'
    key = {"key": "a" * 32, "digest": "d" * 32}
    spooled(installation, [Frame("clicks", odd, 4), clicks(5, **key)])
    spooled(installation, [Frame("clicks", odd, 4, key="a" * 32, digest="e" * 32)])
    drainer().step()
    assert sorted(landed(installation)) == [1, 5]
    rules = [rule for _, _, rule in failed(installation)]
    assert (rules.count("json"), rules.count("idempotency_key")) == (3, 4)
    totals = installation.ledger.packages.totals()["clicks"]
    assert (totals.sent, totals.landed, totals.failed, totals.suppressed) == (9, 2, 7, 0)


def test_of_a_key_that_came_before_no_erased_event_is_kept(
    installation: Installation, drainer: Callable[..., Drainer]
) -> None:
    key = {"key": "a" * 32}
    spooled(installation, [clicks(1, digest="d" * 32, **key)])
    spooled(installation, [Frame("clicks", b'{"id":2}\n\n{"id":3}', 3, digest="e" * 32, erased=(1,), **key)])
    drainer().step()
    assert [row for _, row, _ in failed(installation)] == [0, 2]
    assert installation.ledger.packages.totals()["clicks"].suppressed == 1


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
