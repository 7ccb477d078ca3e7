"""Every change of a table is made under its lock: on several pools, conditional puts alone would lose commits.

That they do is shown here too, on a real cluster of two pools (`test_pool_growth.py` has the growth itself).
"""

from __future__ import annotations

import ast
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from onefold_storage.installation import Installation
from onefold_storage.rewriting import rewrite, vacuum
from onefold_storage.schema import DECLARATIONS

STORAGE = Path(__file__).parents[2] / "storage" / "onefold_storage"
CHANGES = {
    "create_write_transaction",
    "add_columns",
    "drop_constraint",
    "add_constraint",
    "merge",
    "restore",
    "repair",
}
"""Calls of delta-rs that write a commit."""


def rows(name: str) -> pa.Table:
    from datetime import UTC, datetime

    row = {"kind": "contract", "name": name, "version": 1, "digest": "d", "registered_at": datetime.now(UTC)}
    return pa.Table.from_pylist([row], DECLARATIONS.arrow)


def test_a_commit_without_the_lock_is_refused(installation: Installation) -> None:
    lake, name = installation.lake, DECLARATIONS.name
    parts = lake.parts(name, rows("a"))
    with pytest.raises(RuntimeError, match="written to without its lock"):
        lake.commit(name, parts)
    with lake.lock("another"), pytest.raises(RuntimeError, match="written to without its lock"):
        lake.commit(name, parts)
    with lake.lock(name):
        lake.commit(name, parts)
    assert lake.rows(name) == 1
    with pytest.raises(RuntimeError, match="written to without its lock"):
        rewrite(lake, name, lambda f: f["name"] == "a")
    with pytest.raises(RuntimeError, match="written to without its lock"):
        vacuum(lake, name)
    assert lake.rows(name) == 1


def test_the_lock_is_given_back_when_the_work_fails(installation: Installation) -> None:
    lake, name = installation.lake, DECLARATIONS.name
    with pytest.raises(ValueError, match="on the way"), lake.lock(name):
        raise ValueError("on the way")
    with pytest.raises(RuntimeError, match="written to without its lock"):
        lake.commit(name, [])


def functions(source: str) -> Iterator[tuple[str, set[str]]]:
    """Each function, and the names of what it calls."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            calls = [c.func for c in ast.walk(node) if isinstance(c, ast.Call)]
            yield node.name, {c.attr if isinstance(c, ast.Attribute) else getattr(c, "id", "") for c in calls}


def unlocked(source: str) -> list[str]:
    """Functions that change a table and neither take its lock nor make sure that it is held."""
    return [name for name, calls in functions(source) if calls & CHANGES and not calls & {"must_hold", "lock"}]


def test_every_function_that_changes_a_table_holds_its_lock() -> None:
    wrong = {path.name: found for path in STORAGE.glob("*.py") if (found := unlocked(path.read_text()))}
    assert not wrong, "two pools would let two commits win: lake.must_hold(name) first"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f(t):\n    t.create_write_transaction([])", ["f"]),
        ("def f(t):\n    t.alter.add_columns([])", ["f"]),
        ("def f(lake, t):\n    lake.must_hold('x')\n    t.create_write_transaction([])", []),
        ("def f(lake, t):\n    with lake.lock('x'):\n        t.alter.add_columns([])", []),
    ],
)
def test_the_rule_catches(source: str, found: list[str]) -> None:
    assert unlocked(source) == found


def test_locks_of_several_threads_are_told_apart_by_table(installation: Installation) -> None:
    lake = installation.lake
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lake.lock("bronze/one"):
            held.set()
            done.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(20)
    with pytest.raises(RuntimeError):
        lake.must_hold("bronze/two")
    done.set()
    thread.join()
    with pytest.raises(RuntimeError):
        lake.must_hold("bronze/one")
