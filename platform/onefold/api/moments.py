"""Questions about another time: the moment that is asked for, and the part of onefold that answers from the lake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from onefold.api.errors import FieldError
from onefold_storage.errors import BadInput, Unavailable


def moment_of(written: str) -> datetime:
    """The moment in UTC; a date stands for its end.

    Raises:
        FieldError: it is none.
    """
    from onefold_storage.as_of import moment

    try:
        return moment(written)
    except BadInput:
        raise FieldError("as_of", "expected an ISO 8601 date or time such as 2017-06-30") from None


@contextmanager
def workers_part() -> Iterator[None]:
    """What is inside needs packages of the workers' part.

    Raises:
        Unavailable: this replica does not have them.
    """
    try:
        yield
    except ImportError as error:
        raise Unavailable("this replica has no workers' part, which this question needs") from error
