"""The bytes of a text column as numpy sees them: questions about all of its values, without a loop over them."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_WORD = 8


class Texts:
    """The values of a `pa.string()` array that are not null. A question about no value at all is answered yes.

    `data`: the bytes. `starts`, `lengths`: where each value is in them.
    """

    def __init__(self, values: pa.Array) -> None:
        _, offsets, data = values.buffers()
        n = len(values)
        places = np.frombuffer(offsets, np.int32, n + 1, values.offset * 4) if n else np.zeros(1, np.int32)
        self.data: Bytes = np.frombuffer(data or b"", np.uint8)[: places[-1]]
        self.starts: Places = places[:-1].astype(np.int64)
        self.lengths: Places = np.diff(places).astype(np.int64)
        self._first = int(places[0])
        if values.null_count:
            filled = values.is_valid().to_numpy(zero_copy_only=False)
            self.starts, self.lengths = self.starts[filled], self.lengths[filled]

    @cached_property
    def _bytes(self) -> Bytes:
        return self.data[self._first :]

    def ascii(self) -> bool:
        """Whether no value has a byte beyond ASCII."""
        return not len(self._bytes) or int(self._bytes.max()) < 128

    def only(self, allowed: bytes) -> bool:
        """Whether every value is made of these bytes alone."""
        return not _others(allowed)[self._bytes].any()

    def count(self, byte: bytes) -> int:
        """How often a byte occurs."""
        return int(np.count_nonzero(self._bytes == byte[0]))

    def lengths_within(self, least: int, most: int) -> bool:
        """Whether every value has that many bytes."""
        return not len(self.lengths) or (int(self.lengths.min()) >= least and int(self.lengths.max()) <= most)

    def each_has(self, at: int, allowed: bytes) -> bool:
        """Whether every value has one of these bytes at place `at`, counted from the end where negative.

        Each value must be long enough.
        """
        places = self.starts + at if at >= 0 else self.starts + self.lengths + at
        return not _others(allowed)[self.data[places]].any()

    def any_at(self, at: int, wanted: bytes) -> bool:
        """Whether any value has one of these bytes at that place; places as in `each_has`."""
        places = self.starts + at if at >= 0 else self.starts + self.lengths + at
        return not _others(wanted)[self.data[places]].all()

    def words(self, starts: Places, lengths: Places) -> Words:
        """Eight bytes from each place on as a number, little-endian; of shorter values what there is."""
        data = self.data if len(self.data) >= _WORD else np.concatenate([self.data, np.zeros(_WORD, np.uint8)])
        every = np.ndarray((len(data) - _WORD + 1,), "<u8", data, strides=(1,))
        last = len(every) - 1
        if not len(lengths) or int(lengths.min()) >= _WORD:
            return every[starts]
        at = np.minimum(starts, last)
        beyond = (starts - at).astype(np.uint64) * np.uint64(8)
        kept = np.clip(lengths, 0, _WORD).astype(np.uint64) * np.uint64(8)
        mask = np.where(kept >= 64, ~np.uint64(0), (np.uint64(1) << np.minimum(kept, 63).astype(np.uint64)) - 1)
        found: Words = np.where(beyond >= 64, 0, every[at] >> np.minimum(beyond, 63)).astype(np.uint64) & mask
        return found


def _others(allowed: bytes) -> npt.NDArray[np.bool_]:
    table = np.ones(256, bool)
    table[list(allowed)] = False
    return table
