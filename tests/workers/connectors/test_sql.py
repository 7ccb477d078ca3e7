"""SQL on SQLite, and on a real PostgreSQL where the machine has one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa

from onefold_storage.errors import BadInput, Unavailable
from onefold_workers import connectors
from onefold_workers.connectors._locations import read as location

# mypy: disable-error-code="no-untyped-def"


@pytest.fixture
def crm(tmp_path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(tmp_path / "crm.db")
    connection.execute("create table contacts (id integer primary key, name text, amount numeric, photo blob)")
    rows = [(3, "Zoë", 1.5, b"\x00\xff"), (1, "Ann", None, None), (2, None, 7, b"")]
    connection.executemany("insert into contacts values (?, ?, ?, ?)", rows)
    connection.execute("create table empty (id integer, name text)")
    connection.commit()
    return connection


def test_a_table_comes_ordered_by_its_key_with_its_types(crm, read_all) -> None:
    found = read_all("sqlite:///crm.db", "sql", table="contacts")[0]
    assert found.origin == "crm.db#contacts"
    assert found.values == [
        {"id": 1, "name": "Ann", "amount": None, "photo": None},
        {"id": 2, "name": None, "amount": 7.0, "photo": b""},
        {"id": 3, "name": "Zoë", "amount": 1.5, "photo": b"\x00\xff"},
    ]
    assert found.tables[0].schema.types == [pa.int64(), pa.string(), pa.float64(), pa.binary()]


def test_the_table_may_stand_in_the_url_and_the_only_one_needs_no_name(crm, read_all) -> None:
    assert len(read_all("sqlite:///crm.db#contacts", "sql")[0].rows) == 3
    with pytest.raises(BadInput, match=r"expected a table .*; there are contacts, empty"):
        read_all("sqlite:///crm.db", "sql")
    crm.execute("drop table empty")
    assert len(read_all("sqlite:///crm.db", "sql")[0].rows) == 3


@pytest.mark.parametrize("rows", [1, 2, 50_000])
def test_content_depends_on_the_result_alone(crm, read_all, rows: int) -> None:
    def content(**more) -> str:
        return str(read_all("sqlite:///crm.db", "sql", **({"table": "contacts"} | more))[0].content)

    first = content()
    assert content(rows=rows) == first
    crm.execute("update contacts set name = 'Bob' where id = 2")
    crm.commit()
    second = content(rows=rows)
    assert second != first
    crm.execute("update contacts set name = null where id = 2")
    crm.commit()
    assert content(rows=rows) == first
    query = "select id, name from contacts"
    assert len({first, content(table="empty"), *(content(table=None, query=q) for q in (query, query + " "))}) == 4


def test_a_query(crm, read_all) -> None:
    found = read_all(
        "sqlite:///crm.db", "sql", query="select name as who, id * 2 as n from contacts order by id desc"
    )
    assert [list(r.values()) for r in found[0].values] == [["Zoë", 6], [None, 4], ["Ann", 2]]
    assert found[0].origin == "crm.db"


def test_no_rows_still_have_columns(crm, read_all) -> None:
    assert read_all("sqlite:///crm.db", "sql", table="empty")[0].tables[0].column_names == ["id", "name"]
    query = "select id, name from contacts where id > 99"
    assert read_all("sqlite:///crm.db", "sql", query=query)[0].tables[0].column_names == ["id", "name"]


def test_a_column_of_many_types_is_text_where_they_mix(crm, read_all) -> None:
    crm.execute("insert into contacts values (4, 'Dee', 'a lot', null)")
    crm.commit()
    assert [r["amount"] for r in read_all("sqlite:///crm.db#contacts", "sql")[0].values] == [
        None,
        "7",
        "1.5",
        "a lot",
    ]


def test_text_that_is_no_text_costs_only_its_row(crm, read_all) -> None:
    crm.execute("insert into contacts values (0, cast(x'41ff' as text), 1, null)")
    crm.commit()
    found = read_all("sqlite:///crm.db#contacts", "sql")[0]
    assert (sorted(found.rows), found.rules) == ([1, 2, 3], {0: "encoding"})
    assert b"A" in found.bad[0].raw


@pytest.mark.parametrize(("url", "more", "message"), [
    ("sqlite:///none.db", {}, r"trial: onefold\.location: no such file: none\.db"),
    ("sqlite:///junk.db", {"table": "x"}, r"junk\.db: DatabaseError: file is not a database"),
    ("sqlite:///crm.db", {"table": "nope"}, "no table 'nope'; there are contacts, empty"),
    ("sqlite:///crm.db", {"table": "contacts", "key": ["x"]}, r"key or cursor: contacts has no column x; there are amount"),
    ("sqlite:///crm.db", {"query": "selec 1"}, "OperationalError: near \"selec\": syntax error"),
    ("sqlite:///crm.db", {"query": "select id, id from contacts"}, "two columns share a name"),
    ("sqlite:///crm.db", {"query": "create table t (x int)"}, "expected one that returns rows"),
    ("nosuch://crm.db", {"table": "x"}, "no driver for nosuch"),
    ("crm.db", {"table": "x"}, "expected a database URL"),
    ("sqlite+aiosqlite:///crm.db", {"table": "x"}, "asynchronous"),
])  # fmt: skip
def test_what_cannot_be_read_is_named_on_one_line(tmp_path, crm, read_all, url: str, more, message: str) -> None:
    (tmp_path / "junk.db").write_bytes(b"x" * 5000)
    with pytest.raises(BadInput, match=message) as caught:
        read_all(url, "sql", **more)
    assert "\n" not in str(caught.value)


def test_a_server_that_is_not_there_is_unavailable_and_the_password_is_not_told(read_all, free_port, monkeypatch):
    monkeypatch.setenv("TRIAL_PASSWORD", "hunter2")
    url = f"postgresql+psycopg://ann:${{TRIAL_PASSWORD}}@127.0.0.1:{free_port()}/crm"
    with pytest.raises(Unavailable, match="does not answer") as caught:
        read_all(url, "sql", table="x")
    assert "hunter2" not in str(caught.value)
    assert "ann" not in str(caught.value)
    assert "hunter2" not in repr(location(url))


def test_a_sample(crm, tmp_path: Path) -> None:
    table, name, options = connectors.sample("sqlite:///crm.db#contacts", tmp_path, rows=2)
    assert (table.num_rows, name, options) == (2, "sql", {"table": "contacts"})
    query = {"query": "select name from contacts"}
    table, _, options = connectors.sample("sqlite:///crm.db", tmp_path, options=query)
    assert (table.column_names, options) == (["name"], query)


@pytest.fixture
def server(postgres: str) -> Iterator[tuple[str, sa.Connection]]:
    engine = sa.create_engine(postgres, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text("create schema trial"))
        yield postgres, connection
        connection.execute(sa.text("drop schema trial cascade"))
    engine.dispose()


COLUMNS = """id int primary key, name text, amount numeric(12, 2), free numeric, at timestamptz, local timestamp,
day date, photo bytea, ok boolean, tags text[], facts jsonb, key uuid, score double precision, big bigint"""
ROW = """7, 'Zoë', 1.10, 2.5, '2017-05-01 12:00:00+02', '2017-05-01 12:00:00', '2017-05-01', '\\x00ff', true,
array['a', 'b'], '{"k": 1}', '12345678-1234-5678-1234-567812345678', 0.5, 9007199254740993"""


def test_postgres_keeps_types(server, read_all) -> None:
    url, connection = server
    connection.exec_driver_sql(f"create table trial.people ({COLUMNS})")
    connection.exec_driver_sql(f"insert into trial.people values ({ROW}), (1{', null' * 13})")
    found = read_all(url, "sql", table="trial.people")[0]
    nothing, full = found.values
    assert nothing == {"id": 1, **dict.fromkeys(list(full)[1:])}
    assert full == {
        "id": 7,
        "name": "Zoë",
        "amount": Decimal("1.10"),
        "free": Decimal("2.5"),
        "at": datetime(2017, 5, 1, 10, tzinfo=UTC),
        "local": datetime(2017, 5, 1, 12),
        "day": date(2017, 5, 1),
        "photo": b"\x00\xff",
        "ok": True,
        "tags": '["a","b"]',
        "facts": '{"k":1}',
        "key": "12345678-1234-5678-1234-567812345678",
        "score": 0.5,
        "big": 9007199254740993,
    }
    assert found.origin == url.replace("onefold@", "") + "#trial.people"
    assert found.tables[0].schema.field("amount").type == pa.decimal128(12, 2)


@pytest.mark.parametrize(("kind", "usual"), [
    ("date", date(2017, 5, 1)),
    ("timestamp", datetime(2017, 5, 1)),
    ("timestamptz", datetime(2017, 5, 1, tzinfo=UTC)),
])  # fmt: skip
def test_postgres_times_beyond_pythons_stop_nobody(server, read_all, kind: str, usual: date) -> None:
    url, connection = server
    connection.exec_driver_sql(f"set time zone 'UTC'; create table trial.t (id int primary key, at {kind})")
    connection.exec_driver_sql("insert into trial.t values (1, '2017-05-01'), (2, 'infinity')")
    connection.exec_driver_sql("insert into trial.t values (3, '0044-03-15 BC')")
    found = read_all(url, "sql", table="trial.t", rows=1)[0].values
    assert [r["at"] for r in found[:2]] == [usual, "infinity"]
    assert found[2]["at"].startswith("0044-03-15")
    assert read_all(url, "sql", table="trial.t")[0].values[0]["at"] == str(usual)


def test_postgres_streams_in_order(server, read_all) -> None:
    url, connection = server
    connection.exec_driver_sql("create table trial.many (id int primary key, name text)")
    connection.exec_driver_sql("insert into trial.many select i, 'row ' || i from generate_series(5000, 1, -1) i")
    found = read_all(url, "sql", table="trial.many", rows=700)[0]
    assert len(found.tables) == 8
    assert [r["id"] for r in found.values] == list(range(1, 5001))
    assert read_all(url, "sql", table="trial.many", rows=4000)[0].content == found.content


def test_postgres_speaks_of_names_and_never_of_values(server, read_all) -> None:
    url, connection = server
    connection.exec_driver_sql("create table trial.people (id int primary key, name text)")
    connection.exec_driver_sql("insert into trial.people values (1, 'Ann Secret')")
    with pytest.raises(BadInput, match=r"InvalidTextRepresentation 22P02") as caught:
        read_all(url, "sql", query="select name::int from trial.people")
    assert "Secret" not in str(caught.value)
    with pytest.raises(BadInput, match='UndefinedColumn: column "nme" does not exist'):
        read_all(url, "sql", query="select nme from trial.people")
    with pytest.raises(BadInput, match=r"no table 'trial\.nope'; there are people"):
        read_all(url, "sql", table="trial.nope")
    with pytest.raises((BadInput, Unavailable), match='database "nowhere" does not exist'):
        read_all(url.replace("/postgres", "/nowhere"), "sql", table="x")
