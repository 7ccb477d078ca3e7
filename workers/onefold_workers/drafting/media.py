"""Drafts the contract of media files: their columns are known; whose they are say the columns of path and sidecar."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from onefold_storage import contracts
from onefold_workers.drafting.contract_text import column_lines, contract
from onefold_workers.drafting.kinds import Guess
from onefold_workers.drafting.maps import Map
from onefold_workers.drafting.profile import Profile
from onefold_workers.drafting.types import Type
from onefold_workers.media.rows import COLUMNS

_TYPES = {
    "created_at": "timestamp", "size": "integer", "width": "integer", "height": "integer", "pages": "integer",
    "duration_s": "number", "latitude": "number", "longitude": "number",
}  # fmt: skip
_OWN = ("path", *COLUMNS)
_TELLING = ("phone", "email", "external_id")


def said_of_files(sample: pa.Table) -> pa.Table:
    """The columns that came from paths and sidecars: those that have to be understood."""
    return sample.select([c for c in sample.column_names if c not in _OWN])


def draft_media(
    source: str,
    location: str,
    options: dict[str, Any],
    profiles: dict[str, Profile],
    found: dict[str, Guess],
    country: str | None,
) -> str:
    """The contract's text. `profiles`, `found`: of the columns that say whose a file is."""
    columns = [
        column_lines(
            c, Type(_TYPES.get(c, "string")), None, key=int(c == "path"), required=c == "object", attribute=False
        )
        for c in _OWN
    ]
    columns += [
        column_lines(c, Type("string"), found.get(c), key=0, required=False, attribute=False) for c in profiles
    ]
    whose = next((c for kind in _TELLING for c, g in found.items() if g.kind == kind), None)
    documents: Map = {"table": "documents"}
    if whose:
        documents["contact"] = {"key": [whose]}
    fields = {c: c for c in ("object", "media_type", "text", "facts")}
    documents |= {"effective_at": "created_at", "fields": fields}
    remark = (
        f"whose a file is says {whose}; name another source where it is that one's key"
        if whose
        else "nothing says whose a file is: give the option `pattern` or `sidecar`"
    )
    maps = [({"table": "contact_records", "key": [whose]}, "")] if whose else []
    text = contract(
        source, location, "media", options, columns, [*maps, (documents, remark)], country, [], delivery="changes"
    )
    contracts.parse(text, f"draft of {source}")
    return text
