"""What a data contract's `onefold` custom properties may say: the models behind them.

A person writes these in YAML; `contracts.py` turns them, with the rest of the ODCS contract, into a `Contract`.
Unknown keys are errors, so that a misspelt rule is never silently ignored.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from onefold_storage.schema import PERSON, SILVER

PERSON_KINDS = tuple(c.name for c in PERSON)
KINDS = (*PERSON_KINDS, "external_id")
"""Semantic kinds a column can have: a person's attributes, or an identifier with a scheme."""

LawfulBasis = Literal[
    "consent", "contract", "legitimate_interest", "legal_obligation", "vital_interests", "public_task"
]


class Rules(BaseModel):
    """Base: frozen, and no unknown key."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ColumnRules(Rules):
    """What one column means.

    `kind`: the semantic kind, or `external_id` with a `scheme` such as `loyalty_card`.
    `format`: how dates and times are written, in strftime terms; without it ISO 8601 is expected.
    `values`: a map from what the source writes to what is meant.
    `attribute`: keep it as a further attribute of the contact record.
    """

    kind: str | None = None
    scheme: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]*$")
    format: str | None = None
    values: dict[str, str | None] | None = None
    attribute: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> ColumnRules:
        if self.kind is not None and self.kind not in KINDS:
            raise ValueError(f"kind {self.kind!r} is unknown; known are {', '.join(KINDS)}")
        if (self.kind == "external_id") != (self.scheme is not None):
            raise ValueError("`scheme` goes with `kind: external_id`, and only with it")
        return self


class FieldRule(Rules):
    """Where one canonical field comes from: a column, or a constant; then a value map and a prefix.

    `prefix` makes the record key of another source's record: `products:` + the column's value.
    """

    column: str | None = None
    constant: str | float | bool | None = None
    values: dict[str, str | None] | None = None
    prefix: str | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> FieldRule:
        if (self.column is None) == (self.constant is None):
            raise ValueError("name either `column` or `constant`")
        return self


class ContactRule(Rules):
    """Which contact record a row belongs to: the record of `source` (this one, by default) with that key."""

    key: tuple[str, ...] = Field(min_length=1)
    source: str | None = None


class MapRules(Rules):
    """How rows become rows of one canonical table.

    `key`: columns that make the record key (the primary key, by default); where several rows share a key,
    the last one by `effective_at` stands. `effective_at`: a column, else the time of landing.
    `payload`: columns kept as a JSON object.
    """

    table: str
    key: tuple[str, ...] = ()
    contact: ContactRule | None = None
    effective_at: str | None = None
    fields: dict[str, FieldRule] = Field(default_factory=dict)
    payload: tuple[str, ...] = ()

    @field_validator("fields", mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {k: {"column": v} if isinstance(v, str) else v for k, v in value.items()}

    @model_validator(mode="after")
    def _known(self) -> MapRules:
        tables = {t.name.split("/", 1)[1]: t for t in SILVER}
        if self.table not in tables:
            raise ValueError(f"table {self.table!r} is unknown; known are {', '.join(tables)}")
        names = {c.name for c in tables[self.table].columns}
        for name in self.fields:
            if name not in names:
                raise ValueError(f"{self.table} has no field {name!r}; it has {', '.join(sorted(names))}")
        if self.contact and "contact_key" not in names:
            raise ValueError(f"{self.table} has no contact")
        if self.payload and not names & {"payload", "attributes"}:
            raise ValueError(f"{self.table} keeps no payload")
        return self


class SourceRules(Rules):
    """How a source is read, on what basis, and what its rows become.

    `data_use`: what people were told that their data is for; its contact points serve these uses alone, and those
    that somebody consents to.
    `delivery`: `append` (each package brings new rows), `snapshot` (each brings the whole table: rows that stand
    unchanged in the lake are repeated, new and changed ones land, missing ones have vanished) or `changes` (as
    `snapshot`, but what a package does not bring stands as it is).
    `location`: path, glob or URL, relative to the workspace; `${NAME}` reads the environment, for secrets. Events
    that are sent over HTTP (`connector: http`) have none.
    `durability`: of events sent over HTTP: answered when they are in the write-ahead log, or in storage.
    `may_be_away`: its server is not always there (a shop's gateway, a partner's office hours). Where it does not
    answer the run notes it and goes on; `freshness` says when it has been away for too long.
    `trust`: 0 to 100; survivorship prefers the more trusted source.
    """

    connector: str = "files"
    location: str = Field(default="", validate_default=True)
    options: dict[str, Any] = Field(default_factory=dict)
    delivery: Literal["append", "snapshot", "changes"] = "append"
    durability: Literal["log", "storage"] = "log"
    lawful_basis: LawfulBasis
    data_use: tuple[str, ...] = Field(min_length=1)
    freshness: timedelta = timedelta(days=1)
    may_be_away: bool = False
    retention: timedelta | None = None
    timezone: str = "UTC"
    country: str | None = Field(default=None, pattern=r"^[A-Z]{2}$")
    currency: str | None = Field(default=None, pattern=r"^[A-Z]{3}$")
    trust: int = Field(default=50, ge=0, le=100)
    generated: bool = False
    maps: tuple[MapRules, ...] = ()

    @field_validator("location", "delivery", "durability")
    @classmethod
    def _of_the_connector(cls, value: str, info: ValidationInfo) -> str:
        sent = info.data.get("connector") == "http"
        if info.field_name == "location" and sent == bool(value):
            raise ValueError("Field required, but for `connector: http`, which reads nowhere and has none")
        if info.field_name == "delivery" and sent and value != "append":
            raise ValueError("events that are sent over HTTP are appended; expected `append`")
        if info.field_name == "durability" and not sent and value != "log":
            raise ValueError("goes with `connector: http`, and only with it")
        return value

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError) as error:
            raise ValueError(f"time zone {value!r} is unknown; expected a name such as Europe/Berlin") from error
        return value
