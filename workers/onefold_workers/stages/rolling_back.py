"""An earlier publication served again, as a new version: whoever objected since it was built stays out of it."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from onefold_storage.errors import Conflict, NotFound
from onefold_storage.installation import Installation
from onefold_storage.publications import SERVING_FILE, Publication, Publications
from onefold_storage.schema import CUSTOMERS, HISTORY, PERMISSIONS
from onefold_workers.publication import GoldFrames
from onefold_workers.publication.closing import close
from onefold_workers.stages.records import current_links


@dataclass(frozen=True)
class RolledBack:
    """`publication` serves again what `of` served, instead of `instead_of`; `closed`: customers with fewer permissions."""

    publication: Publication
    of: str
    instead_of: str
    closed: int


def roll_back(installation: Installation, version: str | None = None) -> RolledBack:
    """Serve a publication again; the one before the current one, where no version is named.

    What was declined is not published again before something changes in the lake.

    Raises:
        Conflict: nothing is published, nothing older is left, it is served already, or it has another layout.
        NotFound: there is no such version, or it was pruned.
    """
    lake, log = installation.lake, installation.ledger.publications
    publications = Publications(lake.objects, lambda: lake.lock("publications"))
    current = publications.current()
    if current is None:
        raise Conflict("nothing is published, so there is nothing to go back from; run onefold refresh")
    chosen = publications.before(current) if version is None else publications.get(version)
    origin = chosen.facts.get("rollback_of", chosen.version)
    if chosen.version == current.version:
        raise Conflict(f"publication {chosen.version} is served already")
    gold = GoldFrames(
        customers=lake.scan(CUSTOMERS.name).collect(),
        permissions=lake.scan(PERMISSIONS.name).collect(),
        links=current_links(lake).with_columns(valid_from=None, valid_to=None).collect(),
        history=lake.scan(HISTORY.name).collect(),
    )
    with tempfile.TemporaryDirectory(prefix="onefold-") as folder:
        draft = publications.copy(chosen, Path(folder))[SERVING_FILE]
        closed = close(draft, gold, installation.keyed_hash)
        declined = {*current.facts.get("declined", ()), current.facts.get("inputs")} - {chosen.facts.get("inputs")}
        facts = chosen.facts | {"rollback_of": origin, "declined": sorted(d for d in declined if d)}
        made = publications.publish({SERVING_FILE: draft}, installation.clock.now(), facts)
    told = {"counts": facts.get("counts"), "rollback_of": origin}
    log.record(made.version, made.built_at, "published", told)
    if made.version != current.version:
        with suppress(NotFound):  # a ledger that was lost knows nothing of it
            log.mark(current.version, "withdrawn")
    return RolledBack(made, origin, current.version, closed)
