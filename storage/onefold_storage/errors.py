"""Errors that own their meaning: each class has an HTTP status and an exit code, in one place.

A message says what was expected, what was found, where, and what to do; it never holds a secret and
never a customer's data.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self


class OnefoldError(Exception):
    """Base of all errors that a user can act on."""

    status = 500
    exit_code = 1


class BadInput(OnefoldError):  # noqa: N818 - named for what happened, not for being an error
    """Data, a file or an argument is not what was promised."""

    status = 422
    exit_code = 2


class HeldBack(BadInput):
    """Deliveries were held back, one a line of the message; the rest was done, and `facts` say what it came to."""

    facts: dict[str, Any] = {}  # noqa: RUF012 - replaced, never changed

    @classmethod
    def after(cls, errors: Iterable[str], facts: dict[str, Any]) -> Self:
        """The error that tells these errors, with what was done all the same."""
        held = cls("\n".join(errors))
        held.facts = facts
        return held


class BadContract(BadInput):
    """A data contract or another declaration is not valid."""


class NotFound(OnefoldError):  # noqa: N818
    """What was asked for does not exist."""

    status = 404
    exit_code = 3


class Conflict(OnefoldError):  # noqa: N818
    """Another writer was faster, or the state does not allow it."""

    status = 409
    exit_code = 4


class Forbidden(OnefoldError):  # noqa: N818
    """The key has no scope for it, or the law says no."""

    status = 403
    exit_code = 5


class Unauthorised(OnefoldError):  # noqa: N818
    """No key, or one that is not valid."""

    status = 401
    exit_code = 5


class Unavailable(OnefoldError):  # noqa: N818
    """Storage or a server does not answer, or has no room; try again later."""

    status = 503
    exit_code = 6


class Full(Unavailable):
    """No room is left to keep what was sent; nothing of it was taken."""

    status = 507


class TooMany(OnefoldError):  # noqa: N818
    """More came than was agreed; nothing of it was taken. `after_s`: when to send it again."""

    status = 429
    exit_code = 6

    def __init__(self, message: str, after_s: float) -> None:
        super().__init__(message)
        self.after_s = after_s


class QualityGate(OnefoldError):  # noqa: N818
    """A result is not good enough to replace the last good one."""

    status = 409
    exit_code = 7
