from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from onefold_storage.errors import BadContract, BadInput
from onefold_workers import connectors
from onefold_workers.connectors import Connector, Options, formats
from onefold_workers.connectors.formats import Format

FOLDER = Path(connectors.__file__).parent


@pytest.mark.parametrize(("folder", "known", "kind"), [
    (FOLDER, connectors.discover(), Connector),
    (FOLDER / "formats", formats.discover(), Format),
])  # fmt: skip
def test_each_file_exports_exactly_one_frozen_object(folder: Path, known: dict[str, object], kind: type) -> None:
    files = sorted(p.stem for p in folder.glob("[!_]*.py"))
    assert len(known) == len(files)
    for thing in known.values():
        assert isinstance(thing, kind)
        with pytest.raises(dataclasses.FrozenInstanceError):
            thing.name = "other"  # type: ignore[attr-defined]
    for file in files:
        text = (folder / f"{file}.py").read_text()
        assert text.count(f"\n{kind.__name__.upper()} = ") == 1


def test_options_are_checked_strictly() -> None:
    for connector in connectors.discover().values():
        assert issubclass(connector.options, Options)
        assert connector.options.model_config["extra"] == "forbid"
        assert connector.options.model_config["frozen"]


OWN = """
from onefold_workers.connectors import Connector, Options
from onefold_storage.deliveries import Batch, Delivery
import pyarrow as pa

def deliveries(contract, base, options, bookmark):
    table = pa.table({"a": ["1"]})
    yield Delivery("same", "made up", iter([Batch(table, pa.array([0], pa.int64()))]))

def sample(text, base, rows, options):
    return pa.table({"a": ["1"]}), {}

CONNECTOR = Connector("%s", Options, ("made",), deliveries, sample)
"""


def test_a_workspace_brings_its_own(tmp_path: Path, contract) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "made_up.py").write_text(OWN % "made_up")
    assert set(connectors.discover(tmp_path)) == {*connectors.discover(), "made_up"}
    found = list(connectors.deliveries(contract("made://x", "made_up"), tmp_path, extra=tmp_path))
    assert [d.origin for d in found] == ["made up"]
    table, name, options = connectors.sample("made://x", tmp_path, extra=tmp_path)
    assert (table.num_rows, name, options) == (1, "made_up", {})


def test_a_taken_name_raises(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN % "files")
    with pytest.raises(BadInput, match=r"mine\.py: the name 'files' is taken by files\.py"):
        connectors.discover(tmp_path)


@pytest.mark.parametrize(("text", "message"), [
    ("x = 1", "expected one Connector named CONNECTOR, found NoneType"),
    ("CONNECTOR = 5", "found int"),
    ("import nowhere_to_be_found", "does not import"),
])  # fmt: skip
def test_a_file_without_a_connector_raises(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "odd.py").write_text(text)
    with pytest.raises(BadInput, match=message):
        connectors.discover(tmp_path)


def test_unknown_connector_and_option_name_the_key(tmp_path: Path, contract) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadContract, match=r"trial: onefold\.connector: 'fax' is unknown; known are .*files.*sql"):
        connectors.deliveries(contract("x.csv", "fax"), tmp_path)
    with pytest.raises(BadContract, match=r"trial: onefold\.options\.delimeter: .*files knows .*delimiter"):
        connectors.deliveries(contract("x.csv", delimeter=";"), tmp_path)
    with pytest.raises(BadContract, match=r"onefold\.options\.encoding: .*'klingon' is unknown"):
        connectors.deliveries(contract("x.csv", encoding="klingon"), tmp_path)
    with pytest.raises(BadContract, match=r"no connector reads gopher://"):
        connectors.sample("gopher://x", tmp_path)
