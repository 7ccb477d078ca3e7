"""Docs that cannot drift: every command that a page names exists, every setting is in the table, links lead."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

ROOT = Path(__file__).parents[2]
PACKAGES = ("onefold", "onefold_flows", "onefold_workers", "onefold_storage")
SETTINGS_PAGE = ROOT / "infra" / "README.md"
NOT_SETTINGS = {"ONEFOLD_REQUIRE"}
"""Variables of the tests, explained in tests/README.md."""


def pages() -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


def commands(text: str) -> Iterator[list[str]]:
    """Every `make …` and `onefold …` of a page, as words: lines of shell blocks, and inline code."""
    shell = re.findall(r"^```(?:sh|bash|shell|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in shell for line in block.replace("\\\n", " ").splitlines()]
    for line in [*lines, *re.findall(r"`([^`\n]+)`", prose)]:
        for part in re.split(r"&&|\|\||[;|]", line.partition(" #")[0]):
            try:
                words = shlex.split(part.strip().removeprefix("$ "))
            except ValueError:
                continue
            words = [word for word in words if not re.match(r"[A-Z_]+=", word)]
            if words and words[0].removeprefix(".venv/bin/") in {"make", "onefold"}:
                yield [words[0].removeprefix(".venv/bin/"), *words[1:]]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def unknown(words: list[str], targets: set[str], cli: object) -> str | None:
    """What is wrong with a command, or None."""
    if words[0] == "make":
        asked = [word for word in words[1:] if not word.startswith("-")]
        return next((f"no target {word}" for word in asked if word not in targets), None)
    node, path = cli, ["onefold"]
    for word in words[1:]:
        if word.startswith("-"):
            known = {option for parameter in node.params for option in [*parameter.opts, *parameter.secondary_opts]}
            option = word.partition("=")[0]
            if option not in known | {"--help"}:
                return f"`{' '.join(path)}` has no option {option}"
        elif hasattr(node, "commands"):
            if word in {"…", "..."}:
                return None
            if word not in node.commands:
                return f"`{' '.join(path)}` has no command {word}"
            node, path = node.commands[word], [*path, word]
    return None


@pytest.fixture(scope="module")
def cli() -> object:
    return typer.main.get_command(importlib.import_module("onefold.cli").app)


def test_every_command_that_a_page_names_exists(cli: object) -> None:
    targets = make_targets()
    wrong = {
        f"{page.relative_to(ROOT)}: {' '.join(words)}": problem
        for page in pages()
        for words in commands(page.read_text())
        if (problem := unknown(words, targets, cli))
    }
    assert not wrong


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ("```sh\nmake tset\n```", "no target tset"),
        ("run `make everything` now", "no target everything"),
        ("```sh\ncd x && .venv/bin/onefold demoo --no-serve\n```", "`onefold` has no command demoo"),
        ("```sh\nA=1 onefold source draught x.csv | head\n```", "`onefold source` has no command draught"),
        ("```console\n$ onefold status --jason\n```", "`onefold status` has no option --jason"),
    ],
)
def test_a_wrong_command_is_caught(cli: object, page: str, problem: str) -> None:
    assert [unknown(words, make_targets(), cli) for words in commands(page)] == [problem]


def test_commands_of_other_programs_and_languages_are_left_alone() -> None:
    assert not list(
        commands("```python\nmake = onefold\n```\n`makefile` and `onefold_flows`\n```sh\ngit status\n```")
    )


def settings() -> dict[str, tuple[str, str]]:
    """Default and description, as the table shows them, by variable."""
    found = {}
    for package in PACKAGES:
        module = importlib.import_module(f"{package}.settings")
        for known in vars(module).values():
            if isinstance(known, type) and issubclass(known, BaseSettings) and known.__module__ == module.__name__:
                prefix = known.model_config.get("env_prefix", "")
                for name, field in known.model_fields.items():
                    value = field.get_default(call_default_factory=True)
                    text = "" if value is None or value is PydanticUndefined else shown(value)
                    found[f"{prefix}{name}".upper()] = (text, field.description or "")
    return found


def shown(value: object) -> str:
    if isinstance(value, dict):
        return "`{" + ", ".join(f'"{key}": "{item}"' for key, item in value.items()) + "}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def table(text: str) -> dict[str, tuple[str, str]]:
    rows = re.findall(r"^\| `(ONEFOLD_\w+)` \| ?(.*?) ?\| (.*) \|$", text, re.MULTILINE)
    return {name: (default, what) for name, default, what in rows}


def test_the_table_of_settings_is_the_settings() -> None:
    known = settings()
    assert all(what for _, what in known.values()), "every setting has a description"
    right = "\n".join(f"| `{name}` | {default} | {what} |" for name, (default, what) in sorted(known.items()))
    assert table(SETTINGS_PAGE.read_text()) == known, f"the rows of {SETTINGS_PAGE.name} should be:\n{right}"


def test_the_table_is_read_row_by_row() -> None:
    assert table(
        "| variable | default | what |\n| `ONEFOLD_HOME` | `.onefold` | folder |\n| `ONEFOLD_NOW` | | time |"
    ) == {
        "ONEFOLD_HOME": ("`.onefold`", "folder"),
        "ONEFOLD_NOW": ("", "time"),
    }


def test_pages_name_no_variable_that_nothing_reads() -> None:
    known = set(settings()) | NOT_SETTINGS
    wrong = {
        page.relative_to(ROOT).as_posix(): missing
        for page in pages()
        if (missing := set(re.findall(r"\bONEFOLD_[A-Z0-9_]*[A-Z0-9]\b", page.read_text())) - known)
    }
    assert not wrong


def broken_links(page: Path) -> list[str]:
    """Relative links of a page that lead nowhere."""
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))
    return [link for link in links if "://" not in link and not (page.parent / link).exists()]


def test_every_link_leads_somewhere() -> None:
    wrong = {page.relative_to(ROOT).as_posix(): links for page in pages() if (links := broken_links(page))}
    assert not wrong


def test_a_broken_link_is_caught(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("[here](page.md) [gone](gone/README.md#x) [there](https://example.org)")
    assert broken_links(tmp_path / "page.md") == ["gone/README.md"]


@pytest.mark.parametrize("arguments", [["--help"], ["status", "--help"]])
def test_the_command_line_starts_without_what_it_may_not_need(arguments: list[str]) -> None:
    heavy = ("prefect", "distributed", "dask", "sklearn", "mlflow", "pandas", "scipy", "fastapi")
    code = (
        "import sys; sys.argv = ['onefold', *sys.argv[1:]]\n"
        "from onefold.cli import main\n"
        "try: main()\n"
        f"finally: print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stderr.strip().splitlines()[-1] == "[]"
