"""Erasures that have begun and not ended: whom each is about, so that one that was cut off ends as it would have.

The records and links that say who somebody is go on the way. What stands below `erasing/` says it until nothing of
the person is left, and goes then: without it, an erasure that is run again would search for nobody and find nothing.
"""

from __future__ import annotations

import orjson

from onefold_storage.objects import Objects
from onefold_storage.person import Person
from onefold_storage.rescanning import UNFINISHED as ROOT


def begin(objects: Objects, person: Person) -> None:
    """Keep whom an erasure is about, before anything of them goes."""
    kept = {
        "golden_id": person.golden_id,
        "golden_ids": sorted(person.golden_ids),
        "record_keys": sorted(person.record_keys),
        "identifiers": sorted(person.identifiers),
        "shared": person.shared,
    }
    objects.put(f"{ROOT}/{person.golden_id}.json", orjson.dumps(kept))


def begun(objects: Objects) -> list[str]:
    """The golden IDs of those whose erasure has not ended, sorted."""
    return [k.removeprefix(f"{ROOT}/").removesuffix(".json") for k in objects.keys(ROOT)]


def kept_people(objects: Objects) -> dict[str, Person]:
    """Those whose erasure has not ended, by golden ID."""
    found = {}
    for golden_id in begun(objects):
        if data := objects.get(f"{ROOT}/{golden_id}.json"):
            kept = orjson.loads(data)
            ids, keys = frozenset(kept["golden_ids"]), frozenset(kept["record_keys"])
            identifiers = frozenset((s, v) for s, v in kept["identifiers"])
            found[golden_id] = Person(golden_id, ids, keys, identifiers, kept["shared"])
    return found


def end(objects: Objects, golden_id: str) -> None:
    """Nothing is left of this one."""
    objects.delete(f"{ROOT}/{golden_id}.json")
