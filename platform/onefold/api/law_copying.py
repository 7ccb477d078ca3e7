"""Copies the law to the lake behind the answer: an objection waits for no storage, and none is left out.

One copy runs at a time; wishes that come meanwhile are taken by the next, which begins at once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable


class LawCopying:
    """Copies when asked to. `copy` copies whatever is new and may take as long as storage takes to answer."""

    def __init__(self, copy: Callable[[], object]) -> None:
        self._copy = copy
        self._gate = threading.Lock()
        self._wanted = self._running = False

    def __call__(self) -> None:
        """Copy what is new, or leave it to the copy that is running."""
        with self._gate:
            self._wanted = True
            if self._running:
                return
            self._running = True
        while self._goes_on():
            try:
                self._copy()
            except Exception as error:  # the wish holds all the same, and the next copy takes it along
                logging.getLogger(__name__).warning("a wish is not yet in the lake (%s)", type(error).__name__)

    def _goes_on(self) -> bool:
        with self._gate:
            self._running = self._wanted
            self._wanted = False
            return self._running
