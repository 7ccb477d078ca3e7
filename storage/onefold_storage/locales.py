"""How numbers are written where a source comes from: the decimal mark by locale.

`1.234` is a thousand and more in Berlin and a bit more than one in London; no value says which. A contract that
names its `locale` is read so, and what is written another way is no number.
"""

from __future__ import annotations

import re

LOCALE = re.compile(r"^[a-z]{2,3}(?:[_-][A-Z]{2})?$")
_COMMA = frozenset((
    "af", "be", "bg", "bs", "ca", "cs", "da", "de", "el", "es", "et", "eu", "fi", "fo", "fr", "gl", "hr", "hu",
    "hy", "id", "is", "it", "ka", "kk", "ky", "lt", "lv", "mk", "nb", "nl", "nn", "no", "pl", "pt", "ro", "ru",
    "sk", "sl", "sq", "sr", "sv", "tr", "uk", "uz", "vi",
))  # fmt: skip
_POINT = frozenset((
    "ar", "bn", "cy", "en", "fa", "fil", "ga", "gu", "he", "hi", "ja", "kn", "ko", "ml", "mr", "ms", "mt", "pa",
    "si", "sw", "ta", "te", "th", "tl", "ur", "zh",
))  # fmt: skip
_OTHERWISE = {  # where a country differs from its language
    "de_CH": ".", "de_LI": ".", "it_CH": ".", "en_ZA": ",",
    **{f"es_{c}": "." for c in ("MX", "US", "PR", "DO", "GT", "HN", "NI", "PA", "PE", "SV")},
}  # fmt: skip


def decimal_mark(locale: str) -> str:
    """`.` or `,`.

    Raises:
        ValueError: not written as `de` or `de_AT`, or a language whose numbers are not known here.
    """
    if not LOCALE.match(locale):
        raise ValueError(f"locale {locale!r}: expected a language and perhaps a country, such as de or de_AT")
    locale = locale.replace("-", "_")
    language = locale.split("_")[0]
    if locale in _OTHERWISE:
        return _OTHERWISE[locale]
    if language not in _COMMA | _POINT:
        raise ValueError(
            f"locale {locale!r}: how its numbers are written is not known; name a locale that does alike"
        )
    return "," if language in _COMMA else "."
