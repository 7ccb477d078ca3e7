"""JSON documents: an array of objects, or an object that holds one. They are read whole, so their size is bounded.

Each element keeps the text it came with, so that long numbers stay exact, and is then read as an NDJSON line.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator
from itertools import islice

import orjson

from onefold_storage.deliveries import Batch
from onefold_workers.connectors.formats import ndjson
from onefold_workers.connectors.formats._format import FileOptions, Format
from onefold_workers.connectors.formats._input import InputFile
from onefold_workers.connectors.formats._objects import Objects
from onefold_workers.connectors.formats._text import utf8

_ROWS = 20_000
# Values are not used, only where they end; float knows no limit to the digits of a number.
_DECODER = json.JSONDecoder(parse_int=float)
_WHITE = re.compile(r"[ \t\n\r]*")
_COMMA = re.compile(r"[ \t\n\r]*,[ \t\n\r]*")
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,40}(?:\.[A-Za-z_][A-Za-z0-9_]{0,40})*")
_LISTED = 10
_DEEPEST = 4
_ONE_LINE = str.maketrans("\r\n", "  ")


def read(file: InputFile, options: FileOptions, expected: tuple[str, ...]) -> Iterator[Batch]:
    """The elements of the document's array as rows of strings; elements that are no object come as bad rows.

    Of an object its one array is taken, or the one that the option `records` names (`data.rows` inside another).
    A file of several objects one after the other is NDJSON under another name, and read as that. `line` in messages
    is the element's place.

    Raises:
        BadInput: empty, larger than `max_bytes`, not JSON, or without an array to take.
    """
    if _is_ndjson(file, options):
        yield from ndjson.read(file, options, expected)
        return
    text = _text(file, options)
    objects = Objects(file.name, dict.fromkeys(expected))
    try:
        elements = _elements(text, _array(text, file, options))
        while lines := list(islice(elements, _ROWS)):
            data = "\n".join(e.translate(_ONE_LINE) if "\n" in e or "\r" in e else e for e in lines)
            yield objects.batch(data.encode("utf-8", "surrogateescape"))
    except json.JSONDecodeError as error:
        raise file.bad(f"is not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from error
    except RecursionError as error:
        raise file.bad("is nested too deeply; expected an array of objects") from error
    if objects.row == 0:
        yield objects.nothing()


def found(file: InputFile, options: FileOptions) -> dict[str, object]:
    """Says `format: ndjson` of a file that is that under another name."""
    return {"format": "ndjson"} if options.format is None and _is_ndjson(file, options) else {}


def _is_ndjson(file: InputFile, options: FileOptions) -> bool:
    """Whether the first line is a whole object and another object follows it."""
    head = b"".join(islice(utf8(file.chunks(), options.encoding), 2)).lstrip()
    first, _, rest = head.partition(b"\n")
    if not rest.lstrip().startswith(b"{"):
        return False
    try:
        return isinstance(orjson.loads(first), dict)
    except orjson.JSONDecodeError:
        return False


def _text(file: InputFile, options: FileOptions) -> str:
    parts = bytearray()
    for chunk in utf8(file.chunks(), options.encoding):
        parts += chunk
        if len(parts) > options.max_bytes:
            raise file.bad(
                f"expected a JSON document of at most {options.max_bytes} bytes, found more; "
                "bring it as NDJSON, which is streamed, or raise the option `max_bytes`"
            )
    text = parts.decode("utf-8", "surrogateescape")
    if not text.strip():
        raise file.bad("the file is empty; expected a JSON array of objects")
    return text


def _array(text: str, file: InputFile, options: FileOptions) -> int:
    """Where the array of rows begins."""
    at = _skip(text, 0)
    if text[at] == "[":
        return at
    arrays: dict[str, int] = {}
    if text[at] == "{":
        arrays = dict(_arrays(text, at, 1))
        if options.records not in arrays and (options.records is not None or len(arrays) != 1):
            arrays = dict(_arrays(text, at, _DEEPEST))
        elif options.records is None:
            return next(iter(arrays.values()))
    if options.records is not None:
        if options.records in arrays:
            return arrays[options.records]
        raise file.bad(f"expected an array under {options.records!r}, found arrays under {_listed(arrays)}")
    problem = f"expected an array of objects, or an object with one array; found arrays under {_listed(arrays)}"
    raise file.bad(f"{problem}; name one with the option `records`" if arrays else problem)


def _listed(arrays: dict[str, int]) -> str:
    """Keys that look like names of fields; others may be data."""
    plain = [f"'{key}'" for key in arrays if _FIELD.fullmatch(key)][:_LISTED]
    return ", ".join([*plain, "others"] if len(plain) < len(arrays) else plain) or "no key"


def _arrays(text: str, at: int, depth: int) -> Iterator[tuple[str, int]]:
    """Keys and places of the arrays in the object that begins at `at`, and of those in objects in it: `data.rows`."""
    at = _skip(text, at + 1)
    while text[at : at + 1] != "}":
        if text[at : at + 1] != '"':
            raise json.JSONDecodeError("Expecting a name in double quotes", text, at)
        key, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _past(":", text, at))
        if text[at : at + 1] == "[":
            yield key, at
            ((_, at),) = deque(_spans(text, at), maxlen=1)
        else:
            if text[at : at + 1] == "{" and depth > 1:
                yield from ((f"{key}.{inner}", place) for inner, place in _arrays(text, at, depth - 1))
            at = _DECODER.raw_decode(text, at)[1]
        at = _skip(text, at)
        if text[at : at + 1] != "}":
            at = _skip(text, _past(",", text, at))


def _elements(text: str, at: int) -> Iterator[str]:
    """The text of each element of the array that begins at `at`."""
    for start, end in _spans(text, at):
        if text[start] != "]":
            yield text[start:end]


def _spans(text: str, at: int) -> Iterator[tuple[int, int]]:
    """Where each element of the array at `at` begins and ends; last comes the closing bracket's place."""
    at = _skip(text, at + 1)
    comma = None
    while text[at : at + 1] != "]":
        end = _DECODER.raw_decode(text, at)[1]
        yield at, end
        comma = _COMMA.match(text, end)
        at = comma.end() if comma else _skip(text, end)
        if not comma and text[at : at + 1] != "]":
            raise json.JSONDecodeError("Expecting ',' or ']'", text, at)
    if comma:
        raise json.JSONDecodeError("Expecting a value after the comma", text, at)
    yield at, at + 1


def _past(mark: str, text: str, at: int) -> int:
    at = _skip(text, at)
    if text[at : at + 1] != mark:
        raise json.JSONDecodeError(f"Expecting {mark!r}", text, at)
    return at + 1


def _skip(text: str, at: int) -> int:
    match = _WHITE.match(text, at)
    return match.end() if match else at


FORMAT = Format("json", ("json",), read, found)
