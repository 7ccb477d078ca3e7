"""Rules of the architecture that are read off the code itself. Each says why, and each is shown to catch."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = ("platform", "flows", "workers", "storage")

Rule = Callable[[ast.AST], str | None]


def dotted(node: ast.AST) -> str:
    """`a.b.c` of an attribute chain or a name; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (left := dotted(node.value)):
        return f"{left}.{node.attr}"
    return ""


def imported(node: ast.AST) -> list[str]:
    """Full names that the node imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def reads_environment(node: ast.AST) -> str | None:
    """Use of the process environment."""
    names = {"os.environ", "os.environb", "os.getenv", "os.putenv", "os.unsetenv"}
    hit = dotted(node) if isinstance(node, ast.Attribute) else next(iter(names & set(imported(node))), "")
    return hit if hit in names else None


def asks_for_the_time(node: ast.AST) -> str | None:
    """Use of the machine's calendar clock; monotonic clocks measure durations and are fine."""
    ends = (
        "datetime.now", "datetime.utcnow", "datetime.today", "date.today",
        "time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.ctime", "time.strftime",
        "Timestamp.now", "Timestamp.today", "Timestamp.utcnow",
    )  # fmt: skip
    if isinstance(node, ast.Call):
        name = dotted(node.func)
        return name if any(name == end or name.endswith(f".{end}") for end in ends) else None
    return next((name for name in imported(node) if name in {"time.time", "time.time_ns"}), None)


def draws_unseeded(node: ast.AST) -> str | None:
    """Random numbers that nobody can draw again."""
    if not isinstance(node, ast.Call):
        return next(
            (name for name in imported(node) if name.startswith("random.") and name != "random.Random"), None
        )
    name = dotted(node.func)
    if (
        name.split(".")[0] in {"np", "numpy"}
        and ".random." in name
        and not name.endswith((".default_rng", "Generator"))
    ):
        return None if name.endswith(("SeedSequence", "PCG64", "Philox")) and node.args else name
    if name.endswith("default_rng") or name in {"random.Random", "Random"}:
        return None if node.args or node.keywords else f"{name}()"
    return name if name.startswith("random.") else None


def imports_any(*packages: str) -> Rule:
    """A rule that finds imports of the packages."""

    def rule(node: ast.AST) -> str | None:
        return next((name for name in imported(node) if name.split(".")[0] in packages), None)

    return rule


HTTP = ("fastapi", "starlette", "uvicorn", "jinja2")
LEARNERS = ("sklearn", "mlflow", "lightgbm", "xgboost", "catboost")

RULES: list[tuple[str, Rule, tuple[str, ...], str]] = [
    # name, what is found, where it may stand (file or folder), why it may not stand elsewhere
    (
        "environment",
        reads_environment,
        (
            *(f"{floor}/{package}/settings.py" for floor, package in [
                ("platform", "onefold"), ("flows", "onefold_flows"),
                ("workers", "onefold_workers"), ("storage", "onefold_storage"),
            ]),
            # Not settings: what a source's location names (`${CRM_PASSWORD}`), and what child processes are told.
            "workers/onefold_workers/connectors/_locations.py",
            "workers/onefold_workers/cluster.py",
        ),
        "each floor has one settings class; a variable read elsewhere is one that nobody finds documented",
    ),
    (
        "time",
        asks_for_the_time,
        ("storage/onefold_storage/clock.py",),
        "one clock is injected: data of 2017 must not come out empty because today is later; "
        "take `now` as an argument, and measure durations by time.monotonic or time.perf_counter",
    ),
    ("randomness", draws_unseeded, (), "the same input gives the same output: take a seed as an argument"),
    ("prefect", imports_any("prefect"), ("flows",), "only flows/ knows Prefect"),
    ("http", imports_any(*HTTP), ("platform",), "only platform/ knows HTTP"),
    (
        "api",
        imports_any("fastapi", "starlette"),
        ("platform/onefold/api", "platform/onefold/web"),
        "the command line and the serving file know nothing of HTTP",
    ),
    ("learners", imports_any(*LEARNERS), ("workers",), "only workers/ thinks; an API host has no learner"),
    (
        "dask",
        imports_any("dask", "distributed"),
        # In a notebook a table may be had as a Dask frame, where Dask is installed.
        ("workers", "flows", "platform/onefold/table_view.py"),
        "an API host has no Dask installed; a command starts without it",
    ),
    ("tables", imports_any("deltalake"), ("storage",), "only storage/ touches tables: one committer a table"),
]  # fmt: skip


def offences(source: str, rule: Rule) -> list[str]:
    """`line: what` for every place in the source that the rule finds."""
    return [f"{getattr(node, 'lineno', 0)}: {hit}" for node in ast.walk(ast.parse(source)) if (hit := rule(node))]


def modules() -> Iterator[tuple[str, str]]:
    """Path from the root and source of every module of the four floors."""
    for floor in FLOORS:
        for path in sorted((ROOT / floor).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path.read_text()


def allowed(path: str, places: tuple[str, ...]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in places)


@pytest.mark.parametrize(("name", "rule", "places", "why"), RULES, ids=[rule[0] for rule in RULES])
def test_rule(name: str, rule: Rule, places: tuple[str, ...], why: str) -> None:
    wrong = {
        path: hits for path, source in modules() if not allowed(path, places) and (hits := offences(source, rule))
    }
    assert not wrong, f"{why}: {wrong}"


@pytest.mark.parametrize(("name", "rule", "places", "why"), RULES, ids=[rule[0] for rule in RULES])
def test_every_place_that_is_allowed_exists(name: str, rule: Rule, places: tuple[str, ...], why: str) -> None:
    missing = [place for place in places if not (ROOT / place).exists()]
    assert not missing, f"the rule {name} allows what is not there: {missing}"


SAMPLES = [
    ("environment", "import os\nhome = os.environ['HOME']", "import os\nhere = os.getcwd()"),
    ("environment", "from os import getenv", "from os import path"),
    ("environment", "import os\nx = os.getenv('X', '')", "settings.environ"),
    ("time", "from datetime import datetime\nx = datetime.now()", "x = clock.now()"),
    ("time", "import datetime as d\nx = d.datetime.now(d.UTC)", "import time\nx = time.monotonic()"),
    ("time", "import time\nx = time.time()", "import time\nx = time.perf_counter()"),
    ("time", "from time import time", "from time import monotonic"),
    ("time", "import pandas as pd\npd.Timestamp.now()", "import pandas as pd\npd.Timestamp('2017-01-01')"),
    ("randomness", "import random\nrandom.shuffle(x)", "import random\nr = random.Random(7)"),
    ("randomness", "from random import choice", "from random import Random"),
    (
        "randomness",
        "import numpy as np\nnp.random.default_rng()",
        "import numpy as np\nnp.random.default_rng(seed)",
    ),
    ("randomness", "import numpy as np\nnp.random.rand(3)", "import numpy as np\nx: np.random.Generator"),
    ("prefect", "from prefect import flow", "from onefold_flows import refresh"),
    ("prefect", "def f():\n    import prefect.artifacts", "import prefectly"),
    ("http", "import uvicorn", "import urllib.request"),
    ("api", "from fastapi.responses import JSONResponse", "import orjson"),
    ("learners", "from sklearn.ensemble import HistGradientBoostingClassifier", "import numpy"),
    ("dask", "def f():\n    from distributed import Client", "import polars"),
    ("tables", "import deltalake", "import pyarrow"),
]


@pytest.mark.parametrize(("name", "bad", "good"), SAMPLES)
def test_each_rule_catches_a_violation_and_lets_its_neighbour_pass(name: str, bad: str, good: str) -> None:
    rule = next(rule for known, rule, _, _ in RULES if known == name)
    assert offences(bad, rule)
    assert not offences(good, rule)


def test_each_rule_has_a_sample() -> None:
    assert {name for name, *_ in SAMPLES} == {name for name, *_ in RULES}
