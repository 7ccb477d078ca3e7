"""What a table is about: its key, who a row belongs to, when it happened, what was bought, what was allowed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import polars as pl

from onefold_workers.drafting.kinds import Guess, entity_reference
from onefold_workers.drafting.profile import Profile
from onefold_workers.drafting.vocabulary import longest, runs, tokens, vocabulary
from onefold_workers.mapping_words import GRANTED, REVOKED

_NO = frozenset(
    {"no", "n", "false", "f", "0", "denied", "deny", "never", "nein", "non", "off", "nee", "nej", "nao", "nie"}
)
_INITIALS = frozenset("sojyn")
"""`S`/`N`, `O`/`N`: a yes beside a no of one letter, and too short to be one anywhere else."""
_PURCHASES = frozenset(
    [
        "transaction",
        "transactions",
        "order",
        "orders",
        "sale",
        "sales",
        "purchase",
        "purchases",
        "pos",
        "invoice",
        "invoices",
    ]
)
_OFFICIAL = ("ssn", "national_id", "passport", "tax_id", "driving_licence")
_CODE = r"^[\w.:/#-]{1,40}$"


@dataclass(frozen=True)
class Wish:
    """A column that says what a person allowed: by which channel, and whether it speaks of refusing.

    `yes`, `no`: its values that say so, as they are written.
    """

    column: str
    channel: str
    refusal: bool
    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()


@dataclass(frozen=True)
class Roles:
    """Columns by what they do in the table; None where there is none."""

    key: tuple[str, ...] = ()
    customer: str | None = None
    time: str | None = None
    updated: str | None = None
    amount: str | None = None
    unit_price: bool = False
    says_cents: bool = False
    """The amount's header is of hundredths of a currency."""
    cents: bool = False
    """It is in hundredths: no value has a fraction, which nobody pays of a cent."""
    quantity: str | None = None
    item: str | None = None
    item_fields: dict[str, str] = field(default_factory=dict)
    order: str | None = None
    kind: str | None = None
    kind_is_told: bool = False
    """Its words are those that models know: a purchase is called one."""
    channel: str | None = None
    currency: str | None = None
    wishes: tuple[Wish, ...] = ()
    purchases: bool = False
    transactions: bool = False
    """Rows are things that happened: to `customer`, or, where that is None, to the person the row itself names."""


def roles(source: str, profiles: dict[str, Profile], guesses: dict[str, Guess]) -> Roles:
    """Find the roles of a table's columns."""
    free = {n: p for n, p in profiles.items() if n not in guesses}
    known = vocabulary().roles
    time = _time(free)
    person = {g.kind for g in guesses.values()} - {"external_id", "country", "region", "city"}
    customer = _customer(profiles, guesses, time=time is not None, person=bool(person))
    item = _entity(profiles, "item", guesses)
    order = _entity(profiles, "order", guesses)
    amount, unit_price = _amount(free, item, order)
    in_cents = amount is not None and _says_cents(profiles[amount])
    kind = _few(free, known["kind"], 40)
    quantity = _measure(free, known["quantity"], {amount})
    traded = any(c is not None for c in (amount, quantity, item, order))
    happened = time is not None and customer is not None and _repeats(profiles[customer])
    if happened and len(person) >= 2 and not traded:
        happened = False  # people, several of whom share a number
    # A customer's number that no two rows share: one row per customer, whose sums and times are theirs.
    master = customer is not None and not _repeats(profiles[customer]) and item is None and order is None
    one_off = not happened and not master and _one_off(profiles, person, time, amount)
    key = _key(profiles, guesses, customer if happened else None, item, order, transactions=happened)
    bought = bool({*tokens(source)} & _PURCHASES) or amount is not None or quantity is not None or item is not None
    return Roles(
        key=key,
        customer=None if one_off else customer,
        time=time,
        updated=_named_time(free, "updated"),
        amount=amount,
        unit_price=unit_price,
        says_cents=in_cents,
        cents=in_cents and not profiles[amount or ""].share(r"[.,]\d*[1-9]\d*\D*$"),
        quantity=quantity,
        item=item,
        item_fields=_item_fields(free, item),
        order=order if order and (order,) != key else None,
        kind=kind,
        kind_is_told=kind is not None and profiles[kind].share_in(frozenset({"purchase"})) > 0,
        channel=_few(free, known["channel"], 20),
        currency=_currency(free),
        wishes=_wishes(free),
        purchases=bought,
        transactions=happened or one_off,
    )


def _repeats(p: Profile) -> bool:
    """Some rows share a value; rows without one share nothing."""
    return p.distinct < p.filled


def _one_off(profiles: dict[str, Profile], person: set[str], time: str | None, amount: str | None) -> bool:
    """Each row names a person and what they paid when, without a customer's number: gifts, registrations."""
    known = vocabulary().roles
    if time is None or amount is None or not person & {"email", "phone", "full_name", "family_name"}:
        return False
    words = runs(profiles[time].words)
    return not words & (known["created"] | known["updated"]) and not set(profiles[amount].words) & known["summed"]


def is_time(p: Profile) -> bool:
    """The column holds times of things, and its name does not speak against it."""
    if _epoch(p):
        return True
    words = vocabulary().roles["time"] | vocabulary().roles["created"] | vocabulary().roles["updated"]
    if not p.when or p.when.covered < 0.9 or (p.when.share < 0.9 and not longest(p.words, words)):
        return False
    digits_only = p.when.format == "%Y%m%d"
    return not digits_only or bool(runs(p.words) & words) or (p.when.share > 0.99 and not p.native)


def _epoch(p: Profile) -> bool:
    """Seconds or milliseconds since 1970, under a header that speaks of time."""
    named = longest(p.words, vocabulary().roles["time"] | vocabulary().roles["updated"])
    return bool(named) and p.integers == 1 and p.share(r"^1\d{9}(?:\d{3}){0,2}$") > 0.99


def _time(free: dict[str, Profile]) -> str | None:
    """When it happened: of the columns with dates, the best named one, with a time of day rather than without."""
    known = vocabulary().roles
    ranked = []
    for place, (name, p) in enumerate(free.items()):
        if not is_time(p):
            continue
        named = longest(p.words, known["time"]) > 0
        changed = longest(p.words, known["updated"]) > 0
        ended = bool(
            {"end", "ende", "due", "expiry", "expires", "valid", "until", "ship", "shipped"} & set(p.words)
        )
        clock, share = (p.when.times, p.when.share) if p.when else (True, 1.0)
        ranked.append((changed, ended, not named, not clock, -share, place, name))
    return min(ranked)[-1] if ranked else None


def _named_time(free: dict[str, Profile], role: str) -> str | None:
    words = vocabulary().roles[role]
    return next((n for n, p in free.items() if is_time(p) and longest(p.words, words)), None)


def _customer(profiles: dict[str, Profile], guesses: dict[str, Guess], *, time: bool, person: bool) -> str | None:
    """Who a row belongs to: a customer's number; else, where rows have times, an id that repeats or an email."""
    named = [
        n for n, p in profiles.items() if entity_reference(p, "customer") and _is_number_of_one(guesses.get(n))
    ]
    if named:
        return min(named, key=lambda n: (not profiles[n].complete, list(profiles).index(n)))
    loyalty = [n for n, g in guesses.items() if g.scheme in ("loyalty_card", "device")]
    if loyalty:
        return loyalty[0]
    if not time:
        return None
    mails = [n for n, g in guesses.items() if g.kind == "email" and profiles[n].filled > 0.5 * profiles[n].rows]
    if mails:
        return mails[0] if _repeats(profiles[mails[0]]) else None
    rows = vocabulary().roles["row"]
    repeated = [n for n, p in profiles.items() if n not in guesses and _may_be_code(p) and p.distinct < p.filled]
    plain = [n for n in repeated if profiles[n].compact in rows]
    if plain:
        return plain[0]
    nameless = [
        n for n in repeated if _nameless(profiles[n]) and profiles[n].distinct > max(20, profiles[n].rows // 50)
    ]
    return max(nameless, key=lambda n: profiles[n].distinct) if nameless and not person else None


def _is_number_of_one(guess: Guess | None) -> bool:
    """A business's own number of a customer, and not one that the state gave."""
    return guess is not None and guess.kind == "external_id" and guess.scheme not in _OFFICIAL


def _nameless(p: Profile) -> bool:
    return bool(re.fullmatch(r"(?:column|col|field|f|c|v|var|x|unnamed)?(?:\d+)?", p.compact))


def _may_be_code(p: Profile) -> bool:
    dated = p.when is not None and p.when.share > 0.9 and not p.integers
    compact_date = p.when is not None and p.when.format == "%Y%m%d" and p.when.share > 0.9
    whole = p.dtype.is_float() and p.decimals == 0
    return (
        p.share(_CODE) > 0.95
        and not dated
        and not compact_date
        and (whole or not p.decimals)
        and not p.truth_values
    )


def _entity(profiles: dict[str, Profile], entity: str, guesses: dict[str, Guess]) -> str | None:
    others = vocabulary().entities["campaign"] if entity == "item" else frozenset()
    free = [n for n, p in profiles.items() if n not in guesses and not others & set(p.words)]
    found = [n for n in free if entity_reference(profiles[n], entity)]
    ids = vocabulary().roles["id"] | vocabulary().entities[entity]
    return min(found, key=lambda n: (profiles[n].words[-1] not in ids, list(profiles).index(n))) if found else None


def _key(
    profiles: dict[str, Profile],
    guesses: dict[str, Guess],
    customer: str | None,
    item: str | None,
    order: str | None,
    *,
    transactions: bool,
) -> tuple[str, ...]:
    """The primary key: unique and always there; an id by name first, then the leftmost code."""
    known = vocabulary().roles

    def may(name: str) -> bool:
        p, guess = profiles[name], guesses.get(name)
        if guess and not _is_number_of_one(guess):
            return False
        return p.unique and name != customer and _may_be_code(p) and not name.startswith("_")

    unique = [n for n in profiles if may(n)]
    rows = [n for n in unique if profiles[n].compact in known["row"]]
    named = [n for n in unique if n in (item, order) or set(profiles[n].words) & known["id"]]
    customers = [n for n in unique if entity_reference(profiles[n], "customer")]
    first = next(iter(profiles), None)
    codes = [n for n in unique if n == first and (_nameless(profiles[n]) or profiles[n].letters > 0.5)]
    own = [n for n in rows if profiles[n].compact in known["own"]]
    ordered = [*rows, *named] if transactions else [*own, *customers, *rows, *named]
    chosen = next(iter([*ordered, *codes]), None)
    return (chosen,) if chosen else ()


def _amount(free: dict[str, Profile], item: str | None, order: str | None) -> tuple[str | None, bool]:
    """(money column, it is the price of one): the best named number; without names, the one with cents."""
    known = vocabulary().roles
    ranked = []
    for place, (name, p) in enumerate(free.items()):
        if not _is_number(p) or name in (item, order) or set(p.words) & known["not_amount"]:
            continue
        length = longest(p.words, known["amount"])
        unit = bool(runs(p.words) & known["unit"])
        if length:
            total = bool({"total", "amount", "value", "revenue", "net", "gross"} & set(p.words))
            ranked.append((unit, not total, not p.decimals, place, name))
        elif _nameless(p) and p.decimals > 0.5 and p.share(r"\.\d{2}$") > 0.5:
            ranked.append((unit, True, False, place + 1000, name))
    if not ranked:
        return None, False
    best = min(ranked)
    return best[-1], best[0]


def _says_cents(p: Profile) -> bool:
    """The header says that the column is in hundredths of a currency."""
    return bool({*p.words} & vocabulary().roles["cents"]) and "per" not in p.words


def _is_number(p: Profile) -> bool:
    dated = p.when is not None and p.when.covered > 0.9
    return (p.numbers > 0.98 or p.figures > 0.98) and not p.leading_zeros and not dated and p.filled > 0


def _measure(free: dict[str, Profile], words: frozenset[str], taken: set[str | None]) -> str | None:
    for name, p in free.items():
        if name not in taken and longest(p.words, words) and _is_number(p) and not entity_reference(p, "item"):
            return name
    return None


def _few(free: dict[str, Profile], words: frozenset[str], most: int) -> str | None:
    for name, p in free.items():
        if p.compact in words and 1 <= p.distinct <= most and p.letters > 0.8:
            return name
    return None


def _currency(free: dict[str, Profile]) -> str | None:
    words = vocabulary().roles["currency"]
    return next((n for n, p in free.items() if p.compact in words and p.share(r"^[A-Za-z]{3}$") > 0.9), None)


def _item_fields(free: dict[str, Profile], item: str | None) -> dict[str, str]:
    """Columns that describe the item, by canonical field."""
    known = vocabulary().roles
    found: dict[str, str] = {}
    for canonical in ("category", "department", "brand", "name"):
        words = known[f"item_{canonical}"]
        fitting = [
            (p.compact != canonical, p.compact not in words, place, name)
            for place, (name, p) in enumerate(free.items())
            if name != item and name not in found.values() and p.letters > 0.5
            and (p.compact in words or longest(p.words, words) > 6)
        ]  # fmt: skip
        if fitting:
            found[canonical] = min(fitting)[-1]
    return found


def _wishes(free: dict[str, Profile]) -> tuple[Wish, ...]:
    known = vocabulary()
    found = []
    for name, p in free.items():
        said = runs(p.words)
        refusal = bool(said & known.roles["refusal"])
        if not (refusal or said & known.roles["consent"]) or p.distinct > 8 or of_other_purpose(p):
            continue
        initials = p.share_in(_INITIALS) == 1 and p.share_in(frozenset("n")) > 0
        yes = frozenset(GRANTED) | ({"s", "o"} if initials else set())
        if p.share_in(yes | {*REVOKED} | _NO) < 0.8:
            continue
        channel = next((c for c, words in known.channels.items() if said & words), "any")
        found.append(Wish(name, channel, refusal, p.written_as(yes), p.written_as(_NO)))
    return tuple(found)


def of_other_purpose(p: Profile) -> bool:
    """Whether a header speaks of cookies, terms, a privacy notice: a yes to those lets nobody be written to."""
    said, known = runs(p.words), vocabulary().roles
    return bool(said & known["consent"] and said & known["other_purpose"]) and not said & known["marketing"]


def country_of(profiles: dict[str, Profile], guesses: dict[str, Guess]) -> str | None:
    """The country that the table's regions, its only country or its headers stand for, if that is plain."""
    from onefold_workers.cleaning.places import country as standard
    from onefold_workers.cleaning.words import REGIONS

    for name, guess in guesses.items():
        p = profiles[name]
        if guess.kind == "country":
            seen = p.text.alias("x").to_frame().select(standard(pl.col("x"))).to_series().drop_nulls()
            common = seen.value_counts(sort=True)
            if seen.len() and common["count"][0] > 0.9 * p.text.len():
                return str(common.item(0, 0))
        if guess.kind == "region":
            shares = {}
            for country, pairs in REGIONS.items():
                names = dict(pair.replace("~", " ").rsplit(":", 1) for pair in pairs.split())
                shares[country] = p.share_in(frozenset({*names, *(c.lower() for c in names.values())}))
            best = max(shares, key=lambda c: shares[c])
            if shares[best] > 0.7:
                return best
    named = {p.compact for p in profiles.values()}
    return next((country for country, words in vocabulary().countries.items() if named & words), None)
