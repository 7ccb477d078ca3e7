"""The maps that a table's roles and kinds ask for, as plain data for the contract's text."""

from __future__ import annotations

from typing import Any

from onefold_workers.drafting.kinds import Guess
from onefold_workers.drafting.profile import Profile
from onefold_workers.drafting.roles import Roles
from onefold_workers.mapping_words import GRANTED

Map = dict[str, Any]
_MOST_PAYLOAD = 12
_YES = ("1", "true", "yes", "y", "t", "True", "TRUE", "Yes", "YES", "Y")
_NO = ("0", "false", "no", "n", "f", "False", "FALSE", "No", "NO", "N")
_NO_KEY = (
    "no column is a key, so each row that lands counts once more, also one that came before: name a primaryKey, or see"
    " to it that each package brings new rows alone"
)


_UNDATED = ". No column says when, so a yes lifts no refusal elsewhere, unless it is seen to change"


def maps(
    source: str, profiles: dict[str, Profile], guesses: dict[str, Guess], roles: Roles
) -> list[tuple[Map, str]]:
    """(map, remark for the reader) in order: the person, what happened, the item, what was allowed."""
    found: list[tuple[Map, str]] = []
    person = bool(guesses)
    if person:
        found.append(_contact_records(roles))
    if roles.transactions:
        found.append(_interactions(source, profiles, guesses, roles))
    if roles.item and (roles.item_fields or (roles.item,) == roles.key) and not (person and not roles.transactions):
        found.append(_items(profiles, guesses, roles))
    found += [_consent(guesses, roles, i) for i in range(len(roles.wishes))] if person else []
    return found


def _contact_records(roles: Roles) -> tuple[Map, str]:
    rules: Map = {"table": "contact_records"}
    if roles.customer and (roles.transactions or not roles.key):
        rules["key"] = [roles.customer]
        return rules, "one contact record per customer's number; the last row of a package stands"
    if roles.updated:
        rules["effective_at"] = roles.updated
    return (
        rules,
        "" if roles.key else "no column is a key, so each row is a record of its own: name a primaryKey if one is",
    )


def _interactions(
    source: str, profiles: dict[str, Profile], guesses: dict[str, Guess], roles: Roles
) -> tuple[Map, str]:
    fields: Map = {"kind": roles.kind or {"constant": "purchase" if roles.purchases else "event"}}
    remarks = []
    if not roles.key:
        remarks.append(_NO_KEY)
    if roles.channel:
        fields["channel"] = roles.channel
    if roles.item:
        own = bool(roles.item_fields)
        fields["item_key"] = {"column": roles.item, "prefix": f"{source if own else 'products'}:"}
        remarks += [] if own else ["`products:` is the source that describes the items: put its id there"]
    for name in ("quantity", "amount", "currency"):
        column = getattr(roles, name)
        if column:
            fields[name] = column
    if roles.cents:
        fields["amount"] = {"column": roles.amount, "unit": {"from": "cents", "to": "units"}}
        remarks.append(
            f"{roles.amount} is read as hundredths: without `unit`, where it already is in whole currency"
        )
    elif roles.says_cents:
        remarks.append(
            f"{roles.amount} is named after hundredths and has fractions, so it is read as whole currency"
        )
    if roles.unit_price:
        remarks.append(f"{roles.amount} looks like the price of one: the amount should be what the line cost")
    if roles.kind and roles.amount and not roles.kind_is_told:
        remarks.append(
            f"purchase? There is money in {roles.amount}: give the words of {roles.kind} that mean one the value"
            " `purchase`, else no model counts it"
        )
    if roles.order:
        fields["related_key"] = roles.order
    rules: Map = {"table": "interactions"}
    if roles.customer:
        rules["contact"] = {"key": [roles.customer]}
    rules |= {"effective_at": roles.time, "fields": fields}
    used = {roles.customer, roles.time, roles.item, roles.quantity, roles.amount, roles.currency, roles.order}
    used |= {roles.kind, roles.channel, *roles.key, *(roles.item_fields.values() if roles.item else ())}
    rest = [n for n in profiles if n not in used and n not in guesses and profiles[n].filled and n[:1] != "_"]
    if rest:
        rules["payload"] = rest[:_MOST_PAYLOAD]
    return rules, "; ".join(remarks)


def _items(profiles: dict[str, Profile], guesses: dict[str, Guess], roles: Roles) -> tuple[Map, str]:
    rules: Map = {
        "table": "items",
        "key": [roles.item],
        "fields": {"kind": {"constant": "product"}, **roles.item_fields},
    }
    if not roles.transactions:
        used = {roles.item, *roles.item_fields.values()}
        rest = [n for n in profiles if n not in used and n not in guesses and profiles[n].filled and n[:1] != "_"]
        if rest:
            rules["payload"] = rest[:_MOST_PAYLOAD]
    remark = (
        "" if "category" in roles.item_fields else "next best offers need a category: name the column that has it"
    )
    return rules, remark


def _consent(guesses: dict[str, Guess], roles: Roles, index: int) -> tuple[Map, str]:
    wish = roles.wishes[index]
    by_kind = {g.kind: n for n, g in reversed(guesses.items())}
    channel = wish.channel
    if channel == "any" and "email" in by_kind:
        channel = "email"
    point = {"email": "email", "sms": "phone", "phone": "phone"}.get(channel)
    fields: Map = {}
    if point and point in by_kind:
        fields |= {"subject_kind": {"constant": point}, "subject": by_kind[point]}
    else:
        fields |= {"subject_kind": {"constant": "record"}}
    fields |= {"data_use": {"constant": "marketing"}, "channel": {"constant": channel}}
    state: Map | str = wish.column
    if wish.refusal:
        yes = dict.fromkeys((*_YES, *wish.yes), "REVOKED")
        state = {"column": wish.column, "values": {**yes, **dict.fromkeys((*_NO, *wish.no))}}
    elif unknown := [word for word in wish.yes if word.lower() not in GRANTED]:
        state = {"column": wish.column, "values": dict.fromkeys(unknown, "GRANTED")}
    fields |= {"state": state, "lawful_basis": {"constant": "consent"}}
    rules: Map = {"table": "consents"}
    if roles.updated:
        rules["effective_at"] = roles.updated
    use = f"marketing by {channel}" if channel != "any" else "marketing by any channel"
    if wish.refusal:
        return {**rules, "fields": fields}, f"`{wish.column}`: yes refuses {use}, no says nothing"
    remark = f"`{wish.column}`: yes grants {use}; what is not understood is DENIED"
    return {**rules, "fields": fields}, remark + ("" if roles.updated else _UNDATED)
