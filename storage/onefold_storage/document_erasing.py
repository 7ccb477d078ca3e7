"""Takes a person's documents out of object storage: the objects that their rows name and nobody else's do."""

from __future__ import annotations

from onefold_storage.documents import ROOT, named, nobody_lands, sources
from onefold_storage.erasers import by_places, by_records, by_suppression
from onefold_storage.installation import Installation
from onefold_storage.person import Person, known_contracts
from onefold_storage.schema import DOCUMENTS, FAILED_EVENTS

_PATIENCE = 600.0


def documents(installation: Installation, name: str, person: Person) -> int:
    """Objects that rows of the person's name (in silver, bronze, or failed events), and no row that stays does.

    It goes before the rows, so that an erasure that was cut off finds them again. Waits for what is landing.
    """
    assert name == ROOT
    lake = installation.lake
    if not sources(lake.objects):
        return 0
    contracts = known_contracts(installation)
    with nobody_lands(lake, _PATIENCE):
        found = [named(lake, DOCUMENTS.name, by_records(person))]
        failed = by_suppression(installation, contracts) if person.identifiers else None
        for source in sources(lake.objects):
            rows = by_places(installation, source, contracts.get(source), person)
            found += [named(lake, f"bronze/{source}", rows), named(lake, FAILED_EVENTS.name, failed, within=source)]
        going = frozenset[str]().union(*(n.going for n in found))
        staying = frozenset[str]().union(*(n.staying for n in found))
        there = [k for k in sorted(going - staying) if lake.objects.size(k) is not None]
        lake.objects.delete_all(there)
    return len(there)
