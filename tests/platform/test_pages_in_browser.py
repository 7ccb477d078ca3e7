"""The pages in a real browser, without JavaScript: what a person does on the first day."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import httpx
import polars as pl
import pytest
import uvicorn

pytestmark = pytest.mark.needs_browser
SIZES = {"desk": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 800}}


@pytest.fixture
def address(published: Any, free_port: Callable[[], int]) -> Iterator[str]:
    """A server in this process."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(published.app(), port=port, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(20)


@pytest.mark.parametrize("size", SIZES)
def test_sign_in_look_around_search_sign_out(chromium: str, address: str, published: Any, size: str) -> None:
    from playwright.sync_api import expect, sync_playwright

    problems: list[str] = []
    elsewhere: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-quic"]
        )
        context = browser.new_context(viewport=SIZES[size], java_script_enabled=False)
        page = context.new_page()
        page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
        page.on("request", lambda r: elsewhere.append(r.url) if not r.url.startswith(address) else None)
        page.goto(address)
        page.get_by_label("API key").fill(
            published.token("read:customers", "read:scores", "read:sources", "search")
        )
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Sources")).to_be_visible()
        expect(page.get_by_role("heading", name="Models")).to_be_visible()
        expect(page.get_by_text("pos_transactions", exact=True)).to_be_visible()
        _fits(page)
        page.get_by_label("Search for").fill("anna")
        page.get_by_role("button", name="Search").click()
        page.get_by_role("link", name="Anna Brandt").first.click()
        expect(page.get_by_role("heading", name="Anna Brandt", level=1)).to_be_visible()
        expect(page.get_by_role("heading", name="May I contact?")).to_be_visible()
        expect(page.get_by_text("40 days since the last purchase")).to_be_visible()
        _fits(page)
        page.get_by_label("Search by").select_option("email")
        page.get_by_label("Search for").fill("person3@example.org")
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_role("heading", name="Dora Adler", level=1)).to_be_visible()
        assert "person3" not in page.url
        page.get_by_role("link", name="API").click()
        expect(page.get_by_role("heading", name="Scores", exact=True)).to_be_visible()
        _fits(page)
        page.goto(f"{address}/")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("API key")).to_be_visible()
        browser.close()
    assert not problems and not elsewhere


@pytest.mark.parametrize("size", SIZES)
def test_whom_one_may_contact_is_not_cut_off(
    chromium: str, address: str, published: Any, made_up: ModuleType, size: str
) -> None:
    """Five channels, as a retailer has them: no answer is cut off, and what follows `no` reads as its reason."""
    from playwright.sync_api import expect, sync_playwright

    gold = made_up.gold_frames(20)
    email = gold.permissions.filter(pl.col("data_use") == "marketing", pl.col("channel") == "email")
    more = [
        email.with_columns(channel=pl.lit(c), allowed=False, reason=pl.lit("no_consent")) for c in ("app", "sms")
    ]
    version = published.publish(replace(gold, permissions=pl.concat([gold.permissions, *more])), {}).version
    token = published.token("read:customers")
    while httpx.get(f"{address}/health").json()["publication"] != version:
        time.sleep(0.05)
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-quic"]
        )
        page = browser.new_context(viewport=SIZES[size], java_script_enabled=False).new_page()
        page.goto(address)
        page.get_by_label("API key").fill(token)
        page.get_by_role("button", name="Sign in").click()
        page.goto(f"{address}/customers/g0000003")
        expect(page.get_by_role("row", name="sms no: no consent")).to_be_visible()
        assert (
            page.evaluate("(e => e.scrollWidth - e.clientWidth)(document.querySelector('.may').parentElement)") == 0
        )
        browser.close()


def _fits(page: Any) -> None:
    """Nothing but tables in their own frames scrolls sideways."""
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
