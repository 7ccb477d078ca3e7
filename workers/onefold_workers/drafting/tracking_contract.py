"""The contract of a source of tracking events, whose columns are known before anything was sent."""

from __future__ import annotations

from onefold_storage import contracts
from onefold_workers.drafting.contract_text import flow

_PLAIN = (
    "type", "kind", "event", "name", "category", "channel", "anonymous_id", "previous_id", "group_id", "person_id",
    "device_id", "profile_id", "alias_id", "account_id", "interaction_id", "withheld",
)  # fmt: skip
_TIMES = ("received_at", "sent_at", "original_timestamp")
_OBJECTS = ("traits", "properties", "context", "rest")
_TRAITS = {
    "traits.email": "email",
    "traits.phone": "phone",
    "traits.firstName": "given_name",
    "traits.lastName": "family_name",
    "traits.name": "full_name",
    "traits.birthday": "birth_date",
    "traits.gender": "gender",
    "traits.address.street": "street",
    "traits.address.city": "city",
    "traits.address.state": "region",
    "traits.address.postalCode": "postcode",
    "traits.address.country": "country",
    "traits.company.name": "organisation",
}
_PATHS = (
    "properties.revenue", "properties.currency", "properties.path", "properties.url", "properties.product_id",
    "properties.quantity", "properties.order_id", "group.name", "group.industry", "group.website",
)  # fmt: skip

_HEAD = """\
# Drafted for tracking events. A person must check before anything is decided on it:
#  - lawful_basis and data_use: drafted as consent, the strictest, without marketing.
#  - options.consent: where events say that their person agreed. `missing: keep` where your consent banner loads the
#    SDK only after a yes; leave `consent` out where no consent is needed.
#  - bots, do_not_track: suppress (counted, not kept), without_person (what happened is kept, not to whom), or keep.
#  - origins: the web pages that may send, such as ["https://www.example.com"]; "*" is every page.
#  - a column `traits.…`, `properties.…`, `context.…` or `group.…` is a path into the event: add what you send.
#  - the scheme SOURCE_user: name it as the scheme of the same user's number in other sources, and they link.
kind: DataContract
apiVersion: v3.1.0
id: SOURCE
version: 0.1.0
status: draft
name: SOURCE
description:
  purpose: "Events of web pages and apps, sent by tracking SDKs; say here of which."
schema:
  - name: SOURCE
    logicalType: object
    properties:
      - {name: message_id, logicalType: string, primaryKey: true, primaryKeyPosition: 1, required: true}
      - {name: at, logicalType: timestamp, required: true, description: "when it happened, by our clock"}
"""
_RULES = """\
customProperties:
  - property: onefold
    value:
      connector: tracking
      options:
        bots: suppress
        do_not_track: suppress
        consent: {path: context.consent.categoryPreferences.Analytics, missing: without_person, denied: suppress}
        origins: ["*"]
      delivery: append
      lawful_basis: consent
      data_use: [analytics]
      freshness: P1D
      timezone: UTC
      # country: DE  # of phones and postcodes
      # currency: EUR  # of amounts without one
      maps:
        # A user; first, because it is whom wishes and relations belong to.
        - {table: contact_records, key: [user_id], effective_at: at}
        # What identify told of a user or visitor: a record for each set of traits, so that later ones add to it.
        - {table: contact_records, key: [profile_id], effective_at: at}
        # A device, from the moment on that a user is known on it: what happened on it before is then that user's.
        - {table: contact_records, key: [device_id], effective_at: at, fields: {external_ids: anonymous_id}}
        # Which user a device is of; one that several share belongs to none of them.
        - table: relations
          key: [device_id, user_id]
          effective_at: at
          fields:
            from_key: {column: device_id, prefix: "SOURCE:"}
            to_key: {column: user_id, prefix: "SOURCE:"}
            kind: {constant: device}
        - table: interactions
          key: [interaction_id]
          contact: {key: [person_id]}
          effective_at: at
          # Names of your events that mean what onefold's models know: purchase, page_view, …
          fields:
            kind: {column: kind, values: {"Order Completed": purchase}}
            channel: {constant: web}
            amount: properties.revenue
            currency: properties.currency
            quantity: properties.quantity
            related_key: properties.order_id
          payload: [name, properties.path, properties]
        - table: accounts
          key: [account_id]
          effective_at: at
          fields: {name: group.name, industry: group.industry, domain: group.website}
        - table: relations
          key: [user_id, account_id]
          effective_at: at
          fields: {to_key: {column: account_id, prefix: "SOURCE:"}, kind: {constant: works_for}}
        # Two IDs of one user, by alias: only where no browser sends, since whoever sends it makes two users one.
        # - table: relations
        #   key: [alias_id]
        #   effective_at: at
        #   fields:
        #     from_key: {column: previous_id, prefix: "SOURCE:"}
        #     to_key: {column: user_id, prefix: "SOURCE:"}
        #     kind: {constant: alias}
        # A wish, where identify tells one: add the column traits.marketing_consent above.
        # - table: consents
        #   key: [message_id, traits.marketing_consent]
        #   effective_at: at
        #   fields:
        #     subject_kind: {constant: record}
        #     data_use: {constant: marketing}
        #     channel: {constant: email}
        #     state: traits.marketing_consent
"""


def draft_tracking(source: str) -> str:
    """A contract's text for the source of that name; its maps hold for every SDK that speaks Segment's format."""
    user = f"{source}_user"[:63]
    lines = [_property(name) for name in _PLAIN]
    lines += [_property(name, "timestamp") for name in _TIMES]
    lines += [_property(name, "object") for name in _OBJECTS]
    lines.append(_property("user_id", rules={"kind": "external_id", "scheme": user}))
    lines.append(_property("visitor_id", rules={"kind": "external_id", "scheme": f"{source}_visitor"[:63]}))
    lines += [_property(name, rules={"kind": kind}) for name, kind in _TRAITS.items()]
    lines += [_property(name) for name in _PATHS]
    text = _HEAD.replace("SOURCE", source) + "\n".join(lines) + "\n" + _RULES.replace("SOURCE", source)
    contracts.parse(text, f"draft of {source}")
    return text


def _property(name: str, kind: str = "string", rules: dict[str, str] | None = None) -> str:
    more = f", customProperties: [{{property: onefold, value: {flow(rules)}}}]" if rules else ""
    return f"      - {{name: {name}, logicalType: {kind}{more}}}"
