"""What a data contract's `onefold` custom properties may say: the models behind them.

A person writes these in YAML; `contracts.py` turns them, with the rest of the ODCS contract, into a `Contract`.
Unknown keys are errors, so that a misspelt rule is never silently ignored.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from onefold_storage.contract_fields import (
    KINDS,
    PERSON_KINDS,
    DerivedRule,
    FieldRule,
    Format,
    Rules,
    kind_fits,
    locale_name,
    shorthand,
    zone_name,
)
from onefold_storage.schema import SILVER
from onefold_storage.sending import SENT, problem_of

__all__ = [
    "KINDS",
    "PERSON_KINDS",
    "ColumnRules",
    "ContactRule",
    "DerivedRule",
    "FieldRule",
    "LawfulBasis",
    "MapRules",
    "Rules",
    "SourceRules",
]

LawfulBasis = Literal[
    "consent", "contract", "legitimate_interest", "legal_obligation", "vital_interests", "public_task"
]

_SENT = ", ".join(f"`connector: {name}`" for name in SENT)


class ColumnRules(Rules):
    """What one column means.

    `kind`: the semantic kind, or `external_id` with a `scheme` such as `loyalty_card`.
    `format`: how dates and times are written, in strftime terms; without it ISO 8601 is expected. Of a list of them
    the first that reads a value counts.
    Three columns of kind `birth_date` with `%Y`, `%m` and `%d` are one date of birth.
    `locale`, `timezone`: how its numbers and times are written, where that is not as in the rest of the source.
    `values`: a map from what the source writes to what is meant.
    `attribute`: keep it as a further attribute of the contact record.
    """

    kind: str | None = None
    scheme: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]*$")
    format: Format | None = None
    locale: str | None = None
    timezone: str | None = None
    values: dict[str, str | None] | None = None
    attribute: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> ColumnRules:
        kind_fits(self.kind, self.scheme)
        locale_name(self.locale)
        if self.timezone is not None:
            zone_name(self.timezone)
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
        return shorthand(value)

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
    that are sent over HTTP (`connector: http`, `tracking`, `webhook`; `sending.py`) have none.
    `durability`: of events sent over HTTP: answered when they are in the write-ahead log, or in storage.
    `timezone`, `locale`, `currency`, `country`: how times, numbers, amounts and phones are meant that do not say it.
    `derived`: columns that the source does not send but that its maps use by name.
    `may_be_away`: its server is not always there (a shop's gateway, a partner's office hours). Where it does not
    answer the run notes it and goes on; `freshness` says when it has been away for too long.
    `may_be_empty`: a snapshot without rows is meant, and deletes all that stood; else it is held, as a broken export.
    `trust`: 0 to 100; survivorship prefers the more trusted source.
    """

    connector: str = "files"
    location: str = Field(default="", validate_default=True)
    options: dict[str, Any] = Field(default_factory=dict, validate_default=True)
    delivery: Literal["append", "snapshot", "changes"] = "append"
    durability: Literal["log", "storage"] = "log"
    lawful_basis: LawfulBasis
    data_use: tuple[str, ...] = Field(min_length=1)
    freshness: timedelta = timedelta(days=1)
    may_be_away: bool = False
    may_be_empty: bool = False
    retention: timedelta | None = None
    timezone: str = "UTC"
    locale: str | None = None
    country: str | None = Field(default=None, pattern=r"^[A-Z]{2}$")
    currency: str | None = Field(default=None, pattern=r"^[A-Z]{3}$")
    trust: int = Field(default=50, ge=0, le=100)
    generated: bool = False
    derived: dict[str, DerivedRule] = Field(default_factory=dict)
    maps: tuple[MapRules, ...] = ()

    @field_validator("location", "delivery", "durability")
    @classmethod
    def _of_the_connector(cls, value: str, info: ValidationInfo) -> str:
        sent = info.data.get("connector") in SENT
        if info.field_name == "location" and sent == bool(value):
            raise ValueError(f"Field required, but for {_SENT}, which read nowhere and have none")
        if info.field_name == "delivery" and sent and value != "append":
            raise ValueError("events that are sent over HTTP are appended; expected `append`")
        if info.field_name == "durability" and value != "log":
            if not sent:
                raise ValueError(f"goes with {_SENT}, and only with them")
            if info.data.get("connector") == "tracking":
                raise ValueError("tracking is answered when its events are in the log; expected `log`")
        return value

    @field_validator("options")
    @classmethod
    def _of_events(cls, value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        problem = problem_of(str(info.data.get("connector")), value)
        if problem:
            raise ValueError(problem)
        return value

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        return zone_name(value)

    @field_validator("locale")
    @classmethod
    def _locale(cls, value: str | None) -> str | None:
        return locale_name(value)
