"""The canonical tables, once: their columns, their types and which of them hold personal data.

One declaration yields the Arrow schema, the checks at the write, the statistics a table may keep
and the registry of places (`places.py`). A table's name carries its layer: `silver/interactions`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa

TIMESTAMP = pa.timestamp("us", tz="UTC")
MONEY = pa.decimal128(18, 4)
EXTERNAL_IDS = pa.list_(pa.struct([("scheme", pa.string()), ("value", pa.string())]))
REASONS = pa.list_(
    pa.struct([("feature", pa.string()), ("value", pa.string()), ("effect", pa.float64()), ("text", pa.string())])
)


@dataclass(frozen=True)
class Column:
    """One column: name, Arrow type, what it means, and whether it can identify a person."""

    name: str
    type: pa.DataType
    doc: str
    personal: bool = False
    required: bool = False


@dataclass(frozen=True)
class Table:
    """One table of the lake: `name` is its path under the lake's root, layer first."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    partition_by: tuple[str, ...] = field(default=())

    @cached_property
    def arrow(self) -> pa.Schema:
        """The Arrow schema that every write must have, in this order."""
        return pa.schema([pa.field(c.name, c.type, nullable=True) for c in self.columns])

    @property
    def required(self) -> tuple[str, ...]:
        """Columns that may not be null."""
        return tuple(c.name for c in self.columns if c.required)

    @property
    def personal(self) -> tuple[str, ...]:
        """Columns that can identify a person; they are kept out of statistics and predicates."""
        return tuple(c.name for c in self.columns if c.personal)

    @property
    def statistics(self) -> tuple[str, ...]:
        """Columns whose minimum and maximum may stand in the log: flat and not personal."""
        flat = (c for c in self.columns if not c.personal and not pa.types.is_nested(c.type))
        return tuple(c.name for c in flat if c.name not in self.partition_by)


def _text(name: str, doc: str, *, personal: bool = False, required: bool = False) -> Column:
    return Column(name, pa.string(), doc, personal, required)


def _time(name: str, doc: str, *, required: bool = False) -> Column:
    return Column(name, TIMESTAMP, doc, required=required)


_RECORD = (
    _text("record_key", "source and the source's own key: `source:key`", personal=True, required=True),
    _text("source", "the data contract's id", required=True),
    _text("package_id", "the load package that brought the row", required=True),
    Column("row_id", pa.int64(), "the row's place in its package, from 0", required=True),
    _time("effective_at", "when what the row says took effect", required=True),
    Column("deleted", pa.bool_(), "the source deleted the record", required=True),
)
_CONTACT = _text("contact_key", "record key of the contact record it belongs to", personal=True)

# A person's attributes by semantic kind: the words of data contracts, cleaning and identity resolution.
PERSON = (
    _text("given_name", "first name", personal=True),
    _text("middle_name", "middle names or initials", personal=True),
    _text("family_name", "last name", personal=True),
    _text("full_name", "the whole name where the source has one column", personal=True),
    Column("birth_date", pa.date32(), "date of birth", personal=True),
    _text("gender", "f, m or x", personal=True),
    _text("email", "address in lower case, standardised", personal=True),
    _text("phone", "E.164 where the number is valid, else its digits", personal=True),
    _text("house_number", "number in the street", personal=True),
    _text("street", "street or first address line", personal=True),
    _text("address_line2", "building, flat or second address line", personal=True),
    _text("city", "city or suburb", personal=True),
    _text("region", "state or province", personal=True),
    _text("postcode", "postal code", personal=True),
    _text("country", "ISO 3166 alpha-2", personal=True),
    _text("organisation", "employer or company", personal=True),
)

CONTACT_RECORDS = Table(
    "silver/contact_records",
    "One row per version of a record about a person.",
    (
        *_RECORD,
        *PERSON,
        Column("external_ids", EXTERNAL_IDS, "identifiers by scheme, such as loyalty_card", personal=True),
        _text("attributes", "further attributes of the record as a JSON object", personal=True),
    ),
    ("source",),
)
ACCOUNTS = Table(
    "silver/accounts",
    "Organisations.",
    (
        *_RECORD,
        _text("name", "the organisation's name", personal=True),
        _text("industry", "line of business"),
        _text("domain", "internet domain", personal=True),
        _text("city", "city"),
        _text("country", "ISO 3166 alpha-2"),
        _text("attributes", "further attributes as a JSON object", personal=True),
    ),
    ("source",),
)
RELATIONS = Table(
    "silver/relations",
    "Relations between records: person, household, organisation, referral.",
    (
        *_RECORD,
        _text("from_key", "record key of one end", personal=True, required=True),
        _text("to_key", "record key of the other end", personal=True, required=True),
        _text("kind", "works_for, household, referred, …", required=True),
    ),
    ("source",),
)
INTERACTIONS = Table(
    "silver/interactions",
    "Anything that happened between a customer and the business.",
    (
        *_RECORD,
        _CONTACT,
        _text("kind", "purchase, campaign_sent, coupon_redeemed, page_view, …", required=True),
        _text("channel", "store, web, email, phone, post, …"),
        _text("item_key", "record key of the item"),
        Column("quantity", pa.float64(), "how many"),
        Column("amount", MONEY, "money paid, in `currency`"),
        _text("currency", "ISO 4217"),
        _text("related_key", "basket, campaign or case it belongs to", personal=True),
        _text("payload", "the rest as a JSON object", personal=True),
    ),
    ("source",),
)
CASES = Table(
    "silver/cases",
    "What has a state over time: deal, quote, order, invoice, contract, ticket.",
    (
        *_RECORD,
        _CONTACT,
        _text("account_key", "record key of the account", personal=True),
        _text("kind", "deal, quote, order, invoice, contract, ticket", required=True),
        _text("state", "the state it entered at effective_at"),
        _text("subject", "what it is about", personal=True),
        Column("amount", MONEY, "value, in `currency`"),
        _text("currency", "ISO 4217"),
        _time("opened_at", "when it was opened"),
        _time("closed_at", "when it was closed"),
        _text("payload", "the rest as a JSON object", personal=True),
    ),
    ("source",),
)
ITEMS = Table(
    "silver/items",
    "Products, services, devices.",
    (
        *_RECORD,
        _text("kind", "product, service, device, campaign"),
        _text("name", "what people call it"),
        _text("category", "the category offers are made in"),
        _text("department", "the level above"),
        _text("brand", "brand"),
        _text("attributes", "further attributes as a JSON object"),
    ),
    ("source",),
)
CONSENTS = Table(
    "silver/consents",
    "What a person allowed or forbade, on a contact point or a record.",
    (
        *_RECORD,
        _text("subject_kind", "record, email, phone or an external ID's scheme", required=True),
        _text("subject", "the record key, or the standardised contact point", personal=True, required=True),
        _text("data_use", "the purpose, such as marketing", required=True),
        _text("channel", "email, phone, sms, post, … or `any`", required=True),
        _text(
            "state", "GRANTED, DENIED or REVOKED; of no meaning in a deleted row: nothing is said", required=True
        ),
        _text("lawful_basis", "consent, contract, legitimate_interest, …"),
        _text("evidence", "where the wish was expressed", personal=True),
    ),
    ("source",),
)
DOCUMENTS = Table(
    "silver/documents",
    "Unstructured objects and what was read out of them.",
    (
        *_RECORD,
        _CONTACT,
        _text("object", "key of the object", required=True),
        _text("media_type", "IANA media type"),
        _text("text", "text the format holds", personal=True),
        _text("facts", "what was read as a JSON object", personal=True),
    ),
    ("source",),
)
SILVER = (CONTACT_RECORDS, ACCOUNTS, RELATIONS, INTERACTIONS, CASES, ITEMS, CONSENTS, DOCUMENTS)

_GOLDEN = _text("golden_id", "the customer, opaque", required=True)
LINKS = Table(
    "identity/links",
    "Which record belongs to which golden ID, and when.",
    (
        _text("record_key", "the record", personal=True, required=True),
        _GOLDEN,
        _time("valid_from", "from when", required=True),
        _time("valid_to", "until when; null is still so"),
    ),
)
EDGES = Table(
    "identity/edges",
    "Pairs of records with their match weight and what brought them together.",
    (
        _text("left_key", "one record", personal=True, required=True),
        _text("right_key", "the other", personal=True, required=True),
        Column("match_weight", pa.float64(), "log2 of the Bayes factor", required=True),
        Column("probability", pa.float64(), "match probability", required=True),
        _text("rule", "blocking rule that brought the pair together", required=True),
        _text("model_version", "identity model that weighed it", required=True),
    ),
)
EVIDENCE = Table(
    "identity/evidence",
    "People's decisions: must-link and cannot-link.",
    (
        _text("left_key", "one record", personal=True, required=True),
        _text("right_key", "the other", personal=True, required=True),
        _text("verdict", "must_link or cannot_link", required=True),
        _text("decided_by", "who", required=True),
        _text("reason", "why"),
        _time("decided_at", "when", required=True),
    ),
)
HISTORY = Table(
    "identity/history",
    "Every creation, merge and split of golden IDs; append only.",
    (
        _GOLDEN,
        _text("event", "created, merged or split", required=True),
        _text("other_id", "merged: the survivor; split: the new golden ID"),
        Column("records", pa.int64(), "records concerned"),
        _text("cause", "the identity model or the decision"),
        _time("happened_at", "when", required=True),
    ),
)
IDENTITY = (LINKS, EDGES, EVIDENCE, HISTORY)

CUSTOMERS = Table(
    "gold/customers",
    "One golden record per customer, with the winning source per field.",
    (
        _GOLDEN,
        *PERSON,
        Column("external_ids", EXTERNAL_IDS, "every identifier of the customer", personal=True),
        Column("emails", pa.list_(pa.string()), "every email, the winner first", personal=True),
        Column("phones", pa.list_(pa.string()), "every phone, the winner first", personal=True),
        _text("attributes", "further attributes as a JSON object", personal=True),
        _text("provenance", "JSON object: field to the record key it came from", personal=True),
        Column("records", pa.int64(), "contact records behind it", required=True),
        Column("sources", pa.list_(pa.string()), "sources behind it"),
        _time("first_seen", "earliest record or interaction"),
        _time("last_seen", "latest record or interaction"),
    ),
)
TRAITS = Table(
    "gold/traits",
    "Computed traits, one row per customer and trait.",
    (
        _GOLDEN,
        _text("trait", "its name", required=True),
        Column("number", pa.float64(), "value where it is a number"),
        _text("text", "value where it is text; a workspace's own trait may name a person", personal=True),
        _time("as_of", "the cut-off", required=True),
    ),
)
SEGMENTS = Table(
    "gold/segments",
    "Membership of segments.",
    (_GOLDEN, _text("segment", "its name", required=True), _time("as_of", "the cut-off", required=True)),
)
_MODEL = (
    _text("model", "its name", required=True),
    _text("model_version", "registry version", required=True),
)
SCORES = Table(
    "gold/scores",
    "One row per customer and model.",
    (
        _GOLDEN,
        *_MODEL,
        Column("score", pa.float64(), "probability, money or rank score: see the model", required=True),
        Column("rank", pa.int64(), "1 is the best"),
        Column("reasons", REASONS, "what moved the score most, largest first"),
        _time("as_of", "the cut-off its features were computed at", required=True),
        _text("run_id", "flow run that computed it"),
    ),
    ("model",),
)
OFFERS = Table(
    "gold/offers",
    "Next best offers, ranked per customer.",
    (
        _GOLDEN,
        *_MODEL,
        Column("rank", pa.int64(), "1 is the best", required=True),
        _text("offer", "item category", required=True),
        Column("score", pa.float64(), "probability of purchase in the horizon", required=True),
        Column("reasons", REASONS, "why this offer"),
        _time("as_of", "the cut-off", required=True),
        _text("run_id", "flow run that computed it"),
    ),
)
PERMISSIONS = Table(
    "gold/permissions",
    "Who may be contacted, for what, through which channel, and why not.",
    (
        _GOLDEN,
        _text("data_use", "the purpose", required=True),
        _text("channel", "the channel", required=True),
        Column("allowed", pa.bool_(), "true only where it is lawful", required=True),
        _text("lawful_basis", "the basis relied on"),
        _text(
            "reason",
            "granted, denied, revoked, no_consent, no_contact_point, no_purpose, objection, …",
            required=True,
        ),
    ),
)
GOLD = (CUSTOMERS, TRAITS, SEGMENTS, SCORES, OFFERS, PERMISSIONS)

FAILED_EVENTS = Table(
    "bronze/failed_events",
    "Bad rows as bytes, with the rule they broke.",
    (
        _text("source", "the data contract's id", required=True),
        _text("package_id", "the load package", required=True),
        Column("row_id", pa.int64(), "the row's place in its package, from 0", required=True),
        _text("origin", "file or table it came from", personal=True),
        _text("field", "the field at fault; null for the whole row"),
        _text("rule", "the rule broken", required=True),
        _text("message", "what was expected, without the value found", required=True),
        Column("raw", pa.binary(), "the row as it came", personal=True),
        _time("failed_at", "when", required=True),
    ),
    ("source",),
)
BRONZE_META = (
    _text("_package_id", "the load package", required=True),
    Column("_row_id", pa.int64(), "the row's place in its package, from 0", required=True),
    _time("_landed_at", "when", required=True),
    Column("_deleted", pa.bool_(), "the record has vanished from a snapshot", required=True),
    _text("_extra", "columns that the contract does not name, as a JSON object", personal=True),
)
DECLARATIONS = Table(
    "registry/declarations",
    "The workspace's declarations with their versions.",
    (
        _text("kind", "contract, feature, model, audience, survivorship, data_uses", required=True),
        _text("name", "its name", required=True),
        Column("version", pa.int64(), "grows by one with each change", required=True),
        _text("digest", "SHA-256 of the content", required=True),
        _text("content", "the file's text; null when the declaration was removed"),
        _time("registered_at", "when", required=True),
    ),
)
CAPACITY = Table(
    "registry/capacity",
    "Samples of the room that is taken, on which forecasts rest.",
    (
        _time("at", "when it was looked", required=True),
        _text("subject", "storage (all of it, after erasure coding), lake (its tables), or a table", required=True),
        Column("bytes", pa.int64(), "bytes taken", required=True),
        Column("rows", pa.int64(), "rows; null for storage"),
        Column("objects", pa.int64(), "objects, where known"),
        Column(
            "usable_bytes", pa.int64(), "bytes that storage has in all, after erasure coding; for storage alone"
        ),
    ),
)

TABLES: dict[str, Table] = {t.name: t for t in (FAILED_EVENTS, *SILVER, *IDENTITY, *GOLD, DECLARATIONS, CAPACITY)}
"""Tables with a fixed shape; `bronze/<source>` and `gold/features/<view>` take theirs from declarations."""
