"""Consents out of a source's rows: whose, for what, through which channel, and what the person wished.

Fails closed: a word that is not understood is DENIED, and a refusal whose contact point cannot be read is kept on
the record itself. Silence (no value) is no consent at all and makes no row.
"""

from __future__ import annotations

import polars as pl

from onefold_storage.contract_rules import FieldRule
from onefold_storage.contracts import Contract
from onefold_storage.schema import CONSENTS
from onefold_workers import cleaning
from onefold_workers.mapping_fields import Fields
from onefold_workers.mapping_words import ANY_CHANNEL, GRANTED, REVOKED


def consent_fields(contract: Contract, fields: Fields) -> dict[str, pl.Expr]:
    """Expression by column of `silver/consents`; rows without a wish or a subject have a null in a required one.

    The record key is extended by subject kind, data use, channel and the column of the wish, so that several wishes
    of one row stay apart. Where a keyed source no longer says anything, the earlier wish is deleted.
    """
    given = fields.of(CONSENTS)
    silent = pl.lit(None, dtype=pl.String)
    kind = given.get("subject_kind", pl.lit("record"))
    written = given.get("subject", silent)
    data_use = given.get("data_use", silent).fill_null(contract.rules.data_use[0])
    channel = given.get("channel", silent).str.to_lowercase().fill_null(ANY_CHANNEL)
    wished = wish(given.get("state", silent))
    keyed = bool(fields.rules.key or contract.primary_key)
    state = wished.fill_null("DENIED") if keyed else wished
    subject = _subject(contract, fields, kind, written)
    # A refusal must not be lost with an unreadable address.
    homeless = subject.is_null() & state.is_in(["DENIED", "REVOKED"])
    subject_kind = pl.when(homeless).then(pl.lit("record")).otherwise(kind)
    subject = pl.when(homeless).then(fields.contact_key).otherwise(subject)
    basis = given.get("lawful_basis", silent).fill_null("consent")
    said = fields.rules.fields.get("state", FieldRule(constant="said")).column or "said"
    return {
        **{n: e for n, e in given.items() if n == "evidence"},
        "record_key": pl.format("{}#{}/{}/{}/{}", pl.col("record_key"), kind, data_use, channel, pl.lit(said)),
        "deleted": given.get("deleted", pl.lit(False)).fill_null(False) | wished.is_null(),
        "subject_kind": subject_kind,
        "subject": subject,
        "data_use": data_use,
        "channel": channel,
        "state": state,
        "lawful_basis": basis,
    }


def wish(text: pl.Expr) -> pl.Expr:
    """GRANTED, DENIED or REVOKED out of common words; what is not understood is DENIED, null stays null."""
    folded = text.str.strip_chars().str.to_lowercase()
    return (
        pl.when(folded.is_null() | (folded == ""))
        .then(None)
        .when(folded.is_in(GRANTED))
        .then(pl.lit("GRANTED"))
        .when(folded.is_in(REVOKED))
        .then(pl.lit("REVOKED"))
        .otherwise(pl.lit("DENIED"))
    )


def _subject(contract: Contract, fields: Fields, kind: pl.Expr, written: pl.Expr) -> pl.Expr:
    """The standardised contact point, the record key, or the identifier, by the kind of subject."""
    rule = fields.rules.fields.get("subject")
    own = pl.lit(f"{contract.id}:") + written if rule and not rule.prefix else written
    home: pl.Expr = pl.lit(contract.rules.country, dtype=pl.String)
    columns = [c for c, k in contract.kinds.items() if k == "country"]
    where = pl.coalesce(*(cleaning.country(pl.col(c)) for c in columns), home)
    return (
        pl.when(kind == "email")
        .then(cleaning.email(written))
        .when(kind == "phone")
        .then(cleaning.phone(written, where))
        .when(kind == "record")
        .then(pl.coalesce(own, fields.contact_key))
        .otherwise(cleaning.external_id(written))
    )
