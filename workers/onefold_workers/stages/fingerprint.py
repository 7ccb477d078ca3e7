"""What a result was computed from, as one short text: equal text, equal result, nothing to do."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from onefold_storage.contents import content_of
from onefold_storage.lake import Lake


def fingerprint(lake: Lake, tables: list[str], **facts: Any) -> str:
    """SHA-256 over what tables hold (which neither a vacuum nor a compaction changes) and further facts (JSON)."""
    held = {t: content_of(lake, t) for t in sorted(tables)}
    text = json.dumps([held, facts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
