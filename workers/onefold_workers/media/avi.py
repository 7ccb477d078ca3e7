"""AVI: the header at its beginning, by Microsoft's RIFF reference. Frames are never read."""

from __future__ import annotations

import struct
from typing import IO

from onefold_workers.media.facts import Facts, UnreadableError, tidy

_HEAD = 64 << 10


def read(file: IO[bytes]) -> Facts:
    """Facts of a film.

    Raises:
        UnreadableError: its header is broken.
    """
    file.seek(0)
    head = file.read(_HEAD)
    at = head.find(b"avih")
    if at < 0 or len(head) < at + 48:
        raise UnreadableError("its header is missing; it may be cut off")
    frame_us, *_, frames, _, _, _, width, height = struct.unpack("<10I", head[at + 8 : at + 48])
    facts = Facts("video", "video/x-msvideo", width=width, height=height)
    facts.duration_s = round(frame_us * frames / 1_000_000, 3) if frame_us and frames else None
    stream = head.find(b"strh")
    if stream > 0 and head[stream + 8 : stream + 12] == b"vids":
        facts.codec = tidy(head[stream + 12 : stream + 16].decode("ascii", "replace"))
    return facts
