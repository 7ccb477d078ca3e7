"""The parts that a machine may lack: skipped where missing, failing where required, and told in the summary."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

pytest_plugins = ["pytester"]

SAMPLE = """
import pytest
@pytest.mark.needs_browser
def test_page(): pass
"""


@pytest.fixture
def machine_without_browser(
    pytester: pytest.Pytester, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> pytest.Pytester:
    """A test session of its own, with this folder's conftest and an empty PATH."""
    pytester.makeconftest((request.config.rootpath / "tests/conftest.py").read_text())
    pytester.makeini("[pytest]\nmarkers = needs_browser: drives Chromium\n")
    pytester.makepyfile(SAMPLE)
    monkeypatch.setenv("PATH", str(pytester.path))
    return pytester


def test_a_missing_part_skips_and_the_summary_says_why(machine_without_browser, monkeypatch) -> None:
    monkeypatch.delenv("ONEFOLD_REQUIRE", raising=False)
    result = machine_without_browser.runpytest_subprocess("-ra")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*not tested on this machine*", "browser: no Chromium*"])


def test_the_summary_says_so_where_tests_run_in_several_processes(machine_without_browser, monkeypatch) -> None:
    monkeypatch.delenv("ONEFOLD_REQUIRE", raising=False)
    result = machine_without_browser.runpytest_subprocess("-n", "1")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*not tested on this machine*", "browser: no Chromium*"])


def test_a_missing_part_fails_where_it_is_required(machine_without_browser, monkeypatch) -> None:
    monkeypatch.setenv("ONEFOLD_REQUIRE", "dask, browser")
    result = machine_without_browser.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*browser is required here*"])


def test_postgres_answers(postgres: str) -> None:
    with sa.create_engine(postgres).connect() as connection:
        assert connection.scalar(sa.text("select 40 + 2")) == 42
