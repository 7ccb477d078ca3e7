"""What a result was computed from, as one short text: equal text, equal result, nothing to do."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from onefold_storage.lake import Lake


def fingerprint(lake: Lake, tables: list[str], **facts: Any) -> str:
    """SHA-256 over what tables hold (their files, which a vacuum leaves as they are) and further facts (JSON)."""
    files = {t: lake.files(t) for t in sorted(tables)}
    text = json.dumps([files, facts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
