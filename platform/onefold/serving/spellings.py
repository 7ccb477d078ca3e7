"""Other spellings of a word that mean the same name: ä is ae, ö is oe, ü is ue, ß is ss."""

from __future__ import annotations

import re

_WIDE = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_UMLAUTS = {"ae": "ä", "oe": "ö", "ue": "ü"}
_PAIR = re.compile(r"(?<![aeioquäöü])(?:ae|oe|ue)")
"""Two letters that may stand for an umlaut: after a vowel or q they do not (Bauer, Quentin)."""


def spellings(word: str, *, begun: bool = False) -> list[str]:
    """The word in small letters and its other spellings, itself first.

    `begun`: the word goes on, so that a pair at its end, which another letter may follow, is left as it is.
    """
    own = word.lower()
    wide = own.translate(_WIDE)
    end = len(wide) - 2 if begun else len(wide)
    narrow = _PAIR.sub(lambda m: _UMLAUTS[m[0]] if m.start() < end else m[0], wide)
    return list(dict.fromkeys([own, wide, narrow, wide.replace("ss", "ß"), narrow.replace("ss", "ß")]))
