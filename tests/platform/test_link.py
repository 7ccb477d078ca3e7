"""`onefold link`'s core: files in, golden IDs and honest figures out, clear errors."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import yaml

from onefold.commands.identity import link as link_command
from onefold.link import link
from onefold_storage.errors import BadContract, BadInput, NotFound


def contract(columns: dict[str, dict[str, object] | None], key: str | None = "id") -> str:
    properties = []
    for name, rules in columns.items():
        prop: dict[str, object] = {"name": name, "logicalType": "string"}
        if name == key:
            prop |= {"primaryKey": True, "primaryKeyPosition": 1, "required": True}
        if rules:
            prop["customProperties"] = [{"property": "onefold", "value": rules}]
        properties.append(prop)
    basis = {"location": "people.csv", "lawful_basis": "consent", "data_use": ["marketing"]}
    document = {
        "kind": "DataContract",
        "apiVersion": "v3.1.0",
        "id": "people",
        "version": "1.0.0",
        "status": "active",
        "schema": [{"name": "people", "logicalType": "object", "properties": properties}],
        "customProperties": [{"property": "onefold", "value": basis}],
    }
    return yaml.safe_dump(document)


COLUMNS: dict[str, dict[str, object] | None] = {
    "id": None,
    "first": {"kind": "given_name"},
    "last": {"kind": "family_name"},
    "born": {"kind": "birth_date"},
    "mail": {"kind": "email"},
    "card": {"kind": "external_id", "scheme": "card"},
    "town": {"attribute": True},
}
ROWS = pl.DataFrame(
    {
        "id": ["1", "2", "3", "4", "5"],
        "first": ["Ann", "Anne", "Bob", "Zoe", None],
        "last": ["Lee", "Lee", "Ray", "Fox", None],
        "born": ["19800102", "19801302", "19750607", "19900304", None],
        "mail": ["ann@x.example", "ann@x.example", "bob@x.example", None, None],
        "card": [None, None, None, "c77", "c77"],
        "town": ["Ham", "Ham", "Ham", "Wood", None],
        "who": ["a", "a", "b", "z", "z"],
    }
)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    ROWS.write_csv(tmp_path / "people.csv")
    (tmp_path / "c.yaml").write_text(contract(COLUMNS))
    return tmp_path / "people.csv", tmp_path / "c.yaml", tmp_path / "out" / "clusters.parquet"


def test_a_row_per_record_in_order_with_key_and_golden_id(files: tuple[Path, Path, Path]) -> None:
    data, meaning, out = files
    result = link([data], meaning, out, "who")
    rows = pl.read_parquet(out)
    assert rows.columns == ["id", "golden_id"]
    assert rows["id"].to_list() == ROWS["id"].to_list()
    ids = rows["golden_id"].to_list()
    assert ids[0] == ids[1] != ids[2]
    assert ids[3] == ids[4]
    assert (result.records, result.clusters) == (5, 3)
    assert (result.precision, result.recall, result.f1) == (1.0, 1.0, 1.0)


def test_without_a_truth_there_are_no_figures(files: tuple[Path, Path, Path]) -> None:
    result = link([files[0]], files[1], files[2])
    assert (result.precision, result.recall, result.f1) == (None, None, None)


def test_the_command_says_where_it_wrote(
    files: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, output = files
    link_command([files[0]], files[1], output)
    told = " ".join(capsys.readouterr().out.split())
    assert "records are" in told and "each record with its golden ID" in told


def test_the_truth_is_never_evidence_even_if_the_contract_says_so(tmp_path: Path) -> None:
    """Two records that only the truth connects stay two, although it is declared as an identifier and as key."""
    rows = pl.DataFrame(
        {"who": ["x", "x"], "first": ["Ann", None], "last": ["Lee", None], "born": [None, "1955-06-07"]}
    )
    rows.write_csv(tmp_path / "p.csv")
    columns = {
        "who": {"kind": "external_id", "scheme": "person"},
        **{c: COLUMNS[c] for c in ("first", "last", "born")},
    }
    (tmp_path / "c.yaml").write_text(contract(columns, key="who"))
    result = link([tmp_path / "p.csv"], tmp_path / "c.yaml", tmp_path / "o.parquet", "who")
    assert result.clusters == 2
    assert result.recall == 0.0
    assert pl.read_parquet(tmp_path / "o.parquet").columns == ["row", "golden_id"]
    assert link([tmp_path / "p.csv"], tmp_path / "c.yaml", tmp_path / "o.parquet").clusters == 1


def test_csv_and_parquet_with_types_agree_and_several_files_are_one_table(
    files: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    typed = ROWS.with_columns(pl.col("id").cast(pl.Int64)).drop("who")
    typed.head(2).write_parquet(tmp_path / "a.parquet")
    typed.tail(3).write_parquet(tmp_path / "b.parquet")
    link([files[0]], files[1], files[2])
    link([tmp_path / "a.parquet", tmp_path / "b.parquet"], files[1], tmp_path / "p.parquet")
    assert pl.read_parquet(files[2])["golden_id"].equals(pl.read_parquet(tmp_path / "p.parquet")["golden_id"])


def test_rows_of_one_key_each_get_their_line(files: tuple[Path, Path, Path]) -> None:
    data, meaning, out = files
    pl.concat([ROWS, ROWS]).write_csv(data)
    assert link([data], meaning, out).records == 10
    assert pl.read_parquet(out).height == 10


def test_errors_name_the_file_and_the_column(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    data, meaning, out = files
    with pytest.raises(NotFound, match=r"nothere\.csv"):
        link([tmp_path / "nothere.csv"], meaning, out)
    with pytest.raises(BadContract, match=r"nothere\.yaml"):
        link([data], tmp_path / "nothere.yaml", out)
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    with pytest.raises(BadInput, match=r"empty\.csv: the file is empty"):
        link([empty], meaning, out)
    empty.write_text("id,first,last,born,mail,card,town\n")
    with pytest.raises(BadInput, match=r"empty\.csv.*no rows"):
        link([empty], meaning, out)
    ROWS.drop("mail").write_csv(empty)
    with pytest.raises(BadInput, match=r"empty\.csv: column mail of contract people is missing"):
        link([empty], meaning, out)
    with pytest.raises(BadInput, match="column truth named as truth is missing"):
        link([data], meaning, out, "truth")
    torn = tmp_path / "torn.parquet"
    torn.write_bytes(b"PAR1 and no more")
    with pytest.raises(BadInput, match=r"torn\.parquet: cannot be read"):
        link([torn], meaning, out)
    meaning.write_text(contract({"id": None, "first": None}))
    with pytest.raises(BadInput, match="no column has a kind"):
        link([data], meaning, out)


def test_ragged_rows_are_an_error_without_the_values(files: tuple[Path, Path, Path]) -> None:
    data, meaning, out = files
    data.write_text(data.read_text() + "6,Secret,Person,x,y,z,w,v,extra,extra\n")
    with pytest.raises(BadInput, match=r"people\.csv") as error:
        link([data], meaning, out)
    assert "Secret" not in str(error.value)


def test_files_are_read_by_the_options_of_the_contract(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """A Latin-1 export with a header of its own and no extension, as landing reads it."""
    data, meaning, out = files
    rows = ROWS.drop("who").with_columns(pl.col("last").replace("Lee", "Grün"))
    rows.write_csv(data)
    link([data], meaning, out)
    expected = pl.read_parquet(out)
    latin = tmp_path / "export"
    latin.write_bytes(rows.write_csv(include_header=False, separator=";").encode("cp1252"))
    rules = yaml.safe_load(meaning.read_text())
    options = {"encoding": "cp1252", "delimiter": ";", "format": "csv", "header": list(rows.columns)}
    rules["customProperties"][0]["value"]["options"] = options
    meaning.write_text(yaml.safe_dump(rules))
    link([latin], meaning, out)
    assert pl.read_parquet(out).equals(expected)


def test_what_the_quick_reader_refuses_is_read_as_landing_reads_it(files: tuple[Path, Path, Path]) -> None:
    """A wrong encoding names its row and line, not what stands there; UTF-16 with its mark is read."""
    data, meaning, out = files
    text = ROWS.with_columns(pl.col("last").replace("Ray", "Grün")).write_csv()
    data.write_bytes(text.encode("utf-16"))
    assert link([data], meaning, out).clusters == 3
    data.write_bytes(text.encode("cp1252"))
    with pytest.raises(BadInput, match=r"people\.csv: row 3 \(line 4\): expected UTF-8 text") as error:
        link([data], meaning, out)
    assert "Gr" not in str(error.value)
