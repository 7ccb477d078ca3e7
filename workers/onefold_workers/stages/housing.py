"""Golden records and relations to households, kept stable over runs."""

from __future__ import annotations

from onefold_storage.installation import Installation
from onefold_storage.schema import ADDRESS, CUSTOMERS, HOUSEHOLDS, LINKS, RELATIONS
from onefold_workers.households import KIND, assign_households, households
from onefold_workers.stages.fingerprint import fingerprint
from onefold_workers.stages.records import current_links, latest


def build_households(installation: Installation) -> bool:
    """Group customers into households; False where nothing had changed."""
    lake = installation.lake
    inputs = fingerprint(lake, [CUSTOMERS.name, RELATIONS.name, LINKS.name])
    if lake.inputs(HOUSEHOLDS.name) == inputs:
        return False
    with lake.lock("households"):
        relations = latest(lake.scan(RELATIONS.name)).filter(kind=KIND).select("from_key", "to_key").collect()
        customers = lake.scan(CUSTOMERS.name).select("golden_id", "family_name", *ADDRESS).collect()
        found = households(customers, relations, current_links(lake).collect())
        before = lake.scan(HOUSEHOLDS.name).collect()
        salt = installation.keyed_hash.of("identity", "salt")
        after = assign_households(found, before, installation.clock.now(), salt)
        lake.replace(HOUSEHOLDS.name, lake.frame_to_arrow(HOUSEHOLDS.name, after), inputs=inputs)
    return True
