"""What stands where: the fixed top level, files of a bearable length, a README in each folder, no addresses."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = ("platform", "flows", "workers", "storage")
TOP = re.compile(
    r"pyproject\.toml|README\.md|Makefile|docker-compose\.yml|platform|flows|workers|storage|infra|tests"
    r"|LICENSE|CHANGELOG\.md|CONTRIBUTING\.md|\..*|requirements.*"
)
LONGEST = 400

ADDRESS = re.compile(
    r"""https?://[^\s"'`]+\.(?:whl|tar\.gz|tgz)\b          # a package by its address
      | https?://[\w.-]*\b(?:pypi|pythonhosted|npmjs|crates|maven)\b[\w.-]*   # a registry's host
      | --(?:extra-)?index-[u]rl | "resolved":\s*"http | \bregistry\s*=\s*"?http""",
    re.VERBOSE,
)
MACHINE_PATH = re.compile(r"(?<![\w.~}$<-])/(?:work|root|home|Users|tmp)/\w")


def tracked() -> list[Path]:
    """Files that git has or would have: tracked ones, and new ones that are not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


def outside(names: list[str]) -> list[str]:
    """Names that may not stand at the top."""
    return sorted({name for name in names if not TOP.fullmatch(name)})


def text_of(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


def found(pattern: re.Pattern[str], text: str) -> list[str]:
    """Lines (from 1) and matches."""
    return [
        f"{number}: {match[0]}"
        for number, line in enumerate(text.splitlines(), 1)
        if (match := pattern.search(line))
    ]


def test_the_top_level_is_fixed() -> None:
    wrong = outside([path.relative_to(ROOT).parts[0] for path in tracked()])
    assert not wrong, f"{wrong} may not stand at the top: the design fixes what does; find its floor"


def test_the_rule_of_the_top_level_catches() -> None:
    assert outside(["README.md", "notes.md", "src", ".ci", "requirements-api.txt"]) == ["notes.md", "src"]


def test_no_file_is_too_long_to_live_in() -> None:
    long = {str(p.relative_to(ROOT)): n for p in tracked() if p.suffix == ".py" and (n := lines(p)) > LONGEST}
    assert not long, f"over {LONGEST} lines, split by concept: {long}"


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def test_the_rule_of_length_counts_lines(tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text("x = 1\n" * 401)
    assert lines(tmp_path / "long.py") > LONGEST


@pytest.mark.parametrize("folder", [*FLOORS, "infra", "tests"])
def test_each_folder_explains_itself(folder: str) -> None:
    text = (ROOT / folder / "README.md").read_text()
    assert text.startswith("# "), f"{folder}/README.md has no title"
    if folder in FLOORS:
        for word in ("Lives here", "May not", "Start with"):
            assert word in text, f"{folder}/README.md does not say: {word}"


def test_no_floor_shadows_the_standard_library() -> None:
    for folder in FLOORS:
        assert not (ROOT / folder / "__init__.py").exists(), f"{folder}/ is a place for a package, not a package"


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (ADDRESS, "locks carry versions and hashes; where packages come from is the machine's business"),
        (MACHINE_PATH, "works on one machine alone"),
    ],
    ids=["addresses", "machine-paths"],
)
def test_no_tracked_file_names(pattern: re.Pattern[str], why: str) -> None:
    wrong = {
        str(path.relative_to(ROOT)): hits
        for path in tracked()
        if path != Path(__file__) and (hits := found(pattern, text_of(path)))
    }
    assert not wrong, f"{why}: {wrong}"


@pytest.mark.parametrize(
    ("pattern", "sample"),
    [
        (ADDRESS, "uv @ https" + "://files.example.org/packages/uv-1.0-py3-none-any.whl"),
        (ADDRESS, "--index" + "-url https://example.org"),
        (ADDRESS, '"resolved"' + ': "https://example.org/x"'),
        (MACHINE_PATH, 'open("/home/ada/data.csv")'),
        (MACHINE_PATH, "cd /wo" + "rk/thing"),
    ],
)
def test_the_rules_of_addresses_and_paths_catch(pattern: re.Pattern[str], sample: str) -> None:
    assert found(pattern, sample)


@pytest.mark.parametrize(
    "sample", ["see https://keepachangelog.com/en/1.1.0/", "tests/home/x", "~/work/x", "$d/t" + "mp/x"]
)
def test_the_rules_of_addresses_and_paths_let_ordinary_text_pass(sample: str) -> None:
    assert not found(ADDRESS, sample)
    assert not found(MACHINE_PATH, sample)


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-api.txt", "requirements-dev.txt", "requirements-build.txt"]
)
def test_locks_have_a_hash_for_every_pin_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    for entry in re.split(r"\n(?=\S)", text.strip()):
        assert re.match(r"[\w.\[\]-]+==", entry), f"{name}: not an exact version: {entry[:80]}"
        assert "--hash=sha256:" in entry, f"{name}: no hash: {entry[:80]}"


def test_an_api_host_installs_neither_dask_nor_a_learner_nor_prefect() -> None:
    pinned = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements-api.txt").read_text(), re.MULTILINE))
    assert not pinned & {"dask", "distributed", "scikit-learn", "scipy", "mlflow-skinny", "prefect", "pandas"}
    assert {"fastapi", "uvicorn", "polars", "deltalake"} <= pinned
