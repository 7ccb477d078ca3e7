"""The registry and the workspace: versions grow with changes and with nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from onefold_storage.clock import FixedClock, SystemClock
from onefold_storage.errors import BadContract, NotFound
from onefold_storage.installation import Installation
from onefold_storage.registry import latest, register, versions
from onefold_storage.settings import StorageSettings
from onefold_storage.workspace import Workspace, clock_for


@pytest.fixture
def folder(installation: Installation, make_contract_text: Callable[..., str]) -> Path:
    root = installation.settings.workspace_folder
    for name in ("contracts", "features", "audiences"):
        (root / name).mkdir(parents=True)
    (root / "onefold.yaml").write_text("name: shop\n")
    (root / "contracts/people.yaml").write_text(make_contract_text())
    (root / "features/visits.py").write_text("VIEW = 1\n")
    (root / "survivorship.yaml").write_text("trust: {people: 10}\n")
    return root


def _register(installation: Installation) -> int:
    return register(installation.lake, Workspace.open(installation.settings.workspace_folder), installation.clock)


def test_versions_grow_with_each_change_and_with_nothing_else(installation: Installation, folder: Path) -> None:
    assert _register(installation) == 4
    assert versions(installation.lake) == {
        "contract/people": 1, "feature/visits": 1, "survivorship/survivorship": 1, "workspace/onefold": 1,
    }  # fmt: skip
    before = installation.lake.version("registry/declarations")
    assert _register(installation) == 0
    (folder / "features/visits.py").touch()
    (folder / "notes.txt").write_text("no declaration")
    assert _register(installation) == 0
    assert installation.lake.version("registry/declarations") == before

    (folder / "features/visits.py").write_text("VIEW = 2\n")
    (folder / "audiences/loyal.yaml").write_text("name: loyal\n")
    assert _register(installation) == 2
    assert versions(installation.lake)["feature/visits"] == 2
    assert versions(installation.lake)["audience/loyal"] == 1
    kept = installation.lake.read("registry/declarations").to_pylist()
    visits = {r["version"]: r["content"] for r in kept if r["name"] == "visits"}
    assert visits == {1: "VIEW = 1\n", 2: "VIEW = 2\n"}


def test_a_removed_declaration_is_gone_and_comes_back_with_a_greater_version(
    installation: Installation, folder: Path
) -> None:
    _register(installation)
    (folder / "features/visits.py").unlink()
    assert _register(installation) == 1
    assert "feature/visits" not in versions(installation.lake)
    assert _register(installation) == 0
    (folder / "features/visits.py").write_text("VIEW = 1\n")
    assert _register(installation) == 1
    assert versions(installation.lake)["feature/visits"] == 3
    assert latest(installation.lake).height == 4


def test_an_empty_workspace(installation: Installation) -> None:
    with pytest.raises(NotFound, match="onefold init"):
        _ = installation.workspace
    root = installation.settings.workspace_folder
    root.mkdir(parents=True)
    (root / "onefold.yaml").write_text("")
    assert Workspace.open(root).contracts() == []
    assert _register(installation) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"colour: red", "colour: Extra inputs"),
        (b"name: [", "not valid YAML"),
        (b"- a", "expected a mapping, found list"),
        ("name: Köln".encode("latin-1"), "expected UTF-8"),
        (b"now: someday", "now: "),
        (b"currency: euro", "currency: "),
        (b"currency: EUR\nexchange_rates: {USD: 0}", "exchange_rates.USD: "),
        (b"currency: EUR\nexchange_rates: {EUR: 1}", "own currency"),
        (b"exchange_rates: {USD: 0.92}", "add `currency`"),
    ],
)
def test_bad_workspace_settings_name_the_file_and_the_key(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "onefold.yaml").write_bytes(content)
    with pytest.raises(BadContract, match=says) as caught:
        Workspace.open(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'onefold.yaml'}: ")


def test_single_files_and_their_errors(installation: Installation, folder: Path) -> None:
    workspace = installation.workspace
    assert workspace.yaml("survivorship") == {"trust": {"people": 10}}
    assert workspace.yaml("data_uses") == {}
    (folder / "data_uses.yaml").write_text("- marketing")
    with pytest.raises(BadContract, match=r"data_uses\.yaml: expected a mapping"):
        workspace.yaml("data_uses")


def test_contracts_by_id(installation: Installation, folder: Path, make_contract_text: Callable[..., str]) -> None:
    workspace = installation.workspace
    assert workspace.contract("people").id == "people"
    with pytest.raises(NotFound, match=r"persons: no contract .* there are people"):
        workspace.contract("persons")
    (folder / "contracts/again.yaml").write_text(make_contract_text())
    with pytest.raises(BadContract, match=r"people\.yaml: id: 'people' is the id of another contract too"):
        workspace.contracts()


def test_the_clock_is_fixed_by_the_environment_then_by_the_workspace(tmp_path: Path) -> None:
    settings = StorageSettings(home=tmp_path)
    assert isinstance(clock_for(settings), SystemClock)
    settings.workspace_folder.mkdir()
    (settings.workspace_folder / "onefold.yaml").write_text("now: 2018-01-01T01:00:00+01:00\n")
    assert clock_for(settings).now() == datetime(2018, 1, 1, tzinfo=UTC)
    fixed = StorageSettings(home=tmp_path, now=datetime(2020, 1, 1, tzinfo=UTC))
    assert clock_for(fixed) == FixedClock(datetime(2020, 1, 1, tzinfo=UTC))
