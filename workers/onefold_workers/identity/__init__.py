"""Identity resolution: which records belong to one customer, and the golden IDs that stay the same over runs."""

from onefold_workers.identity.causes import with_causes
from onefold_workers.identity.decisions import obeyed
from onefold_workers.identity.golden_ids import assign_golden_ids
from onefold_workers.identity.model import IdentityModel
from onefold_workers.identity.quality import Quality, pairwise_quality
from onefold_workers.identity.resolution import Resolution, resolve

__all__ = [
    "IdentityModel",
    "Quality",
    "Resolution",
    "assign_golden_ids",
    "obeyed",
    "pairwise_quality",
    "resolve",
    "with_causes",
]
