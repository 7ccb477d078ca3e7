from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pyarrow as pa
import pytest

from onefold_storage.errors import BadInput
from onefold_workers import connectors
from onefold_workers.connectors.formats import InputFile

# mypy: disable-error-code="no-untyped-def"


def zstd(data: bytes) -> bytes:
    return pa.Codec("zstd").compress(data, asbytes=True)


def test_one_delivery_a_file_in_the_order_of_names(tmp_path: Path, read_all) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("b.csv", "a.csv", "deep/c.csv"):
        (tmp_path / "in" / name).write_text(f"a\n{name}\n")
    assert [r.origin for r in read_all("in/*.csv")] == ["in/a.csv", "in/b.csv"]
    assert [r.origin for r in read_all("in/**/*.csv")] == ["in/a.csv", "in/b.csv", "in/deep/c.csv"]
    assert [r.origin for r in read_all(str(tmp_path / "in" / "*.csv"))] == ["in/a.csv", "in/b.csv"]


def test_a_name_with_brackets_is_a_name(tmp_path: Path, read_all) -> None:
    (tmp_path / "data[1].csv").write_text("a\n1\n")
    assert read_all("data[1].csv")[0].values == [{"a": "1"}]


def test_content_is_sha256_of_the_bytes_on_disk(read_bytes) -> None:
    plain = read_bytes(b"a\n1\n")
    packed = gzip.compress(b"a\n1\n", mtime=0)
    assert plain.content == hashlib.sha256(b"a\n1\n").hexdigest()
    assert read_bytes(packed, "file.csv.gz").content == hashlib.sha256(packed).hexdigest()


@pytest.mark.parametrize("name", ["x.csv.gz", "x.csv.zst", "x.csv"])
@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_compression_is_told_by_the_bytes(read_bytes, name: str, pack) -> None:
    assert read_bytes(pack(b"a,b\n1,2\n"), name).values == [{"a": "1", "b": "2"}]


def test_an_archive_of_several_members_is_read_to_its_end(read_bytes) -> None:
    data = gzip.compress(b"a\n1\n") + gzip.compress(b"2\n")
    assert read_bytes(data, "x.csv.gz").values == [{"a": "1"}, {"a": "2"}]


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
@pytest.mark.parametrize("name", ["x.csv", "x.ndjson", "x.parquet", "x.json"])
def test_a_truncated_archive_is_an_error_that_names_the_file(read_bytes, name: str, pack) -> None:
    data = pack(b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(5000)))
    with pytest.raises(BadInput, match=rf"^{name}: cannot be read \(Truncated compressed stream\)$"):
        read_bytes(data[: len(data) // 2], name)


@pytest.mark.parametrize(("location", "message"), [
    ("none.csv", "no such file: none.csv"),
    ("none*.csv", r"no file matches none\*.csv"),
    ("folder", "folder is a folder; expected a file"),
    ("some.xyz", "its format is not known by its name; set the option `format`"),
])  # fmt: skip
def test_what_is_not_there_is_named(tmp_path: Path, read_all, location: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "some.xyz").write_text("a\n1\n")
    with pytest.raises(BadInput, match=message) as caught:
        read_all(location)
    assert "\n" not in str(caught.value)


def test_the_option_says_the_format(read_bytes) -> None:
    assert read_bytes(b"a\n1\n", "some.xyz", format="csv").values == [{"a": "1"}]
    with pytest.raises(
        BadInput,
        match="format 'fax' is unknown; known are arrow, csv, excel, export, json, mbox, ndjson, parquet, weblog",
    ):
        read_bytes(b"a\n1\n", "some.xyz", format="fax")


def test_a_broken_file_does_not_keep_the_others(tmp_path: Path, contract) -> None:
    (tmp_path / "1.csv").write_text("a\n1\n")
    (tmp_path / "2.csv").write_text("")
    (tmp_path / "3.csv").write_text("a\n3\n")
    seen = []
    for delivery in connectors.deliveries(contract("*.csv"), tmp_path):
        try:
            seen.append([b.rows.to_pylist() for b in delivery.batches])
        except BadInput as error:
            seen.append(str(error))
    assert seen == [[[{"a": "1"}]], "2.csv: the file is empty; expected a header line and rows", [[{"a": "3"}]]]


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a\n1\n")
    chunks = InputFile(path, "x.csv").chunks()
    next(chunks)
    with path.open("a") as more:
        more.write("2\n")
    with pytest.raises(BadInput, match=r"x\.csv: changed while it was read"):
        list(chunks)


def test_a_variable_in_the_location_is_read_and_never_shown(tmp_path: Path, read_all, monkeypatch) -> None:
    (tmp_path / "s3cret").mkdir()
    (tmp_path / "s3cret" / "x.csv").write_text("a\n1\n")
    monkeypatch.setenv("TRIAL_FOLDER", "s3cret")
    assert [r.origin for r in read_all("${TRIAL_FOLDER}/*.csv")] == ["${TRIAL_FOLDER}/x.csv"]
    (tmp_path / "s3cret" / "x.csv").write_text("a,a\n1,2\n")
    for location in ("${TRIAL_FOLDER}/x.csv", "${TRIAL_FOLDER}/none.csv"):
        with pytest.raises(BadInput) as caught:
            read_all(location)
        assert "s3cret" not in str(caught.value)
        assert "${TRIAL_FOLDER}" in str(caught.value)
    monkeypatch.delenv("TRIAL_FOLDER")
    with pytest.raises(
        BadInput, match=r"trial: onefold\.location: the environment variable TRIAL_FOLDER is not set"
    ):
        read_all("${TRIAL_FOLDER}/x.csv")


def test_a_sample_is_the_first_rows_with_what_was_found_out(tmp_path: Path) -> None:
    rows = "".join(f"{i};müller\n" for i in range(50))
    (tmp_path / "1.csv").write_bytes(("id;name\n" + rows).encode("cp1252"))
    (tmp_path / "2.csv").write_bytes(("id;name\n" + rows).encode("cp1252"))
    table, name, options = connectors.sample("*.csv", tmp_path, rows=60)
    assert (name, options) == ("files", {"delimiter": ";", "encoding": "cp1252"})
    assert table.column("name").to_pylist() == ["müller"] * 60
    table, _, options = connectors.sample("1.csv", tmp_path, rows=10, options={"header": ["x", "y"]})
    assert table.slice(0, 2).to_pylist() == [{"x": "id", "y": "name"}, {"x": "0", "y": "müller"}]
    assert options == {"header": ["x", "y"], "delimiter": ";", "encoding": "cp1252"}


def test_one_odd_byte_does_not_change_the_encoding(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes("id,name\n1,müller\n2,é\n".encode() + b"3,\xff\n")
    table, _, options = connectors.sample("x.csv", tmp_path)
    assert options == {}
    assert table.column("name").to_pylist() == ["müller", "é"]


def test_a_sample_of_ndjson_named_json_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": 1}\n{"a": 2}\n')
    table, _, options = connectors.sample("x.json", tmp_path)
    assert options == {"format": "ndjson"}
    assert table.to_pylist() == [{"a": "1"}, {"a": "2"}]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("1,Ann,ann@example.org\n2,Bob,bob@example.org\n", "column 1 is a number"),
        ("Ann,ann@example.org\nBob,bob@example.org\n", "column 2 is an email address"),
        ("Ann;03.05.1971\nBob;17.11.1980\n", "column 2 is a date"),
        ("Ann,4711\nBob,4712\n", "column 2 is a number"),
        ("Ann,12.50\nBob,3.75\n", "column 2 is a number"),
    ],
)
def test_a_sample_without_a_header_is_refused_and_told_what_to_do(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(BadInput, match=what) as refused:
        connectors.sample("x.csv", tmp_path)
    assert "--option 'header=[" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not any(told in str(refused.value) for told in ("nn", "4711", "1971", "12.50"))
    columns = [f"c{i}" for i in range(text.split("\n", maxsplit=1)[0].replace(";", ",").count(",") + 1)]
    table, _, options = connectors.sample("x.csv", tmp_path, options={"header": columns})
    assert (table.num_rows, options["header"]) == (2, columns)


@pytest.mark.parametrize(
    "header", ["name,2024,2025", "name,2024-01-01,2024-02-01", "0,1,2", "q,1,2", "name,q1,42nd"]
)
def test_a_header_of_years_months_or_counted_columns_is_one(tmp_path: Path, header: str) -> None:
    (tmp_path / "x.csv").write_text(f"{header}\na,5,6\nb,7,8\n")
    assert connectors.sample("x.csv", tmp_path)[0].num_rows == 2
