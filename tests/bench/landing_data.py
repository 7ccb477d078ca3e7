"""One second of the world's traffic as records, generated with a seed: eight sources, their contracts, their truth.

The counts are the mission's: 2,314,084 emails, 44,490 searches, 84,841 video views, 30,000 likes, 7,231 tweets,
1,473 calls, 1,362 posts, 1,129 images. A record is what a mail gateway, a shop or a network hands over about an
event; bodies, sounds and pixels are objects, not records. Columns and mean length of their text:

- emails: message_id (24), sent_at, sender (25) and recipient (25), subject (44), bytes
- searches: search_id (24), searched_at, device (16), query (24), results
- video_views: view_id (24), viewed_at, viewer (16), video (11), watched_seconds, completed
- likes: like_id (24), liked_at, account (16), post (12), reaction
- tweets: tweet_id (24), posted_at, handle (13), text (130: emoji, quotes, commas, line ends), language
- calls: call_id (24), started_at, caller and callee (12), seconds, answered
- posts: post_id (24), posted_at, account (16), title (44), body (430), url
- images: image_id (24), taken_at, account (16), object, width, height, bytes, caption (60)

Nobody in them exists: addresses end in `.example`, phone numbers are drawn at random.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onefold_storage import contracts
from onefold_storage.contracts import Contract

SEED = 20261124
SECOND = {
    "emails": 2_314_084,
    "searches": 44_490,
    "video_views": 84_841,
    "likes": 30_000,
    "tweets": 7_231,
    "calls": 1_473,
    "posts": 1_362,
    "images": 1_129,
}
"""Records a second, by source; the order in which they are landed."""
PEOPLE = 1_000_000
"""Addresses that mail goes to and comes from."""
_START = 1_795_500_000_000_000
"""The second, in microseconds since 1970: 2026-11-24."""


def _split(text: str) -> list[str]:
    return text.split()


_GIVEN = _split("""
ada alan amir ana anna ben bruno carl chen clara dana david elena emma eva felix fatima finn grace hana hugo
ida ines ivan jana jonas julia kai karim lara lena leo lin luca maria mark maya mia milan nadia nina noah olga
omar oscar paul pia rosa ruth sara sofia tara theo tim tom uma vera victor yara yuki zoe
""")
_FAMILY = _split("""
adams ahmed alvarez bauer becker berg brown castro chen clark costa cruz dahl diaz dubois evans fischer fox
garcia gomez gray haas hansen hill huber ito jensen jones kaya keller khan kim klein koch kowalski lang larsen
lee lopez maier martin meyer moore mueller nagy nguyen novak olsen park patel perez popov rao reed rossi ruiz
sato schmidt silva singh smith tanaka taylor vogel wagner walker wang weber wood yilmaz young zhang
""")
_WORDS = _split("""
about account after again agenda also amount another answer april around attached autumn available back
because before best better between big bill black blue board book box bring budget business but buy call can
cancel case change check city class close club code coffee come confirm contact cost could customer daily date
day deal delivery detail discount document done door down draft early easy end engine every exchange extra
family fast few final find first five flight follow for free friday friend from full garden gift give good
great green group guide half happy have help here high holiday home hotel hour house how idea important inside
invoice issue item january join july just keep kitchen know large last late launch learn leave less letter
life light like limit line list little live local long look lost lunch main make many march market may meeting
member message minute monday money month more morning most move much music must near need never new news next
nice night nine north not note notice number offer office often old once one online only open option order
other our out over own pack page paper part party pay people phone photo pick place plan play please point
policy post price print private project question quick rain rate read ready real reason receipt red refund
remind reply report request reserve rest result return review right road room run sale same save school season
seat second see send service set seven share ship shoes shop short show side sign since site six size small
some soon special spring staff start station status stay still stock stop store story street strong student
style subject summer sunday sure survey table take talk team tell ten test than thank that their them then
there these they thing this three thursday ticket time today together tomorrow tonight top total town track
train travel trip trust try tuesday turn two under until update upgrade use very video view visit voice wait
walk wallet want warm watch water way wednesday week welcome well what when where which while white who why
will window winter with without word work world write year yes yesterday you your zone
""")
_ODD = ["🎉", "café,", '"quoted"', "naïve", "50%", "line\nend", "日本", "O'Neil's", "a;b", "#tag", "@home", "…"]


@dataclass(frozen=True)
class Source:
    """One source: its columns as (name, ODCS properties), and a generator of `n` rows from row `first` on."""

    name: str
    columns: tuple[tuple[str, dict[str, object]], ...]
    rows: Callable[[np.random.Generator, int, int], dict[str, pa.Array]]

    @property
    def key(self) -> str:
        """The primary key's column."""
        return self.columns[0][0]

    def table(self, n: int, first: int = 0, seed: int = SEED) -> pa.Table:
        """Rows `first` to `first + n`, with the types of the contract; the same for the same arguments."""
        rng = np.random.default_rng([seed, first, *self.name.encode()])
        made = self.rows(rng, n, first)
        return pa.table({c: made[c] for c, _ in self.columns}, self.contract("x").arrow)

    def contract(self, location: str) -> Contract:
        """Its data contract, for files at `location`."""
        return contracts.parse(self.contract_text(location), f"{self.name}.yaml")

    def contract_text(self, location: str) -> str:
        """The contract as ODCS in YAML (JSON, which is YAML too)."""
        import json

        rules = {"location": location, "lawful_basis": "consent", "data_use": ["marketing"]}
        document = {
            "kind": "DataContract",
            "apiVersion": "v3.1.0",
            "id": self.name,
            "version": "1.0.0",
            "status": "active",
            "schema": [
                {
                    "name": self.name,
                    "logicalType": "object",
                    "properties": [{"name": name, **facts} for name, facts in self.columns],
                }
            ],
            "customProperties": [{"property": "onefold", "value": rules}],
        }
        return json.dumps(document, indent=1)


def addresses(places: np.ndarray) -> pa.Array:
    """Email addresses of the people numbered `places`."""
    return _addresses().take(pa.array(places))


@lru_cache(maxsize=1)
def _addresses() -> pa.Array:
    i = np.arange(PEOPLE)
    given, family = _take(_GIVEN, i % len(_GIVEN)), _take(_FAMILY, i // len(_GIVEN) % len(_FAMILY))
    number = pc.cast(pa.array(i // (len(_GIVEN) * len(_FAMILY)) + 1960), pa.string())
    hosts = [f"{w}.example" for w in ("mail", "post", "inbox", "web", "letters", "home-net", "office")]
    host = _take(hosts, (i * 2_654_435_761 >> 7) % len(hosts))
    return _joined("", _joined(".", given, family), number, "@", host)


def _take(words: list[str], places: np.ndarray) -> pa.Array:
    return pa.array(words).take(pa.array(places.astype(np.int32)))


def _joined(separator: str, *parts: pa.Array | str) -> pa.Array:
    return pc.binary_join_element_wise(*parts, separator)


def _ids(rng: np.random.Generator, n: int, first: int) -> pa.Array:
    """24 hexadecimal digits, the first eight of them the row's number: unique."""
    raw = np.empty((n, 12), np.uint8)
    raw[:, :4] = np.arange(first, first + n, dtype=">u4").view(np.uint8).reshape(n, 4)
    raw[:, 4:] = rng.integers(0, 256, (n, 8), np.uint8)
    return _hex(raw)


def _hex(raw: np.ndarray) -> pa.Array:
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    text = np.empty((raw.shape[0], raw.shape[1] * 2), np.uint8)
    text[:, 0::2], text[:, 1::2] = digits[raw >> 4], digits[raw & 15]
    offsets = np.arange(len(raw) + 1, dtype=np.int32) * text.shape[1]
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(text.tobytes())]
    return pa.Array.from_buffers(pa.string(), len(raw), buffers)


def _times(rng: np.random.Generator, n: int) -> pa.Array:
    return pa.array(np.sort(rng.integers(0, 1_000_000, n)) + _START, pa.timestamp("us", "UTC"))


def _account(rng: np.random.Generator, n: int) -> pa.Array:
    return _hex(rng.integers(0, 200_000, n).astype(">u8").view(np.uint8).reshape(n, 8))


def _text(rng: np.random.Generator, n: int, low: int, high: int, odd: float = 0.0) -> pa.Array:
    """`low` to `high` words a row, some of them odd ones with the probability `odd`."""
    words = pa.array([*_WORDS, *_ODD])
    counts = rng.integers(low, high + 1, n)
    picked = rng.integers(0, len(_WORDS), int(counts.sum()))
    if odd:
        strange = rng.random(len(picked)) < odd
        picked[strange] = len(_WORDS) + rng.integers(0, len(_ODD), int(strange.sum()))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pc.binary_join(pa.ListArray.from_arrays(offsets, words.take(pa.array(picked))), " ")


def _phones(rng: np.random.Generator, n: int) -> pa.Array:
    return _joined("", "+49", pc.cast(pa.array(rng.integers(151_000_000, 179_999_999, n)), pa.string()))


def _phrases(n: int, places: np.ndarray, low: int, high: int) -> pa.Array:
    """Texts that many rows share, as a campaign's subject or a popular search."""
    return _text(np.random.default_rng([SEED, n, low]), n, low, high).take(pa.array(places))


def _emails(rng: np.random.Generator, n: int, first: int) -> dict[str, pa.Array]:
    own = _text(rng, n, 5, 11)  # three in ten are written by hand, the others belong to a campaign
    sent = _phrases(20_000, rng.integers(0, 20_000, n), 5, 11)
    return {
        "message_id": _ids(rng, n, first),
        "sent_at": _times(rng, n),
        "sender": addresses(rng.integers(0, 60_000, n)),
        "recipient": addresses(rng.integers(0, PEOPLE, n)),
        "subject": pc.if_else(pa.array(rng.random(n) < 0.3), own, sent),
        "bytes": pa.array(rng.lognormal(10, 1, n).astype(np.int64)),
    }


def _searches(rng: np.random.Generator, n: int, first: int) -> dict[str, pa.Array]:
    return {
        "search_id": _ids(rng, n, first),
        "searched_at": _times(rng, n),
        "device": _account(rng, n),
        "query": _text(rng, n, 2, 7),
        "results": pa.array(rng.integers(0, 100_000, n)),
    }


def _video_views(rng: np.random.Generator, n: int, first: int) -> dict[str, pa.Array]:
    return {
        "view_id": _ids(rng, n, first),
        "viewed_at": _times(rng, n),
        "viewer": _account(rng, n),
        "video": _joined("", "v", pc.cast(pa.array(rng.integers(10**9, 10**10, n)), pa.string())),
        "watched_seconds": pa.array(rng.integers(0, 6_000_000, n) / 1000),
        "completed": pa.array(rng.random(n) < 0.4),
    }


def _likes(rng: np.random.Generator, n: int, first: int) -> dict[str, pa.Array]:
    return {
        "like_id": _ids(rng, n, first),
        "liked_at": _times(rng, n),
        "account": _account(rng, n),
        "post": _joined("", "p", pc.cast(pa.array(rng.integers(10**10, 10**11, n)), pa.string())),
        "reaction": _take(["like", "love", "laugh", "sad"], rng.integers(0, 4, n)),
    }


def _tweets(rng: np.random.Generator, n: int, first: int) -> dict[str, pa.Array]:
    return {
        "tweet_id": _ids(rng, n, first),
        "posted_at": _times(rng, n),
        "handle": _joined("", "@", pc.utf8_slice_codeunits(addresses(rng.integers(0, 200_000, n)), 0, 12)),
        "text": _text(rng, n, 8, 40, odd=0.05),
        "language": _take(["en", "de", "ja", "es", "pt"], rng.integers(0, 5, n)),
    }


def _calls(rng: np.random.Generator, n: int, first: int) -> dict[str, pa.Array]:
    return {
        "call_id": _ids(rng, n, first),
        "started_at": _times(rng, n),
        "caller": _phones(rng, n),
        "callee": _phones(rng, n),
        "seconds": pa.array(rng.integers(0, 3600, n)),
        "answered": pa.array(rng.random(n) < 0.7),
    }


def _posts(rng: np.random.Generator, n: int, first: int) -> dict[str, pa.Array]:
    account = _account(rng, n)
    return {
        "post_id": _ids(rng, n, first),
        "posted_at": _times(rng, n),
        "account": account,
        "title": _text(rng, n, 5, 11),
        "body": _text(rng, n, 40, 120, odd=0.02),
        "url": _joined("", "https://blog.example/", account, "/", pc.cast(pa.array(np.arange(n)), pa.string())),
    }


def _images(rng: np.random.Generator, n: int, first: int) -> dict[str, pa.Array]:
    made = _ids(rng, n, first)
    return {
        "image_id": made,
        "taken_at": _times(rng, n),
        "account": _account(rng, n),
        "object": _joined("", "images/", made, ".jpg"),
        "width": pa.array(rng.integers(640, 6000, n)),
        "height": pa.array(rng.integers(480, 4000, n)),
        "bytes": pa.array(rng.lognormal(14, 1, n).astype(np.int64)),
        "caption": _text(rng, n, 4, 20, odd=0.02),
    }


def _columns(key: str, **others: str) -> tuple[tuple[str, dict[str, object]], ...]:
    """A primary key, then `name="type"`, `name="type!"` where required, `name="email"` and the like by kind."""
    made: list[tuple[str, dict[str, object]]] = [(key, {"logicalType": "string", "primaryKey": True})]
    for name, given in others.items():
        kind = given.rstrip("!")
        own: dict[str, object] | None = {"kind": kind} if kind in ("email", "phone") else None
        if kind == "account":
            own = {"kind": "external_id", "scheme": name}
        facts: dict[str, object] = {"logicalType": "string" if own else kind, "required": given.endswith("!")}
        if own:
            facts["customProperties"] = [{"property": "onefold", "value": own}]
        made.append((name, facts))
    return tuple(made)


SOURCES = (
    Source(
        "emails",
        _columns(
            "message_id",
            sent_at="timestamp!",
            sender="email!",
            recipient="email!",
            subject="string",
            bytes="integer",
        ),
        _emails,
    ),
    Source(
        "searches",
        _columns("search_id", searched_at="timestamp!", device="account!", query="string!", results="integer"),
        _searches,
    ),
    Source(
        "video_views",
        _columns(
            "view_id",
            viewed_at="timestamp!",
            viewer="account!",
            video="string!",
            watched_seconds="number",
            completed="boolean",
        ),
        _video_views,
    ),
    Source(
        "likes",
        _columns("like_id", liked_at="timestamp!", account="account!", post="string!", reaction="string"),
        _likes,
    ),
    Source(
        "tweets",
        _columns("tweet_id", posted_at="timestamp!", handle="account!", text="string!", language="string"),
        _tweets,
    ),
    Source(
        "calls",
        _columns(
            "call_id",
            started_at="timestamp!",
            caller="phone!",
            callee="phone!",
            seconds="integer",
            answered="boolean",
        ),
        _calls,
    ),
    Source(
        "posts",
        _columns(
            "post_id", posted_at="timestamp!", account="account!", title="string", body="string!", url="string"
        ),
        _posts,
    ),
    Source(
        "images",
        _columns(
            "image_id",
            taken_at="timestamp!",
            account="account!",
            object="string!",
            width="integer",
            height="integer",
            bytes="integer",
            caption="string",
        ),
        _images,
    ),
)
"""The eight sources, in the order of `SECOND`."""
