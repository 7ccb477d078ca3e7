"""The canonical tables, once: their columns, their types and which of them hold personal data.

One declaration yields the Arrow schema, the checks at the write, the statistics a table may keep
and the registry of places (`places.py`). A table's name carries its layer: `silver/interactions`.

Silver tables hold versions, and are appended to: a record that changed, came again or was deleted is a further row of
its `record_key`. What stands is the last by `effective_at`, package and row, unless that one deletes (`as_of.py`).
"""

from __future__ import annotations

import pyarrow as pa

from onefold_storage.identity_tables import (
    EDGES,
    EVIDENCE,
    GOLDEN_ID,
    HISTORY,
    HISTORY_EDGES,
    HOUSEHOLDS,
    IDENTITY,
    LINKS,
    MARKS,
    OVERRIDES,
)
from onefold_storage.tables import TIMESTAMP, Column, Table
from onefold_storage.tables import moment as _time
from onefold_storage.tables import text as _text

__all__ = [
    "EDGES",
    "EVIDENCE",
    "HISTORY",
    "HISTORY_EDGES",
    "HOUSEHOLDS",
    "IDENTITY",
    "LINKS",
    "MARKS",
    "OVERRIDES",
    "TIMESTAMP",
    "Column",
    "Table",
]

MONEY = pa.decimal128(18, 4)
EXTERNAL_IDS = pa.list_(pa.struct([("scheme", pa.string()), ("value", pa.string())]))
ADDRESS = ("house_number", "street", "address_line2", "city", "region", "postcode", "country")
"""The fields of an address."""
ADDRESSES = pa.list_(pa.struct([(name, pa.string()) for name in ADDRESS]))
REASONS = pa.list_(
    pa.struct([("feature", pa.string()), ("value", pa.string()), ("effect", pa.float64()), ("text", pa.string())])
)


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

CUSTOMERS = Table(
    "gold/customers",
    "One golden record per customer, with the winning source per field.",
    (
        GOLDEN_ID,
        *PERSON,
        Column("external_ids", EXTERNAL_IDS, "every identifier of the customer", personal=True),
        Column("emails", pa.list_(pa.string()), "every email, the winner first", personal=True),
        Column("phones", pa.list_(pa.string()), "every phone, the winner first", personal=True),
        Column("addresses", ADDRESSES, "every address, the winner first", personal=True),
        _text("attributes", "further attributes as a JSON object", personal=True),
        _text("provenance", "JSON object: field to the record key it came from", personal=True),
        Column("overridden", pa.list_(pa.string()), "fields that a person set"),
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
        GOLDEN_ID,
        _text("trait", "its name", required=True),
        Column("number", pa.float64(), "value where it is a number"),
        _text("text", "value where it is text; a workspace's own trait may name a person", personal=True),
        _time("as_of", "the cut-off", required=True),
    ),
)
SEGMENTS = Table(
    "gold/segments",
    "Membership of segments.",
    (GOLDEN_ID, _text("segment", "its name", required=True), _time("as_of", "the cut-off", required=True)),
)
_MODEL = (
    _text("model", "its name", required=True),
    _text("model_version", "registry version", required=True),
)
SCORES = Table(
    "gold/scores",
    "One row per customer and model.",
    (
        GOLDEN_ID,
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
        GOLDEN_ID,
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
        GOLDEN_ID,
        _text("data_use", "the purpose", required=True),
        _text("channel", "the channel", required=True),
        Column("allowed", pa.bool_(), "true only where it is lawful", required=True),
        _text("lawful_basis", "the basis relied on"),
        _text(
            "reason",
            "granted, denied, revoked, no_consent, no_contact_point, no_purpose, objection, …",
            required=True,
        ),
        Column(
            "contact_points",
            pa.list_(pa.string()),
            "the emails or phone numbers that may be used, sorted; null where the channel goes to none",
            personal=True,
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
