"""Survivorship rules: which record wins a field of the golden record. Descriptions; `profiles.py` carries them out.

A person writes them in the workspace's `survivorship.yaml`:

    default: [most_trusted, most_recent, most_complete]
    fields:
      email: [most_recent, most_trusted]
      attributes.frequency: [most_recent]
    groups:
      address:
        fields: [house_number, street, city, postcode]
        needs: [street, city]
        rules: [most_recent]
    trust: {crm_contacts: 80}

The first rule decides, each further one breaks the ties of those before it, and the record key the last ones.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from onefold_storage.declared import Declared
from onefold_storage.schema import PERSON

Rule = Literal["most_trusted", "most_recent", "most_frequent", "most_complete", "longest"]
"""most_trusted: the source with the highest `trust`. most_recent: the latest `effective_at`. most_frequent: the
value that most of the customer's records have. most_complete: the record with the most fields (of a group: with the
most of its fields). longest: the longest text."""
Rules = tuple[Rule, ...]
PERSON_FIELDS = tuple(c.name for c in PERSON)
ATTRIBUTES = "attributes"
EXTERNAL_IDS = "external_ids"
TRUST = 50
"""Trust of a source that nothing is said about, from 0 to 100."""


class Group(Declared):
    """Fields that one record wins together, so that no address is made of two.

    `needs`: records that have all of these come before those that do not (a bare postcode wins no address).
    """

    fields: tuple[str, ...] = Field(min_length=1)
    needs: tuple[str, ...] = ()
    rules: Rules | None = None

    @model_validator(mode="after")
    def _known(self) -> Group:
        for name in self.fields:
            if name not in PERSON_FIELDS:
                raise ValueError(f"unknown field {name!r}; known are {', '.join(PERSON_FIELDS)}")
        for name in self.needs:
            if name not in self.fields:
                raise ValueError(f"`needs` names {name!r}, which is not among the group's fields")
        return self


_NAME = Group(fields=("given_name", "family_name"), needs=("given_name", "family_name"))
_ADDRESS = Group(
    fields=("house_number", "street", "address_line2", "city", "region", "postcode", "country"),
    needs=("street", "city"),
    rules=("most_recent", "most_complete", "most_trusted"),
)


class Survivorship(Declared):
    """Rules for every field: those of its group, else its own, else the default.

    `fields` may name a person's fields, `external_ids` (their order), `attributes` (all further attributes) and
    `attributes.NAME`. `trust`: trust by source.
    """

    default: Rules = Field(default=("most_trusted", "most_recent", "most_complete"), min_length=1)
    fields: dict[str, Rules] = Field(default_factory=dict)
    groups: dict[str, Group] = Field(default_factory=lambda: {"name": _NAME, "address": _ADDRESS})
    trust: dict[str, int] = Field(default_factory=dict)

    @field_validator("fields")
    @classmethod
    def _fields_known(cls, value: dict[str, Rules]) -> dict[str, Rules]:
        for name, rules in value.items():
            if name not in (*PERSON_FIELDS, EXTERNAL_IDS, ATTRIBUTES) and not name.startswith(f"{ATTRIBUTES}."):
                raise ValueError(
                    f"unknown field {name!r}; known are {', '.join(PERSON_FIELDS)}, external_ids, attributes and"
                    " attributes.NAME"
                )
            if not rules:
                raise ValueError(f"{name}: expected at least one rule")
        return value

    @model_validator(mode="after")
    def _each_once(self) -> Survivorship:
        seen: dict[str, str] = {}
        for label, group in self.groups.items():
            for name in group.fields:
                if name in seen:
                    raise ValueError(f"field {name!r} stands in the groups {seen[name]!r} and {label!r}")
                if name in self.fields:
                    raise ValueError(
                        f"field {name!r} has rules of its own and stands in the group {label!r}; keep one"
                    )
                seen[name] = label
        return self

    def rules_of(self, field: str) -> Rules:
        """The chain of rules that decides a field outside groups."""
        if field in self.fields:
            return self.fields[field]
        if field.startswith(f"{ATTRIBUTES}."):
            return self.fields.get(ATTRIBUTES, self.default)
        return self.default

    def units(self) -> tuple[Group, ...]:
        """Every field once: the groups as they are, each other field as a group of one; each with its rules."""
        grouped = {name for group in self.groups.values() for name in group.fields}
        groups = [g.model_copy(update={"rules": g.rules or self.default}) for g in self.groups.values()]
        single = [Group(fields=(f,), rules=self.rules_of(f)) for f in PERSON_FIELDS if f not in grouped]
        return (*groups, *single)
