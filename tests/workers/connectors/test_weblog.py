"""Web server logs: common and combined format, odd requests, and what is no request at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from onefold_storage.errors import BadInput

COMMON = '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a.gif?x=1 HTTP/1.0" 200 2326'
COMBINED = COMMON + ' "http://example.org/" "Mozilla/5.0 \\"(X11; Linux)\\""'


def test_both_formats(read_bytes: Callable[..., Any]) -> None:
    odd = '::1 - - [01/Jan/2018:00:00:00 +0000] "\\x16\\x03" 400 -'
    short = 'host - - [01/Jan/2018:00:00:00 +0000] "-" 408 0 "-" "-"'
    found = read_bytes("\n".join([COMMON, "", COMBINED, odd, short]).encode() + b"\n", "access.log")
    first, second, third, fourth = found.values
    assert (first["host"], first["user"], first["ident"]) == ("127.0.0.1", "frank", None)
    assert (first["time"], first["method"], first["path"]) == ("2000-10-10T20:55:36Z", "GET", "/a.gif?x=1")
    assert (first["status"], first["bytes"], first["agent"]) == ("200", "2326", None)
    assert second["referer"] == "http://example.org/"
    assert second["agent"] == 'Mozilla/5.0 \\"(X11; Linux)\\"'
    assert (third["request"], third["method"], third["bytes"]) == ("\\x16\\x03", None, None)
    assert (fourth["request"], fourth["agent"]) == (None, None)


def test_lines_that_are_no_request_cost_only_themselves(read_bytes: Callable[..., Any]) -> None:
    lines = [
        COMMON,
        "nonsense",
        COMMON.replace("Oct", "Okt"),
        COMMON,
        'x - - [10/Oct/2000:13:55:36 -0700] "GET / "',
    ]
    data = "\n".join(lines).encode() + b"\n\xff\xfe not text\n" + COMMON.encode()
    found = read_bytes(data, "access.log")
    assert found.rules == dict.fromkeys((1, 2, 4, 5), "log")
    assert len(found.rows) == 3
    assert "127.0.0.1" not in "".join(b.message for b in found.bad)


def test_a_line_that_is_too_long(read_bytes: Callable[..., Any]) -> None:
    found = read_bytes(
        COMMON.encode() + b"\n" + b"x" * (9 << 20) + b"\n" + COMMON.encode(), "a.log", max_row_bytes=1 << 20
    )
    assert found.rules == {1: "too_long"}
    assert len(found.rows) == 2


def test_an_empty_file(read_bytes: Callable[..., Any]) -> None:
    with pytest.raises(BadInput, match="the file is empty"):
        read_bytes(b"", "a.log")
