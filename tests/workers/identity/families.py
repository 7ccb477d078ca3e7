"""Families as records: everybody under one roof has the same address and telephone."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import polars as pl


def households(
    people: ModuleType, homes: int, seed: int = 12, twins: float = 0.08, juniors: float = 0.06
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Whole families at one address and with one phone, some with twins or a father and son of one name; and the truth."""
    rng = np.random.default_rng(seed)
    families, towns, streets = people._words(rng, 1_000), people._words(rng, 300), people._words(rng, 800)
    rows: list[list[str | None]] = []
    who: list[int] = []
    person = 0
    for _ in range(homes):
        family, town = str(families[int(rng.integers(1_000))]), int(rng.integers(300))
        shared = [
            f"0{int(rng.integers(200_000_000, 999_999_999))}",
            str(int(rng.integers(1, 400))),
            f"{streets[int(rng.integers(800))]} {people._ROADS[int(rng.integers(len(people._ROADS)))]}",
            str(towns[town]),
            f"{10_000 + town * 37 + int(rng.integers(30))}",
        ]
        born = int(rng.integers(-14_000, 4_000))
        child = born + int(rng.integers(8_000, 12_000))
        names = [people._GIVEN[int(k)] for k in rng.permutation(len(people._GIVEN))[:4]]
        members = [(names[0], born), (names[1], born + int(rng.integers(-2_000, 2_000)))]
        members.append((names[0] if rng.random() < juniors else names[2], child))
        members.append((names[3], child if rng.random() < twins else child + int(rng.integers(350, 2_500))))
        for given, day in members:
            for _ in range(1 + int(rng.integers(0, 3))):
                roll = rng.random()
                name = people._slip(rng, given) if roll < 0.08 else given[:1] if roll < 0.14 else given
                date = str(np.datetime64("1970-01-01") + day)
                values = [name, people._slip(rng, family) if rng.random() < 0.06 else family, date, *shared]
                lost = rng.random(len(values)) < [0.03, 0, 0.12, 0.4, 0.1, 0.1, 0.1, 0.1]
                rows.append([None if gone else v for v, gone in zip(values, lost, strict=True)])
                who.append(person)
            person += 1
    names = ["given_name", "family_name", "birth_digits", "phone", "house_number", "street", "city", "postcode"]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
    return people._shuffled(rng, frame, np.array(who))
