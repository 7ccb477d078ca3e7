"""A process that has loaded is not looked through again; garbage of later is still collected."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, weakref
from onefold_storage.starting import run_evenly, start_quickly

class Node:
    pass

def lost():
    one, other = Node(), Node()
    one.other, other.one = other, one
    return weakref.ref(one)

start_quickly()
import onefold_storage.installation
run_evenly()
loaded, young = gc.get_freeze_count(), len(gc.get_objects())
gone = lost()
kept = [[] for _ in range(20_000)]
print(loaded > 20 * young, gone() is None)
"""


def test_what_is_loaded_is_left_alone_and_cycles_still_go() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("True True\n", "")


def test_libraries_that_count_their_leaks_find_none() -> None:
    code = (
        "from onefold_storage.starting import start_quickly, stay_loaded; start_quickly(); "
        "import onefold_storage.installation; stay_loaded(); import duckdb; duckdb.sql('SELECT 1').fetchall()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
