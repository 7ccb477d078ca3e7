"""PDF: pages, title, author, dates and the text that its pages hold, by pypdf."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import IO, Any

from pypdf import PdfReader

from onefold_workers.media.facts import MAX_TEXT, Facts, UnreadableError, tags_of, tidy

_MOST_PAGES = 2_000


def read(file: IO[bytes], seconds: float) -> Facts:
    """Facts of a document; text of as many pages as can be read in `seconds`.

    Raises:
        UnreadableError: it is none, or needs a password.
    """
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    ends = time.monotonic() + seconds
    try:
        reader = PdfReader(file, strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise UnreadableError("needs a password")
        facts = Facts("pdf", "application/pdf", pages=len(reader.pages))
    except (UnreadableError, MemoryError):
        raise
    except Exception as error:  # broken files run into whatever they break
        raise UnreadableError(f"cannot be read as PDF ({type(error).__name__})") from None
    _describe(facts, reader)
    texts: list[str] = []
    length = failed = 0
    for number in range(min(facts.pages or 0, _MOST_PAGES)):
        if time.monotonic() > ends or length > MAX_TEXT:
            facts.problem = f"text of {number} of {facts.pages} pages was read"
            break
        try:
            texts.append(reader.pages[number].extract_text())
            length += len(texts[-1])
        except MemoryError:
            raise
        except Exception:
            failed += 1
    if failed:
        facts.problem = f"text of {failed} of {facts.pages} pages cannot be read"
    facts.text = tidy("\n\n".join(t.strip() for t in texts), MAX_TEXT)
    return facts


def _describe(facts: Facts, reader: PdfReader) -> None:
    given: dict[str, Any] = {}
    with suppress(Exception):  # a directory that is no directory
        meta = reader.metadata
        for name in ("title", "author", "subject", "creator", "producer", "creation_date") if meta else ():
            with suppress(Exception):
                given[name] = getattr(meta, name)
    facts.title, facts.author = tidy(given.pop("title", None)), tidy(given.pop("author", None))
    created = given.pop("creation_date", None)
    facts.created_at = created.isoformat() if created is not None else None
    facts.tags = tags_of(given)
