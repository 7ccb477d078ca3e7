"""Data contracts: what a source sends and what its columns mean.

A contract is an ODCS 3.1 document whose `onefold` custom properties say the rest. `read()` checks it
against the standard's JSON schema, the standard's model, and our own; every error names file and key.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow as pa
import yaml
from open_data_contract_standard.model import CustomProperty, OpenDataContractStandard, SchemaProperty
from pydantic import ValidationError

from onefold_storage.contract_rules import ColumnRules, DerivedRule, MapRules, SourceRules
from onefold_storage.errors import BadContract
from onefold_storage.schema import TIMESTAMP

PROPERTY = "onefold"
_IDENTIFYING = ("email", "phone", "external_ids")
_NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")
_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": TIMESTAMP,
    "time": pa.string(),
    "object": pa.string(),
    "array": pa.string(),
    "map": pa.string(),
}


@dataclass(frozen=True)
class ContractColumn:
    """One column that the source promises."""

    name: str
    type: pa.DataType
    logical_type: str
    required: bool
    primary_key: bool
    rules: ColumnRules


@dataclass(frozen=True)
class Contract:
    """A validated data contract. `id` names the source and its table `bronze/<id>`."""

    id: str
    version: str
    description: str
    columns: tuple[ContractColumn, ...]
    rules: SourceRules
    text: str

    @property
    def bronze(self) -> str:
        """The name of its bronze table."""
        return f"bronze/{self.id}"

    @property
    def primary_key(self) -> tuple[str, ...]:
        """Columns of the primary key, in order; empty where the contract has none."""
        return tuple(c.name for c in self.columns if c.primary_key)

    @cached_property
    def arrow(self) -> pa.Schema:
        """Arrow schema of what the source sends, without the lake's own columns."""
        return pa.schema([pa.field(c.name, c.type) for c in self.columns])

    @cached_property
    def by_name(self) -> dict[str, ContractColumn]:
        """Its columns by name."""
        return {c.name: c for c in self.columns}

    @cached_property
    def maps(self) -> tuple[MapRules, ...]:
        """Its maps; a source with personal columns and no map for them gets one to contact records."""
        declared = self.rules.maps
        if any(m.table == "contact_records" for m in declared) or not self.kinds:
            return declared
        return (MapRules(table="contact_records"), *declared)

    @cached_property
    def mapped(self) -> dict[str, ContractColumn]:
        """Every column that maps may name: those that the source sends, and those derived from them."""
        return self.by_name | {name: _derived(name, rule) for name, rule in self.rules.derived.items()}

    @cached_property
    def kinds(self) -> dict[str, str]:
        """Semantic kind by column, for the columns that have one; derived ones too."""
        return {c.name: c.rules.kind for c in self.mapped.values() if c.rules.kind}

    @cached_property
    def taken(self) -> dict[str, DerivedRule]:
        """What is taken out of columns, by name: the derived columns, and contact points that a map takes itself.

        Only the former have a name that maps may use.
        """
        found = dict(self.rules.derived)
        for at, rules in enumerate(self.rules.maps):
            for field in _IDENTIFYING if rules.table == "contact_records" else ():
                rule = rules.fields.get(field)
                if rule is None or rule.column is None or rule.column not in self.by_name:
                    continue
                kind = "external_id" if field == "external_ids" else field
                own = self.by_name[rule.column].rules.scheme
                scheme = (own or rule.column) if kind == "external_id" else None
                facts = rule.model_dump(exclude={"unit", "constant", "prefix"})
                found[f"_{at}.{field}"] = DerivedRule.model_construct(**facts, kind=kind, scheme=scheme)
        return found

    def with_country(self, country: str | None) -> Contract:
        """The same, with the workspace's country where it names none."""
        if country is None or self.rules.country is not None:
            return self
        return replace(self, rules=self.rules.model_copy(update={"country": country}))

    @property
    def digest(self) -> str:
        """SHA-256 of what decides how bronze becomes silver: a changed one maps the source anew."""
        facts = [[c.name, c.logical_type, c.rules.model_dump(mode="json")] for c in self.columns]
        rules = self.rules.model_dump(
            mode="json", include={"maps", "derived", "timezone", "locale", "country", "currency", "lawful_basis"}
        )
        return hashlib.sha256(json.dumps([facts, rules], sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=1)
def _standard() -> jsonschema.Draft201909Validator:
    text = (resources.files("open_data_contract_standard") / "schema.json").read_text()
    return jsonschema.Draft201909Validator(json.loads(text))


def read(path: Path) -> Contract:
    """Read and check the contract in a file.

    Raises:
        BadContract: missing, not ODCS, or says something unknown; the message names file and key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadContract(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise BadContract(f"{path}: expected UTF-8, found another encoding at byte {error.start}") from error
    return parse(text, str(path))


@lru_cache(maxsize=1000)
def parse(text: str, where: str) -> Contract:
    """Check the contract in `text`; `where` is how errors name it. The same text is checked once in a process.

    Raises:
        BadContract: as `read`.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadContract(f"{where}: not valid YAML: {_of_yaml(error)}") from error
    if not isinstance(document, dict):
        raise BadContract(f"{where}: expected an ODCS data contract, found {type(document).__name__}")
    errors = sorted(_standard().iter_errors(document), key=lambda e: (len(e.path), str(e.path)))
    if errors:
        at = ".".join(str(p) for p in errors[0].absolute_path) or "the document"
        raise BadContract(f"{where}: {at}: {errors[0].message[:300]}")  # one fault makes several of these
    try:
        odcs = OpenDataContractStandard.model_validate(document)
    except ValidationError as error:
        raise BadContract(_each(error, f"{where}: ")) from error
    return _contract(odcs, text, where)


def _contract(odcs: OpenDataContractStandard, text: str, where: str) -> Contract:
    source = odcs.id or ""
    if not _NAME.match(source):
        raise BadContract(f"{where}: id: expected lower-case letters, digits and _, found {source!r}")
    objects = odcs.schema_ or []
    if len(objects) != 1:
        raise BadContract(f"{where}: schema: expected one object (one contract a source), found {len(objects)}")
    given = _rules(odcs.customProperties, f"{where}: customProperties")
    if given is None:
        raise BadContract(f"{where}: customProperties: expected a property `{PROPERTY}` that says how to read it")
    rules, columns = _checked(given, objects[0].properties or [], where)
    names = [c.name for c in columns]
    twice = {n for n in names if names.count(n) > 1}
    if not columns or twice:
        problem = f"declared twice: {', '.join(sorted(twice))}" if twice else "expected columns, found none"
        raise BadContract(f"{where}: schema.properties: {problem}")
    _check_derived(rules, set(names), where)
    _check_references(rules, {*names, *rules.derived}, where)
    if rules.delivery != "append" and not any(c.primary_key for c in columns):
        raise BadContract(
            f"{where}: {PROPERTY}.delivery: {rules.delivery} needs a primary key to tell what changed"
        )
    description = (odcs.description.purpose if odcs.description else None) or odcs.name or source
    return Contract(source, odcs.version or "0", description, columns, rules, text)


def _checked(
    given: dict[str, Any], properties: list[SchemaProperty], where: str
) -> tuple[SourceRules, tuple[ContractColumn, ...]]:
    """The source's rules and its columns; what is wrong with any of them is told together, a line each."""
    rules: SourceRules | None = None
    columns: list[ContractColumn] = []
    wrong: list[str] = []
    try:
        rules = SourceRules.model_validate(given)
    except ValidationError as error:
        wrong.append(_each(error, f"{where}: {PROPERTY}."))
    for prop in properties:
        try:
            columns.append(_column(prop, where))
        except BadContract as error:
            wrong.append(str(error))
    if wrong or rules is None:
        raise BadContract("\n".join(wrong))
    return rules, tuple(columns)


def _column(prop: SchemaProperty, where: str) -> ContractColumn:
    name = prop.name or ""
    logical = prop.logicalType or "string"
    if not name or name.startswith("_"):
        raise BadContract(f"{where}: schema.properties: name {name!r} is empty or starts with `_`")
    if logical not in _TYPES:
        raise BadContract(f"{where}: {name}: logicalType {logical!r} is not supported")
    try:
        rules = ColumnRules.model_validate(_rules(prop.customProperties, f"{where}: {name}") or {})
    except ValidationError as error:
        raise BadContract(_each(error, f"{where}: {name}: {PROPERTY}.")) from error
    return ContractColumn(
        name,
        _arrow_type(logical, prop.physicalType),
        logical,
        bool(prop.required or prop.primaryKey),
        bool(prop.primaryKey),
        rules,
    )


def _arrow_type(logical: str, physical: str | None) -> pa.DataType:
    decimal = re.fullmatch(r"(?:decimal|numeric)\((\d+),\s*(\d+)\)", (physical or "").lower())
    if logical == "number" and decimal:
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    return _TYPES[logical]


def _rules(properties: list[CustomProperty] | None, where: str) -> dict[str, Any] | None:
    found = [p.value for p in properties or [] if p.property == PROPERTY]
    if not found:
        return None
    if len(found) > 1 or not isinstance(found[0], dict):
        raise BadContract(f"{where}: expected one `{PROPERTY}` property with a mapping as its value")
    return found[0]


def _derived(name: str, rule: DerivedRule) -> ContractColumn:
    own = ColumnRules(
        kind=rule.kind, scheme=rule.scheme, format=rule.format, locale=rule.locale, timezone=rule.timezone,
        attribute=rule.attribute,
    )  # fmt: skip
    return ContractColumn(name, pa.string(), "string", False, False, own)


def _check_derived(rules: SourceRules, names: set[str], where: str) -> None:
    for name, rule in rules.derived.items():
        if name in names or not name or name.startswith("_"):
            raise BadContract(
                f"{where}: {PROPERTY}.derived: {name!r} is a column already, empty, or starts with `_`"
            )
        if rule.column not in names:
            raise BadContract(f"{where}: {PROPERTY}.derived.{name}: no such column: {rule.column}")


def _check_references(rules: SourceRules, names: set[str], where: str) -> None:
    for i, m in enumerate(rules.maps):
        used = {*m.key, *m.payload, *(m.contact.key if m.contact else ())}
        used |= {f.column for f in m.fields.values() if f.column} | ({m.effective_at} if m.effective_at else set())
        missing = sorted(used - names)
        if missing:
            raise BadContract(f"{where}: {PROPERTY}.maps.{i}: no such column: {', '.join(missing)}")


def _each(error: ValidationError, before: str) -> str:
    """What is wrong, a line each."""
    details = error.errors(include_url=False, include_input=False)
    places = [".".join(str(p) for p in d["loc"]) or "value" for d in details]
    return "\n".join(f"{before}{at}: {d['msg']}" for at, d in zip(places, details, strict=True))


def _of_yaml(error: yaml.YAMLError) -> str:
    """Line and column, and what the parser missed there, in as few of its own words as will do."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return " ".join(str(error).split())
