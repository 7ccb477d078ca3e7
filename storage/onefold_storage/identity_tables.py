"""The tables of the identity graph: who is who, since when, by whose word. Part of `schema.py`, which names them all."""

from __future__ import annotations

import pyarrow as pa

from onefold_storage.tables import Column, Table, moment, text

GOLDEN_ID = text("golden_id", "the customer, opaque", required=True)
LINKS = Table(
    "identity/links",
    "Which record belongs to which golden ID, and when.",
    (
        text("record_key", "the record", personal=True, required=True),
        GOLDEN_ID,
        moment("valid_from", "from when", required=True),
        moment("valid_to", "until when; null is still so"),
    ),
)
EDGES = Table(
    "identity/edges",
    "Pairs of records with their match weight and what brought them together.",
    (
        text("left_key", "one record", personal=True, required=True),
        text("right_key", "the other", personal=True, required=True),
        Column("match_weight", pa.float64(), "log2 of the Bayes factor", required=True),
        Column("probability", pa.float64(), "match probability", required=True),
        text("rule", "blocking rule that brought the pair together", required=True),
        text("model_version", "identity model that weighed it", required=True),
    ),
)
EVIDENCE = Table(
    "identity/evidence",
    "People's decisions about records; append only, the latest on a pair counts.",
    (
        text("left_key", "one record", personal=True, required=True),
        text("right_key", "the other; of a pin, the golden ID", personal=True, required=True),
        text("verdict", "must_link, cannot_link, withdrawn; pinned, unpinned", required=True),
        text("decided_by", "who", required=True),
        text("reason", "why", personal=True),
        moment("decided_at", "when", required=True),
    ),
)
OVERRIDES = Table(
    "identity/overrides",
    "Values that a person set because every source has them wrong; append only, the latest of a field counts.",
    (
        text("record_key", "the record whose customer it is about", personal=True, required=True),
        text("field", "the golden record's field", required=True),
        text("value", "the value; null where it was taken back", personal=True),
        text("decided_by", "who", required=True),
        text("reason", "why", personal=True),
        moment("decided_at", "when", required=True),
    ),
)
HISTORY = Table(
    "identity/history",
    "Every creation, merge and split of golden IDs; append only.",
    (
        GOLDEN_ID,
        text("event", "created, merged or split", required=True),
        text("other_id", "merged: the survivor; split: the new golden ID"),
        Column("records", pa.int64(), "records concerned"),
        text("cause", "the identity model or the decision"),
        moment("happened_at", "when", required=True),
    ),
)
HISTORY_EDGES = Table(
    "identity/history_edges",
    "What stood behind each merge and split: the heaviest edges across it, and people's decisions; append only.",
    (
        GOLDEN_ID,
        text("event", "merged or split, as in identity/history", required=True),
        text("other_id", "as in identity/history", required=True),
        text("left_key", "one record", personal=True, required=True),
        text("right_key", "the other", personal=True, required=True),
        Column("match_weight", pa.float64(), "log2 of the Bayes factor; null for a decision"),
        text("rule", "blocking rule, or the decision", required=True),
        moment("happened_at", "when", required=True),
    ),
)
HOUSEHOLDS = Table(
    "identity/households",
    "Which customer belongs to which household, and when: the second level of grouping.",
    (
        GOLDEN_ID,
        text("household_id", "the household, opaque", required=True),
        moment("valid_from", "from when", required=True),
        moment("valid_to", "until when; null is still so"),
    ),
)
MARKS = Table(
    "identity/marks",
    "What one resolution keeps for the next, a row a record: keyed hashes of its blocking keys, and its component.",
    (
        text("record_key", "the record", personal=True, required=True),
        Column("seen", pa.int64(), "digest of the row that was resolved, by package and place", required=True),
        Column("component", pa.int64(), "records that hang together, number", required=True),
        Column("cluster", pa.int64(), "cluster inside it, number", required=True),
        Column("lead", pa.bool_(), "the first of the records that say the same", required=True),
        Column("marks", pa.binary(), "keyed hashes of 64 bits, one after the other", personal=True, required=True),
    ),
)
IDENTITY = (LINKS, EDGES, EVIDENCE, OVERRIDES, HISTORY, HISTORY_EDGES, HOUSEHOLDS, MARKS)
