"""A sieve before the keyed hash: which of a column's values may stand on the suppression list at all.

Hashing each of millions of values takes seconds; nearly all of them are nobody's on the list. So each value falls
into one of 2²¹ buckets by its bytes, whole columns at once, and only what falls into a bucket of somebody on the
list is hashed. Beside its hash a listed identifier keeps its bucket's *mark*: a number that the bucket has from a
keystream of the installation's secret (SHAKE-128), so that without the secret a mark tells nothing, as a keyed hash
does. A bucket does not depend on ASCII letters' case. The sieve only ever spares work: whatever passes it is hashed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.texts import Places, Texts, Words

RECORD = "record"
"""The kind of an identifier that is a record's key, `source:key`."""

_BITS = 21
_LOWER = np.uint64(0x2020202020202020)
_MIX = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)
"""Odd 64-bit constants (fractions of the golden ratio and primes of xxHash); any would do."""


class Sieve:
    """Lets those values pass that may have one of the `marks`."""

    def __init__(self, keyed: KeyedHash, marks: Iterable[int]) -> None:
        wanted = np.unique(np.fromiter(marks, np.uint32))
        stream = _keystream(keyed)
        near = np.zeros(1 << 16, bool)
        near[wanted >> np.uint32(16)] = True
        at = np.flatnonzero(near[stream >> np.uint32(16)])
        self._listed = np.zeros(1 << _BITS, bool)
        self._listed[at[np.isin(stream[at], wanted)]] = True

    def passes(self, data: Texts, starts: Places, lengths: Places) -> npt.NDArray[np.bool_]:
        """A boolean per value: may it stand on the list? Values are those bytes of `data`, in their normal form."""
        passed: npt.NDArray[np.bool_] = self._listed[_buckets(data, starts, lengths)]
        return passed


def mark(keyed: KeyedHash, kind: str, value: str) -> int:
    """The mark of one identifier in its normal form, to be kept beside its hash: a 32-bit number."""
    text = Texts(pa.array([value.partition(":")[2] if kind == RECORD else value]))
    return int(_keystream(keyed)[_buckets(text, text.starts, text.lengths)[0]])


def marks(keyed: KeyedHash, identifiers: Iterable[tuple[str, str]]) -> list[int]:
    """As `mark`, for many (kind, value) at once."""
    text = Texts(pa.array([v.partition(":")[2] if k == RECORD else v for k, v in identifiers], pa.string()))
    return [int(m) for m in _keystream(keyed)[_buckets(text, text.starts, text.lengths)]]


def _buckets(text: Texts, starts: Places, lengths: Places) -> npt.NDArray[np.uint64]:
    """Of the first 16 and the last 16 bytes, and the length."""
    ends = starts + lengths
    places = (
        starts,
        np.maximum(ends - 8, starts),
        np.maximum(np.minimum(starts + 8, ends - 8), starts),
        np.maximum(ends - 16, starts),
    )
    found: Words = lengths.astype(np.uint64)
    for at, mix in zip(places, _MIX, strict=True):
        found ^= text.words(at, lengths) | _LOWER
        found *= np.uint64(mix)
        found ^= found >> np.uint64(32)
    return found & np.uint64((1 << _BITS) - 1)


@lru_cache(maxsize=1)
def _keystream(keyed: KeyedHash) -> npt.NDArray[np.uint32]:
    stream = hashlib.shake_128(b"onefold marks" + keyed.secret).digest(4 << _BITS)
    return np.frombuffer(stream, "<u4")
