"""Reads `vocabulary.toml`: the words of column headers and values, folded so that they compare."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

_NUMBER_SIGN = re.compile(r"(?i)\bn\s?[°º]|№")
_ADDRESS_OF = re.compile(r"\b(billing|shipping|mailing|delivery)(?=[a-z]{3})")
"""Which address a header is about, where it is joined to the next word: `billingpostalcode`."""


@dataclass(frozen=True)
class Words:
    """Words for one meaning: `anywhere` among a header's words, `whole` only as the whole header."""

    anywhere: frozenset[str]
    whole: frozenset[str]


@dataclass(frozen=True)
class Vocabulary:
    """Everything `vocabulary.toml` says."""

    kinds: dict[str, Words]
    identifiers: dict[str, frozenset[str]]
    entities: dict[str, frozenset[str]]
    roles: dict[str, frozenset[str]]
    channels: dict[str, frozenset[str]]
    countries: dict[str, frozenset[str]]
    values: dict[str, frozenset[str]]


@lru_cache(maxsize=1)
def vocabulary() -> Vocabulary:
    """The vocabulary, read once."""
    text = (resources.files("onefold_workers.drafting") / "vocabulary.toml").read_text(encoding="utf-8")
    raw = tomllib.loads(text)
    flat = {
        section: {name: frozenset(folded(words).split()) for name, words in raw[section].items()}
        for section in ("identifiers", "entities", "roles", "channels", "countries")
    }
    flat["values"] = {name: frozenset(words.split()) for name, words in raw["values"].items()}
    kinds = {
        kind: Words(*(frozenset(folded(rule.get(w, "")).split()) for w in ("words", "exact")))
        for kind, rule in raw["kinds"].items()
    }
    return Vocabulary(kinds=kinds, **flat)


def folded(text: str) -> str:
    """Text without accents, in small letters; ß is ss."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in plain if not unicodedata.combining(c))


def tokens(header: str) -> tuple[str, ...]:
    """The words of a header: camelCase, snake_case, spaces and digits part them; `address1` is address and 1.

    The sign of a number is one: `N° client`."""
    parted = re.sub(r"([a-z])([A-Z])", r"\1 \2", _NUMBER_SIGN.sub("no ", header))
    parted = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1 \2", parted)
    parted = re.sub(r"(\d+)", r" \1 ", parted)
    return tuple(re.findall(r"[^\W_]+", _ADDRESS_OF.sub(r"\1 ", folded(parted))))


def runs(words: tuple[str, ...]) -> set[str]:
    """Every run of neighbouring words, joined: `home phone number` gives phone, homephone, phonenumber, …"""
    return {"".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, len(words) + 1)}


def longest(words: tuple[str, ...], known: frozenset[str]) -> int:
    """The length of the longest run of the header's words that is known; 0 where none is."""
    return max((len(run) for run in runs(words) & known), default=0)
