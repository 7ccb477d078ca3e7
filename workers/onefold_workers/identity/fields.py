"""What can be compared about two records of people: a pure description, derived from the columns at hand.

Each field has levels of likeness. Level 0 is "missing on a side" (neutral), 1 is "different", the highest is
"same". A field belongs to a group, because evidence within a group is not independent:

- `person`: what is a person's own (given name, birth date, email, identifiers);
- `family`: what relatives share (family name);
- `address`: what a household shares and what changes as a whole when people move;
- `attribute`: what is neither (a birth place, an occupation): weak evidence, which relatives may share.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Group = Literal["person", "family", "address", "attribute"]


@dataclass(frozen=True)
class Field:
    """One comparison: which column, how it is compared, and what is believed before anything is learned.

    `compare`: name of the comparison in `comparison.py`. `match`: share of true pairs expected at each level
    from 1 (different) up; `shared`: share of unrelated members of a household who have the same value.
    `bounds`: least and greatest match weight (bits) it may give. `implied_by`: finer fields whose agreement
    makes this one's agreement uninformative. `differs`: the most of one person's pairs that may be different in it;
    where more are, what was learned is not a person but a family.
    """

    name: str
    compare: str
    group: Group
    match: tuple[float, ...]
    random: tuple[float, ...]
    shared: float = 0.0
    bounds: tuple[float, float] = (-12.0, 40.0)
    implied_by: tuple[str, ...] = ()
    differs: float = 1.0

    @property
    def levels(self) -> int:
        """Number of levels with 0, the missing one."""
        return len(self.match) + 1


_NAME_RANDOM = (0.97, 0.012, 0.004, 0.003, 0.002, 0.009)
_GIVEN = Field(
    "given_name", "given", "person", (0.06, 0.02, 0.02, 0.06, 0.06, 0.78), _NAME_RANDOM, shared=0.01, differs=0.3
)
_FAMILY = Field("family_name", "family", "family", (0.05, 0.02, 0.03, 0.05, 0.05, 0.80), _NAME_RANDOM)
_BIRTH_MATCH, _BIRTH_RANDOM = (0.03, 0.02, 0.03, 0.07, 0.85), (0.976, 0.014, 0.007, 0.002, 0.001)
_BIRTH = Field("birth_date", "date", "person", _BIRTH_MATCH, _BIRTH_RANDOM, shared=0.01, differs=0.3)

FIELDS: tuple[Field, ...] = (
    _GIVEN,
    _FAMILY,
    Field("middle_name", "rest", "person", (0.25, 0.15, 0.60), (0.94, 0.04, 0.02), shared=0.3, bounds=(-3, 8)),
    _BIRTH,
    Field("gender", "same", "person", (0.03, 0.97), (0.5, 0.5), bounds=(-4, 1), implied_by=("given_name",)),
    Field("email", "email", "person", (0.20, 0.03, 0.03, 0.06, 0.68), (0.9978, 0.001, 0.0008, 0.0001, 0.0003), 0.1),
    Field("phone", "phone", "person", (0.25, 0.05, 0.70), (0.998, 0.0012, 0.0008), 0.3),
    Field("house_number", "number", "address", (0.12, 0.06, 0.82), (0.92, 0.06, 0.02)),
    Field("street", "street", "address", (0.10, 0.05, 0.10, 0.75), (0.99, 0.007, 0.0015, 0.0015)),
    Field("address_line2", "street", "address", (0.25, 0.05, 0.10, 0.60), (0.98, 0.01, 0.003, 0.007)),
    Field("postcode", "postcode", "address", (0.08, 0.06, 0.06, 0.80), (0.965, 0.025, 0.007, 0.003)),
    Field("city", "place", "address", (0.12, 0.08, 0.80), (0.97, 0.01, 0.02), implied_by=("postcode",)),
    Field("region", "same", "address", (0.06, 0.94), (0.75, 0.25), implied_by=("postcode", "city")),
    Field("country", "same", "address", (0.03, 0.97), (0.5, 0.5), implied_by=("postcode", "city", "region")),
    Field("organisation", "place", "address", (0.40, 0.10, 0.50), (0.985, 0.008, 0.007)),
)
MAX_FIELDS = 21
_BY_NAME = {f.name: f for f in FIELDS}
IDENTIFIER = "external_id:"
ATTRIBUTE = "attribute:"


def field_of(name: str) -> Field:
    """The field of a column: a semantic kind, `external_id:<scheme>`, or `attribute:<name>`."""
    if name.startswith(IDENTIFIER):
        return Field(name, "identifier", "person", (0.08, 0.07, 0.85), (0.9994, 0.0003, 0.0003), bounds=(-7, 60))
    if name.startswith(ATTRIBUTE):
        return Field(name, "place", "attribute", (0.30, 0.10, 0.60), (0.88, 0.03, 0.09), bounds=(-2.5, 7))
    return _BY_NAME[name]


def derive(columns: Iterable[str]) -> tuple[Field, ...]:
    """Fields for the columns that hold anything, in a fixed order: identifiers, kinds, attributes.

    At most `MAX_FIELDS`, as many as a packed pattern holds: attributes, the weakest, are left out first.
    """
    have = set(columns)
    kinds = [f for f in FIELDS if f.name in have]
    identifiers = [field_of(c) for c in sorted(c for c in have if c.startswith(IDENTIFIER))]
    attributes = [field_of(c) for c in sorted(c for c in have if c.startswith(ATTRIBUTE))]
    return (*identifiers, *kinds, *attributes)[:MAX_FIELDS]
