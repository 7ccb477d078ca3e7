"""Exports of social media, generated in the shapes that the platforms write; nobody in them exists."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold_storage.errors import BadInput
from onefold_storage.json_paths import steps
from onefold_workers.connectors.formats import discover
from onefold_workers.connectors.formats.export import repaired


def _as_bytes(value: Any) -> bytes:
    """As one platform writes it: each byte of UTF-8 an escaped character of its own."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if ord(c) < 128 else "".join(f"\\u00{b:02x}" for b in c.encode()) for c in text).encode()


THREAD = {
    "participants": [{"name": "Zoë Müller"}, {"name": "Our Shop"}],
    "messages": [
        {
            "sender_name": "Zoë Müller", "timestamp_ms": 1520154672000, "content": "Größe 42? 👍",
            "photos": [{"uri": "photos/1.jpg"}],
        },
        {"sender_name": "Our Shop", "timestamp_ms": 1520154673000, "content": "Ja \\u00e9 \"gern\"\n"},
        "no message",
    ],
    "title": "Zoë Müller", "thread_path": "inbox/zoe_1",
}  # fmt: skip
POSTS = [
    {
        "timestamp": 1520154672,
        "data": [{"post": "Neue Schuhe!"}],
        "attachments": [{"data": [{"media": {"uri": "a.jpg"}}]}],
    },
    {"timestamp": 1520154673, "data": [], "title": "shared a link"},
]
COMMENTS = {
    "comments_v2": [
        {
            "timestamp": 1520154672,
            "title": "commented",
            "data": [{"comment": {"comment": "Schön!", "author": "Zoë Müller"}}],
        }
    ]
}
LIKES = {
    "Activity": {
        "Like List": {"ItemFavoriteList": [{"Date": "2018-03-04 09:11:12", "Link": "https://x.example/1"}]}
    }
}
PROFILE = {
    "profile_user": [{"string_map_data": {"Name": {"value": "Zoë"}, "E-Mail.1": {"value": "zoe@example.org"}}}]
}


def test_messages_of_a_thread(read_bytes: Callable[..., Any]) -> None:
    found = read_bytes(
        _as_bytes(THREAD), "message_1.json", format="export", records="messages",
        columns=(
            "sender_name", "timestamp_ms", "content", "photos[0].uri", "parent.thread_path",
            "parent.participants[1].name",
        ),
    )  # fmt: skip
    first, second = found.values
    assert (first["sender_name"], first["content"]) == ("Zoë Müller", "Größe 42? 👍")
    assert (first["timestamp_ms"], first["photos[0].uri"]) == ("1520154672000", "photos/1.jpg")
    assert (first["parent.thread_path"], first["parent.participants[1].name"]) == ("inbox/zoe_1", "Our Shop")
    assert second["content"] == 'Ja \\u00e9 "gern"\n', "a backslash that was written stays one"
    assert second["photos[0].uri"] is None
    assert found.rules == {2: "json"}


def test_posts_comments_likes_profiles_and_scripts(read_bytes: Callable[..., Any]) -> None:
    posts = read_bytes(
        _as_bytes(POSTS),
        "posts.json",
        format="export",
        columns=("data[0].post", "attachments[0].data[0].media.uri"),
    )
    assert [r["data[0].post"] for r in posts.values] == ["Neue Schuhe!", None]
    assert posts.values[0]["attachments[0].data[0].media.uri"] == "a.jpg"
    assert posts.values[1]["title"] == "shared a link", "what the contract does not name is kept"
    comments = read_bytes(_as_bytes(COMMENTS), "c.json", format="export", columns=("data[0].comment.comment",))
    assert comments.values[0]["data[0].comment.comment"] == "Schön!"
    likes = read_bytes(
        json.dumps(LIKES).encode(),
        "user_data.json",
        format="export",
        records="Activity.Like List.ItemFavoriteList",
        columns=("Date",),
    )
    assert likes.values[0]["Date"] == "2018-03-04 09:11:12"
    name, mail = "string_map_data.Name.value", "string_map_data['E-Mail.1'].value"
    profile = read_bytes(_as_bytes(PROFILE), "p.json", format="export", columns=(name, mail))
    assert (profile.values[0][name], profile.values[0][mail]) == ("Zoë", "zoe@example.org")
    script = (
        b"window.YTD.tweets.part0 = "
        + json.dumps([{"tweet": {"id_str": "1", "full_text": "caf\u00e9 \u20ac"}}]).encode()
        + b";\n"
    )
    tweets = read_bytes(script, "tweets.js", format="export", columns=("tweet.id_str", "tweet.full_text"))
    assert (tweets.values[0]["tweet.id_str"], tweets.values[0]["tweet.full_text"]) == ("1", "café €")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"{no", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"a": [], "b": [{}]}', "several arrays"),
        (b"window.x = ", "is not JSON"),
    ],
)
def test_what_is_no_export(read_bytes: Callable[..., Any], data: bytes, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        read_bytes(data, "x.json", format="export")


def test_an_export_is_bounded(read_bytes: Callable[..., Any]) -> None:
    large = b"[" + b",".join([b'{"a": "%s"}' % (b"x" * 1000)] * 34_000) + b"]"
    with pytest.raises(BadInput, match="at most 33554432 bytes"):
        read_bytes(large, "x.json", format="export")
    assert len(read_bytes(large, "x.json", format="export", max_bytes=40 << 20).values) == 34_000


def test_a_path_that_is_none_is_told(read_bytes: Callable[..., Any]) -> None:
    with pytest.raises(BadInput, match="expected names, places"):
        read_bytes(b"[]", "x.json", format="export", records="a]b")


@settings(max_examples=60)
@given(st.text(max_size=60), st.text(max_size=20))
def test_what_was_written_as_bytes_is_repaired_and_all_else_stays(one: str, two: str) -> None:
    meant = {"a": one, "b": [two]}
    assert json.loads(repaired(_as_bytes(meant))) == json.loads(json.dumps(meant))
    plain = json.dumps(meant).encode()  # escapes of characters, not of bytes
    latin = any(0x80 <= ord(c) < 0x100 for c in one + two)
    if not latin:
        assert json.loads(repaired(plain)) == meant
    assert repaired(json.dumps({"a": "café", "b": one}).encode()) == json.dumps({"a": "café", "b": one}).encode()


def test_an_export_needs_its_format_named(tmp_path: Path, read_bytes: Callable[..., Any]) -> None:
    assert discover()["export"].extensions == ()
    assert steps("$.a[0]['b.c'].d e[]") == steps("a[0]['b.c'].d e[]") == ("a", 0, "b.c", "d e", None)
