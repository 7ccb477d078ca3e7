"""Serving: the current publication, open for reading, with the live wishes laid over it.

`Serving` follows the pointer object; a `Snapshot` is one immutable publication; `Objections` are the wishes
expressed since, resolved to its customers. Nothing here knows HTTP.
"""

from onefold.serving.follow import Serving, View
from onefold.serving.objections import Objections
from onefold.serving.ranking import RankedList, Ranking
from onefold.serving.snapshot import Snapshot

__all__ = ["Objections", "RankedList", "Ranking", "Serving", "Snapshot", "View"]
