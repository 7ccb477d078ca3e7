"""How real silos go wrong: slips of the keyboard, nicknames, numbers written in many ways.

Each function takes an array of text (None where nothing is known) and gives a new one of the same length; the
share that goes wrong is an argument, the random source another, so that the same seed makes the same mistakes.
"""

from __future__ import annotations

from datetime import date

import numpy as np

from onefold.demo.given_names import NICKNAMES

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEAR = {c: row[max(0, i - 1) : i] + row[i + 1 : i + 2] for row in _ROWS for i, c in enumerate(row)}


def chosen(rng: np.random.Generator, n: int, share: float) -> np.ndarray:
    """A mask of length `n` that is true with probability `share`."""
    picked: np.ndarray = rng.random(n) < share
    return picked


def either(mask: np.ndarray, yes: np.ndarray, no: np.ndarray) -> np.ndarray:
    """`yes` where the mask holds, else `no`, as objects."""
    out = np.array(no, dtype=object)
    out[mask] = np.asarray(yes, dtype=object)[mask]
    return out


def lost(rng: np.random.Generator, values: np.ndarray, share: float) -> np.ndarray:
    """The values with a share of them missing."""
    out = np.array(values, dtype=object)
    out[chosen(rng, len(out), share)] = None
    return out


def misspelt(rng: np.random.Generator, values: np.ndarray, share: float) -> np.ndarray:
    """The values with one slip in a share of them: two letters swapped, one lost, doubled or mistyped."""
    out = np.array(values, dtype=object)
    for i in np.flatnonzero(chosen(rng, len(out), share)):
        if out[i] is not None:
            out[i] = _slip(rng, out[i])
    return out


def _slip(rng: np.random.Generator, word: str) -> str:
    letters = [i for i, c in enumerate(word) if c.isalpha()]
    if len(letters) < 4:
        return word
    at = letters[int(rng.integers(1, len(letters) - 1))]
    kind = int(rng.integers(4))
    if kind == 0:
        return word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :]
    if kind == 1:
        return word[:at] + word[at + 1 :]
    if kind == 2:
        return word[:at] + word[at] + word[at:]
    near = _NEAR.get(word[at].lower(), "e")
    return word[:at] + near[int(rng.integers(len(near)))] + word[at + 1 :]


def nicknamed(rng: np.random.Generator, given: np.ndarray, share: float) -> np.ndarray:
    """Given names with a share of them short, as people call each other."""
    out = np.array(given, dtype=object)
    for i in np.flatnonzero(chosen(rng, len(out), share)):
        short = NICKNAMES.get(out[i])
        if short:
            out[i] = short[int(rng.integers(len(short)))]
    return out


def dialled(rng: np.random.Generator, numbers: np.ndarray) -> np.ndarray:
    """Ten-digit numbers written in the ways people write them."""
    ways = ("({0}) {1}-{2}", "{0}-{1}-{2}", "{0}.{1}.{2}", "+1 {0} {1} {2}", "{0}{1}{2}", "1-{0}-{1}-{2}")
    way = rng.integers(len(ways), size=len(numbers))
    pairs = zip(numbers, way, strict=True)
    return np.array([v and ways[w].format(v[:3], v[3:6], v[6:]) for v, w in pairs], dtype=object)


def shouted(rng: np.random.Generator, values: np.ndarray, share: float) -> np.ndarray:
    """Text with a share in capitals and as many in lower case."""
    roll = rng.random(len(values))
    pairs = zip(values, roll, strict=True)
    return np.array(
        [v and (v.upper() if r < share else v.lower() if r < 2 * share else v) for v, r in pairs], dtype=object
    )


def misdated(rng: np.random.Generator, days: np.ndarray, share: float) -> np.ndarray:
    """Dates with a share of them a little wrong: day and month swapped where that is a date, else one day off."""
    out = np.array(days, dtype=object)
    for i in np.flatnonzero(chosen(rng, len(out), share)):
        day: date | None = out[i]
        if day is not None and day.day <= 12:
            out[i] = day.replace(month=day.day, day=day.month)
        elif day is not None:
            out[i] = day.replace(day=day.day - 1)
    return out
