"""Survivorship rules say what they mean and refuse what they do not know."""

from __future__ import annotations

import pytest

from onefold_storage.errors import BadContract
from onefold_workers.survivorship import PERSON_FIELDS, Survivorship


def test_every_field_is_decided_once() -> None:
    units = Survivorship().units()
    decided = [f for unit in units for f in unit.fields]
    assert sorted(decided) == sorted(PERSON_FIELDS)
    assert all(unit.rules for unit in units)


def test_rules_of_a_field_its_group_or_the_default() -> None:
    rules = Survivorship.of(
        {
            "default": ["longest"],
            "fields": {
                "email": ["most_recent"],
                "attributes": ["most_frequent"],
                "attributes.age": ["most_trusted"],
            },
        },
        "x",
    )
    assert rules.rules_of("email") == ("most_recent",)
    assert rules.rules_of("phone") == ("longest",)
    assert rules.rules_of("attributes.income") == ("most_frequent",)
    assert rules.rules_of("attributes.age") == ("most_trusted",)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"defualt": ["longest"]}, "defualt"),
        ({"default": []}, "default"),
        ({"default": ["newest"]}, "default.0"),
        ({"fields": {"surname": ["longest"]}}, "unknown field 'surname'"),
        ({"fields": {"email": []}}, "at least one rule"),
        ({"fields": {"city": ["longest"]}}, "'city' has rules of its own and stands in the group 'address'"),
        ({"groups": {"a": {"fields": ["nickname"]}}}, "unknown field 'nickname'"),
        ({"groups": {"a": {"fields": ["city"], "needs": ["street"]}}}, "`needs` names 'street'"),
        ({"groups": {"a": {"fields": ["city"]}, "b": {"fields": ["city"]}}}, "groups 'a' and 'b'"),
        ({"trust": {"crm": "high"}}, "trust.crm"),
    ],
)
def test_what_is_unknown_is_refused_by_name(given: dict[str, object], found: str) -> None:
    with pytest.raises(BadContract, match=r"^survivorship\.yaml: ") as error:
        Survivorship.of(given, "survivorship.yaml")
    assert found in str(error.value)
