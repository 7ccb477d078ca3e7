"""What stands at a path into a JSON document (`json_paths.py`): one value, or all of them with what is around each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from onefold_storage.json_paths import Step


def value(of: Any, path: tuple[Step, ...]) -> Any:
    """What stands at a path, or None."""
    for step in path:
        if isinstance(step, str):
            of = of.get(step) if isinstance(of, dict) else None
        elif isinstance(step, int):
            of = of[step] if isinstance(of, list) and step < len(of) else None
    return of


def every(
    of: Any, path: tuple[Step, ...], above: tuple[dict[str, Any], ...] = ()
) -> Iterator[tuple[Any, tuple[dict[str, Any], ...]]]:
    """Everything at a path, with the objects around it, the nearest first. An array at its end gives its elements."""
    if not path:
        for item in of if isinstance(of, list) else [] if of is None else [of]:
            yield item, above
        return
    step, rest = path[0], path[1:]
    if step is None:
        for item in of if isinstance(of, list) else ():
            yield from every(item, rest, above)
    elif isinstance(step, int):
        if isinstance(of, list) and step < len(of):
            yield from every(of[step], rest, above)
    elif isinstance(of, dict) and step in of:
        yield from every(of[step], rest, (of, *above))
