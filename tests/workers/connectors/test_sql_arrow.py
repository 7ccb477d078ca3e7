"""SQL as Arrow by ADBC against the other way, row by row: the same tables, the same content, whoever reads."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from onefold_workers.connectors import _adbc
from onefold_workers.connectors._database import Database


@pytest.fixture
def by_arrow(read_all: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Read, and fail where it is not read by ADBC."""

    def read(url: str, **options: Any) -> Any:
        with monkeypatch.context() as patched:
            patched.setattr(Database, "fetch", lambda *_: pytest.fail("was read the other way"))
            return read_all(url, "sql", **options)[0]

    return read


@pytest.fixture
def by_rows(read_all: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Read as where no driver of ADBC is installed."""

    def none(*_: Any) -> Any:
        raise ImportError

    def read(url: str, **options: Any) -> Any:
        with monkeypatch.context() as patched:
            patched.setattr(_adbc, "_sqlite", none)
            patched.setattr(_adbc, "_postgres", none)
            return read_all(url, "sql", **options)[0]

    return read


def _same(one: Any, other: Any) -> None:
    assert one.content == other.content
    assert one.bad == other.bad
    assert len(one.tables) == len(other.tables)
    for a, b in zip(one.tables, other.tables, strict=True):
        assert a.schema.equals(b.schema), f"{a.schema}\n{b.schema}"
        assert str(a.to_pylist()) == str(b.to_pylist())  # as text: a float that is no number is not itself


@pytest.fixture
def file(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(tmp_path / "crm.db")
    yield made
    made.close()


SQLITE = "id integer primary key, name text, at datetime, score real, photo blob, n numeric, kept boolean, free"
TIMES = ["2018-01-01 10:00:00", None, "yesterday", ""]


def _sqlite_rows(rows: int) -> list[tuple[Any, ...]]:
    chance = random.Random(7)
    return [
        (
            i - 3, chance.choice(["Ann", "", None, "Zoë\0\n", "'\"%:x"]), chance.choice(TIMES),
            chance.choice([0.1, -0.0, 1e300, None, float("inf")]), chance.choice([b"", b"\x00\xff", None]),
            chance.choice([1, 2**62, None]), chance.choice([0, 1, None]), None if i < 20 else f"from {i} on",
        )
        for i in range(rows)
    ]  # fmt: skip


@pytest.mark.parametrize("rows", [1, 7, 50_000])
def test_sqlite_is_the_same_either_way(file: Any, by_arrow: Any, by_rows: Any, rows: int) -> None:
    file.execute(f"create table t ({SQLITE})")
    file.executemany("insert into t values (?,?,?,?,?,?,?,?)", _sqlite_rows(50))
    file.execute("create table none (id integer, at datetime, name text)")
    file.execute('create view "odd ""view""" as select id as "select", name as "a b" from t')
    file.commit()
    seen = set()
    for table in ("t", "none", 'odd "view"'):
        found = by_arrow("sqlite:///crm.db", table=table, rows=rows)
        _same(found, by_rows("sqlite:///crm.db", table=table, rows=rows))
        assert found.content == by_rows("sqlite:///crm.db", table=table, rows=11).content
        seen.add(found.content)
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("numeric", [7, 1.5]), ("numeric", [7, "much"]), ("", [1, b"x"]), ("text", ["a", b"b"]), ("int", ["a", "b"]),
        ("blob", ["a"]), ("text", [b"a"]), ("", [None, 1.5, None, 2]), ("int", [None, 1, "x"]),
    ],
)  # fmt: skip
def test_sqlite_columns_of_several_types_go_the_other_way(
    file: Any, read_all: Any, by_rows: Any, by_arrow: Any, kind: str, values: list[Any]
) -> None:
    file.execute(f"create table t (id integer primary key, v {kind})")
    file.executemany("insert into t (v) values (?)", [(v,) for v in values])
    file.commit()
    _same(read_all("sqlite:///crm.db", "sql")[0], by_rows("sqlite:///crm.db"))
    with pytest.raises(pytest.fail.Exception, match="the other way"):
        by_arrow("sqlite:///crm.db")


def test_sqlite_text_that_is_none_goes_the_other_way_and_costs_its_row(
    file: Any, read_all: Any, by_rows: Any
) -> None:
    file.execute("create table t (id integer primary key, v text)")
    file.execute("insert into t values (1, 'a'), (2, cast(x'41ff' as text)), (3, 'b')")
    file.commit()
    found = read_all("sqlite:///crm.db", "sql")[0]
    _same(found, by_rows("sqlite:///crm.db"))
    assert (found.rules, len(found.rows)) == ({1: "encoding"}, 2)


def test_reading_writes_nothing_and_leaves_no_lock(file: Any, tmp_path: Path, by_arrow: Any) -> None:
    file.execute("create table t (id integer primary key)")
    file.commit()
    before = (tmp_path / "crm.db").read_bytes()
    by_arrow("sqlite:///crm.db")
    assert (tmp_path / "crm.db").read_bytes() == before
    file.execute("insert into t values (1)")
    file.commit()
    assert len(by_arrow("sqlite:///crm.db").rows) == 1


@pytest.fixture
def server(postgres: str) -> Iterator[tuple[str, sa.Connection]]:
    engine = sa.create_engine(postgres, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("drop schema if exists arrow cascade; create schema arrow")
        yield postgres, connection
        connection.exec_driver_sql("drop schema arrow cascade")
    engine.dispose()


KINDS = {
    "id": ("int", ["7", "-1", "2147483647"]),
    "small": ("smallint", ["-32768", "null"]),
    "big": ("bigint", ["9223372036854775807", "null"]),
    "short": ("real", ["0.1", "3.4028235e38", "1e-30", "'nan'", "'-infinity'", "-0.0", "null"]),
    "score": ("double precision", ["0.1", "1e300", "5e-324", "'nan'", "'infinity'", "-0.0", "null"]),
    "amount": ("numeric(12,2)", ["1.1", "-0.01", "9999999999.99", "null"]),
    "free": ("numeric", ["2.5", "1e-8", "1e20", "123456789.123456789", "null"]),
    "round": ("numeric(5,-2)", ["1200", "null"]),
    "ok": ("boolean", ["true", "false", "null"]),
    "name": ("text", ["'Zoë'", "''", "E'a\\n\"b\\'%:x'", "null"]),
    "code": ("varchar(9)", ["'x '", "null"]),
    "wide": ("char(3)", ["'a'", "null"]),
    "photo": ("bytea", ["'\\x00ff'", "''", "null"]),
    "day": ("date", ["'2017-05-01'", "'1066-10-14'", "'9999-12-28'", "null"]),
    "local": ("timestamp", ["'2017-05-01 12:00:00.123456'", "'0001-01-05'", "null"]),
    "at": ("timestamptz", ["'2017-05-01 12:00:00+02'", "'1066-10-14 00:00:00+00'", "null"]),
    "facts": ("jsonb", ['\'{"k": [1, 2.50, "Zoë", null]}\'', "'[]'", "'{}'", "null"]),
    "words": ("json", ['\'{"b" : 1,"a":1e2, "b":3}\'', "'[1, [2]]'", "null"]),
    "bare": ("jsonb", ["'5'", "'\"text\"'", "'null'", "'true'", "'1.5'", "null"]),
    "key": ("uuid", ["'12345678-1234-5678-1234-567812345678'", "'00000000-0000-0000-0000-00000000000f'", "null"]),
    "stage": ("arrow.stage", ["'won'", "'open'", "null"]),
    "label": ("arrow.label", ["'abc'", "null"]),
    "gone": ("timestamptz", ["null"]),
}


@pytest.mark.parametrize("rows", [1, 7, 50_000])
def test_postgres_is_the_same_either_way(server: Any, by_arrow: Any, by_rows: Any, rows: int) -> None:
    url, connection = server
    connection.exec_driver_sql("create type arrow.stage as enum ('open', 'won'); create domain arrow.label as text")
    columns = ", ".join(f'"{n}" {k}' for n, (k, _) in KINDS.items())
    connection.exec_driver_sql(f"create table arrow.t (row int primary key, {columns})")
    chance = random.Random(7)
    some = [", ".join([str(i), *(chance.choice(v) for _, v in KINDS.values())]) for i in range(60)]
    connection.execute(
        sa.text("insert into arrow.t values " + ", ".join(f"({r})" for r in some).replace(":", "\\:"))
    )
    found = by_arrow(url, table="arrow.t", rows=rows)
    _same(found, by_rows(url, table="arrow.t", rows=rows))
    assert found.content == by_rows(url, table="arrow.t", rows=11).content
    query = "select * from arrow.t where name is null or name not like '%\\%x' order by row desc"
    _same(by_arrow(url, query=query, rows=rows), by_rows(url, query=query, rows=rows))
    connection.exec_driver_sql("delete from arrow.t")
    _same(by_arrow(url, table="arrow.t", rows=rows), by_rows(url, table="arrow.t", rows=rows))


@pytest.mark.parametrize("value", [
    "'infinity'::date", "'-infinity'::timestamp", "'infinity'::timestamptz", "'0044-03-15 BC'::date",
    "'20000-01-01'::timestamptz", "'nan'::numeric", "array['a', null]", "array[[1, 2], [3, 4]]", "'1.2.3.4'::inet",
    "interval '1 day'", "'$1.20'::money", "'10:11'::time", "'10:11+02'::timetz", "int4range(1, 3)", "b'101'", "1::oid",
    "'<a/>'::xml", "'a'::\"char\"", "1e45::numeric",
])  # fmt: skip
def test_what_only_one_way_can_read_comes_the_same(server: Any, read_all: Any, by_rows: Any, value: str) -> None:
    url, connection = server
    connection.exec_driver_sql(f"create table arrow.t as select 1 as id, {value} as v union all select 2, null")
    _same(read_all(url, "sql", table="arrow.t", key=["id"])[0], by_rows(url, table="arrow.t", key=["id"]))


def test_a_wrong_query_is_told_as_ever(server: Any, read_all: Any) -> None:
    url, _ = server
    assert read_all(url, "sql", query="select 1 as n;")[0].values == [{"n": 1}]
    assert read_all(url, "sql", query="select 'a%b' as n, '\\:x' as m")[0].values == [{"n": "a%b", "m": ":x"}]
