"""Programs that name themselves in the user agent: crawlers, monitors, previews, browsers without a head.

Who hides behind a person's browser is not found here, and no list of addresses is kept. Words only, no rule.
"""

from __future__ import annotations

import re
from typing import Final

_NAMES: Final = (
    r"bots?(?![a-z])", r"crawl", r"spider", r"slurp", r"archiver", r"facebookexternalhit", r"mediapartners",
    r"feedfetcher", r"bingpreview", r"whatsapp/", r"embedly", r"headless", r"phantomjs", r"electron-prerender",
    r"prerender", r"lighthouse", r"pagespeed", r"gtmetrix", r"pingdom", r"uptime", r"statuscake", r"site24x7",
    r"newrelicpinger", r"datadogsynthetics", r"synthetic", r"selenium", r"puppeteer", r"playwright", r"cypress",
    r"scrapy", r"python-requests", r"python-urllib", r"aiohttp/", r"httpx/", r"curl/", r"wget/", r"libwww",
    r"go-http-client", r"java/\d", r"okhttp/", r"node-fetch", r"axios/", r"monitor(?:ing)?(?![a-z])",
)  # fmt: skip
_BOT = re.compile("|".join(_NAMES), re.IGNORECASE)
_NO_BOT = re.compile(r"\bcubot\b", re.IGNORECASE)
"""A make of telephones."""


def is_bot(user_agent: str) -> bool:
    """Whether a user agent is that of a program which nobody sits in front of."""
    return _BOT.search(_NO_BOT.sub("", user_agent[:1_024])) is not None
