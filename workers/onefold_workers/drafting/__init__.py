"""Drafts a data contract from a sample of a source: types, key, semantic kinds, maps, with remarks to check."""

from __future__ import annotations

import re
from dataclasses import replace
from glob import has_magic
from typing import Any

import pyarrow as pa

from onefold_storage import contracts
from onefold_storage.errors import BadInput
from onefold_workers.cleaning import PERSON_KINDS
from onefold_workers.drafting.birth_parts import with_birth_parts
from onefold_workers.drafting.contract_text import checks, column_lines, contract, derived_lines
from onefold_workers.drafting.headers import is_truth
from onefold_workers.drafting.kinds import Guess, guesses
from onefold_workers.drafting.locales import locales
from onefold_workers.drafting.maps import maps
from onefold_workers.drafting.media import draft_media, said_of_files
from onefold_workers.drafting.nested import Opened, opened
from onefold_workers.drafting.passed_over import passed_over
from onefold_workers.drafting.profile import Profile, profile
from onefold_workers.drafting.roles import Roles, country_of, roles
from onefold_workers.drafting.types import column_type
from onefold_workers.drafting.vocabulary import tokens, vocabulary
from onefold_workers.drafting.whole_names import settled

__all__ = ["checks", "draft", "understand"]

_FREE_TEXT = 60
_MANY = 100
_CUSTOMERS = {
    "customer",
    "customers",
    "client",
    "clients",
    "members",
    "users",
    "people",
    "persons",
    "kunden",
    "contacts",
}
_PERSONAL = {*PERSON_KINDS, "external_id"} - {"country", "region", "city", "postcode", "organisation"}
_NAMES = {"given_name", "family_name", "full_name", "birth_date"}


def draft(
    sample: pa.Table, source: str, location: str, connector: str = "files", options: dict[str, Any] | None = None
) -> str:
    """The text of a contract for a source, from a sample of its rows; `contracts.parse` accepts it.

    `sample`: some thousand rows, text columns for text formats. `source`: the contract's id, made fit if it is not.
    Raises BadInput where the sample has no column.
    """
    name = source_name(source)
    if connector == "media":
        profiles, found, _ = understand(said_of_files(sample), name)
        return draft_media(name, location, options or {}, profiles, found, country_of(profiles, found))
    seen = opened(sample)
    profiles, found, role = _understood(seen, name)
    if not profiles and not seen.nested:
        raise BadInput(f"{location}: expected a table with columns, found none")
    mapped = maps(name, _shown(seen, found), found, role)
    inner = role.key if seen.leaves.keys() & {*role.key} else ()
    if inner:
        # A primary key is of columns that are sent; a key inside an object is the maps'.
        mapped = [({**rules, "key": rules.get("key", list(inner))}, remark) for rules, remark in mapped]
        role = replace(role, key=())
    used = _used(mapped)
    codes = {*role.key, *inner, role.customer, role.item, role.order}
    numbers = locales(profiles, [n for n in profiles if n not in found and n not in codes])
    ignored = passed_over(profiles, found, role)
    columns, derived = [], []
    for column in (c for c in (*sample.column_names, *seen.leaves) if c in profiles or c in seen.nested):
        if column in seen.nested:
            columns.append(column_lines(column, seen.nested[column], None, key=0, required=False, attribute=False))
            continue
        p, guess = profiles[column], found.get(column)
        # Numbers that could mean two things stay text, so that no reading of them is cast in bronze.
        kind = column_type(p, guess, code=column in codes or column in numbers.checks)
        said = [c[column] for c in (numbers.checks, ignored) if column in c]
        said += kind.checks
        locale = numbers.columns.get(column)
        key = role.key.index(column) + 1 if column in role.key else 0
        # A time without which nothing happened; the customer may be missing: bought without a card.
        required = role.transactions and column == role.time and p.complete
        attribute = (
            bool(found) and not role.transactions and not guess and not key and column not in used
            and bool(p.filled) and p.length <= _FREE_TEXT and not _says_nothing_of_a_person(p)
        )  # fmt: skip
        if column not in seen.leaves:
            columns.append(
                column_lines(
                    column, kind, guess, key=key, required=required, attribute=attribute, locale=locale, checks=said
                )
            )
        elif guess or attribute or column in used:
            leaf = seen.leaves[column]
            derived.append(
                derived_lines(
                    column, leaf.column, leaf.path, kind.format, guess,
                    attribute=attribute, locale=locale, checks=said,
                )
            )  # fmt: skip
    left_out = [c for c in sample.column_names if c not in profiles and c not in seen.nested]
    home = country_of(profiles, found)
    text = contract(
        name, location, connector, options or {}, columns, mapped, home, left_out,
        delivery=_delivery(connector, location, role), derived=derived, locale=numbers.source,
    )  # fmt: skip
    contracts.parse(text, f"draft of {name}")
    return text


def _delivery(connector: str, location: str, role: Roles) -> str:
    """`changes` for one file, table or answer whose rows have a key, since it comes again with more rows in it.

    It costs a look at the last row of each key. Of a key that is not unique after all, the last row stands in silver
    however rows are delivered.
    """
    whole = connector in ("sql", "rest") or (connector == "files" and bool(location) and not has_magic(location))
    return "changes" if whole and role.key else "append"


def understand(sample: pa.Table, source: str) -> tuple[dict[str, Profile], dict[str, Guess], Roles]:
    """Profiles, proposed kinds and roles of a sample's columns, and of what stands in objects among them."""
    return _understood(opened(sample), source)


def _understood(seen: Opened, source: str) -> tuple[dict[str, Profile], dict[str, Guess], Roles]:
    profiles = seen.profiles
    found = with_birth_parts(profiles, settled(seen.frame, profiles, guesses(profiles)))
    role = roles(source, profiles, found)
    if role.customer and role.customer not in found:
        scheme = f"{source}_customer"[:60]
        # The number has no telling name: its scheme is this source's own, so that it links to nothing by accident.
        found[role.customer] = Guess(
            "external_id",
            "low",
            "rows with times repeat it, as they would a customer's number",
            scheme,
        )
    if not found and role.key and {*tokens(source)} & _CUSTOMERS:
        found[role.key[0]] = Guess(
            "external_id", "low", "the key of a table of customers", f"{source}_customer"[:60]
        )
    if not {g.kind for g in found.values()} & _PERSONAL:
        found = {}  # a country or a company alone makes nobody a person
    if not role.transactions:
        shared = [
            n
            for n, g in found.items()
            if g.confidence != "high" and n not in role.key and _shared(profiles[n], found)
        ]
        found = {n: g for n, g in found.items() if n not in shared}
        role = replace(role, customer=None) if role.customer in shared else role
    return profiles, found, role


def _shared(p: Profile, found: dict[str, Guess]) -> bool:
    """A number beside people's names that several of them have: an account or household, not one person."""
    if found[p.name].kind != "external_id" or not {g.kind for g in found.values()} & _NAMES:
        return False
    return p.distinct_share < 0.95 or bool(set(p.words) & vocabulary().roles["group"])


def _says_nothing_of_a_person(p: Profile) -> bool:
    """Who is who by somebody's hand, the row's own number, or text for people to read: no attribute."""
    known = vocabulary().roles
    numbered = p.compact in known["row"] or bool({*p.words} & known["id"])
    own = p.unique and p.rows >= _MANY and p.decimals < 0.5 and p.share(r"^[\w.:/#-]+$") == 1
    return is_truth(p) or bool({*p.words} & known["prose"]) or own or (numbered and p.unique)


def source_name(given: str) -> str:
    """A contract's id out of any name: small letters, digits and _, beginning with a letter."""
    name = re.sub(r"[^a-z0-9]+", "_", given.lower()).strip("_")
    return (name if name[:1].isalpha() else f"source_{name}".rstrip("_"))[:63]


def _shown(seen: Opened, found: dict[str, Guess]) -> dict[str, Profile]:
    """What maps may show of a row: of an object that tells of a person only its parts, of any other the whole."""
    personal = {leaf.column for name, leaf in seen.leaves.items() if name in found}
    plain = {n: p for n, p in seen.profiles.items() if n not in seen.leaves or seen.leaves[n].column in personal}
    whole = {n: profile(n, seen.whole[n]) for n in seen.nested if n not in personal}
    return plain | whole


def _used(mapped: list[tuple[dict[str, Any], str]]) -> set[str]:
    used: set[str] = set()
    for rules, _ in mapped:
        used |= {*rules.get("key", ()), *rules.get("payload", ()), *rules.get("contact", {}).get("key", ())}
        for rule in rules.get("fields", {}).values():
            used.add(rule if isinstance(rule, str) else str(rule.get("column")))
        used |= {str(rules.get("effective_at"))}
    return used
