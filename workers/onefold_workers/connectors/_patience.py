"""Asking again, after longer and longer waits, a source that does not answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from onefold_storage.deliveries import Delivery
from onefold_storage.errors import Unavailable

T = TypeVar("T")
WAITS_S = (0.5, 2.0, 5.0)


def asked_again(call: Callable[[], T]) -> T:
    """What the call gives; where the source does not answer it is asked again after each of `WAITS_S`.

    Raises:
        Unavailable: the source did not answer the last time either.
    """
    for wait in WAITS_S:
        try:
            return call()
        except Unavailable:
            time.sleep(wait)
    return call()


def begun_again(begin: Callable[[], Iterator[Delivery]]) -> Iterator[Delivery]:
    """The deliveries; until there is a first one, a source that does not answer is asked again.

    After that the bookmark says how far it came, and the next reading goes on there.
    """

    def first() -> tuple[Delivery | None, Iterator[Delivery]]:
        found = begin()
        return next(found, None), found

    delivery, others = asked_again(first)
    if delivery is not None:
        yield delivery
        yield from others
