"""Paths into JSON, the one way that contracts write them: `a.b`, `items[0].price`, `messages[].text`, `['an odd.name']`."""

from __future__ import annotations

import re

Step = str | int | None
"""A key, a place in an array, or every element of one."""
_STEP = re.compile(r"\.?(?:\['([^'\\]+)'\]|\[(\d*)\]|([^.\[\]'\"$*?@]+))")


def steps(path: str) -> tuple[Step, ...]:
    """A path's steps, from the outside in. It may begin with `$`.

    Raises:
        ValueError: it is none.
    """
    rest, found = path.removeprefix("$"), list[Step]()
    at = 0
    while (match := _STEP.match(rest, at)) is not None:
        odd, place, name = match.groups()
        found.append(odd or name or (int(place) if place else None))
        at = match.end()
    if not found or at < len(rest):
        problem = "expected names, places, every place and quoted names: a.b, a[0].b, a[].b, ['odd name']"
        raise ValueError(f"path {path!r}: {problem}")
    return tuple(found)


def spelt(path: str) -> str:
    """A path to one value as other programs write it.

    Raises:
        ValueError: it is none, or leads to several values.
    """
    found = steps(path)
    if None in found:
        raise ValueError(f"path {path!r}: expected the place of one value, such as a[0].b, found every one ([])")
    return "$" + "".join(f"[{s}]" if isinstance(s, int) else f"['{s}']" for s in found)
