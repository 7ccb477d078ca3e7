"""Who an event belongs to: a device joins its user with its history, one that several share belongs to nobody."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from onefold_storage.erasure import erase
from onefold_storage.installation import Installation
from onefold_storage.schema import ACCOUNTS, CONSENTS, CUSTOMERS, LINKS, PERMISSIONS, RELATIONS
from onefold_workers.cluster import cluster
from onefold_workers.stages.gathering import customer_rows, gather
from onefold_workers.stages.mapping import map_sources
from onefold_workers.stages.profiling import build_profiles
from onefold_workers.stages.resolving import resolve_identities

pytestmark = [pytest.mark.needs_dask, pytest.mark.slow]
made = runpy.run_path(str(Path(__file__).with_name("tracking_home.py")))
PEOPLE = 30  # besides, so that the identity model has something to learn from
MARIA = {"email": "maria@example.org", "firstName": "Maria", "lastName": "Lopez"}
JOHN = {"email": "john@example.org", "firstName": "John", "lastName": "Miller"}
KIM = {"email": "kim@example.org", "firstName": "Kim", "lastName": "Park"}
LI = {"email": "li@example.org", "firstName": "Li", "lastName": "Wang"}


@dataclass(frozen=True)
class Integrated:
    """What onefold made of the shop's events at one time."""

    owners: dict[str, str]
    pages: dict[str, list[str]]
    orphans: int
    customers: dict[str, dict[str, Any]]
    marketing: dict[str, bool]

    def owner(self, key: str) -> str | None:
        """The golden ID of a record of the shop."""
        return self.owners.get(f"web:{key}")

    def seen_by(self, key: str) -> list[str]:
        """The pages that a record's customer has seen, oldest first."""
        return self.pages.get(self.owners[f"web:{key}"], [])

    def customer(self, key: str) -> dict[str, Any]:
        """The golden record of a record."""
        return self.customers[self.owners[f"web:{key}"]]


class Shop:
    """A web shop that is tracked."""

    def __init__(self, installation: Installation, client: Any) -> None:
        self.home, self.client = installation, client
        self.token = installation.ledger.keys.create("web", ["ingest:web"])[1]
        self.second = 0

    def send(self, kind: str, device: str | None = None, **fields: Any) -> None:
        """One event, a second after the last."""
        self.second += 1
        at = f"2026-01-05T10:{self.second // 60:02}:{self.second % 60:02}.000Z"
        event = made["from_browser"](kind, self.token, anonymousId=device, timestamp=at, sentAt=None, **fields)
        assert self.client.post(f"/v1/{kind}", json=event).json() == {"success": True}

    def visit(self, device: str, page: str, user: str | None = None) -> None:
        """A page that is seen on a device."""
        self.send("page", device, userId=user, properties={"path": page})

    def identify(self, device: str | None, user: str, **traits: Any) -> None:
        """Somebody signs in."""
        self.send("identify", device, userId=user, traits=traits)

    def integrate(self) -> Integrated:
        """What the flow does with what has landed."""
        made["landed"](self.home)
        lake, contracts = self.home.lake, self.home.workspace.contracts()
        map_sources(self.home, contracts)
        resolve_identities(self.home, contracts, accept_changes=True)
        gathered = gather(self.home)
        build_profiles(self.home, contracts, gathered)
        held = (
            lake.scan(LINKS.name).filter(pl.col("valid_to").is_null()).select("record_key", "golden_id").collect()
        )
        rows = [customer_rows(lake, gathered, "interactions", p).collect() for p in range(gathered.partitions)]
        path = pl.col("payload").str.json_path_match("$.['properties.path']")
        seen = pl.concat(rows).sort("effective_at").group_by("golden_id", maintain_order=True).agg(path)
        allowed = lake.scan(PERMISSIONS.name).filter(data_use="marketing", channel="email").collect()
        return Integrated(
            dict(held.rows()), dict(seen.rows()), gathered.orphans,
            {r["golden_id"]: r for r in lake.scan(CUSTOMERS.name).collect().iter_rows(named=True)},
            dict(allowed.select("golden_id", "allowed").rows()),
        )  # fmt: skip


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, list[Integrated]]]:
    """A shop in three chapters: visitors, who then sign in, and then share a device and change their minds."""
    home = made["installed"](tmp_path_factory.mktemp("walk") / "home", web=made["with_everything"]("web"))
    with made["serving"](home) as client, cluster():
        shop = Shop(home, client)
        names = ["Ada", "Bruno", "Carla", "Dmitri", "Elif", "Fatou", "Goran"]
        for n in range(PEOPLE):  # customers who have nothing to do with each other
            first, last = names[n % 7], f"{names[n % 5]}s{chr(97 + n % 26)}n"
            email = f"{first}.{last}{n}@example.org".lower()
            shop.identify(f"other-device-{n:04}", f"other-{n:04}", email=email, firstName=first, lastName=last)
        for device, page in (
            ("phone-1", "/tea"),
            ("phone-1", "/coffee"),
            ("family-pc", "/before"),
            ("old-sdk", "/a"),
        ):
            shop.visit(device, page)
        chapters = [shop.integrate()]

        shop.identify("phone-1", "u-maria", **MARIA)
        shop.identify("phone-1", "u-maria", plan="gold", phone="+49 30 901820")
        shop.visit("phone-1", "/cart", "u-maria")
        shop.visit("laptop-1", "/news")  # another device of hers, on which she signs in later
        shop.identify("laptop-1", "u-maria", **MARIA, marketing_consent="yes")
        shop.identify("family-pc", "u-kim", **KIM)
        shop.visit("family-pc", "/hers", "u-kim")
        shop.send("alias", previousId="old-sdk", userId="u-john")  # as older SDKs tell who a visitor is
        shop.send("track", event="Asked", userId="old-number", properties={"path": "/old"})
        shop.send("alias", previousId="old-number", userId="u-john")
        shop.identify(None, "u-john", **JOHN)
        shop.send(
            "group", "phone-1", userId="u-maria", groupId="g-1", traits={"name": "Acme Ltd", "industry": "Tea"}
        )
        chapters.append(shop.integrate())

        shop.identify("laptop-1", "u-maria", marketing_consent="no")
        # Li signs in without Kim having signed out: the device keeps its anonymous ID.
        shop.identify("family-pc", "u-li", **LI)
        shop.visit("family-pc", "/his", "u-li")
        shop.visit("family-pc", "/whose")
        # Where somebody signs out, the SDK resets the anonymous ID, and each has a history.
        shop.visit("family-pc-2", "/juice")
        shop.identify("family-pc-2", "u-kim", **KIM)
        shop.visit("family-pc-3", "/beer")
        shop.identify("family-pc-3", "u-li", **LI)
        shop.send("identify", "kiosk", userId="u-bare-1")
        shop.send("identify", "kiosk", userId="u-bare-2")
        chapters.append(shop.integrate())
        yield shop, chapters
    home.ledger.close()


def test_a_visitor_who_signs_in_has_the_history_of_before(walk: tuple[Shop, list[Integrated]]) -> None:
    _, (visitors, signed_in, _) = walk
    assert visitors.owner("device/phone-1") is None
    assert visitors.orphans == 4 and len(visitors.customers) == PEOPLE  # nobody's yet, and not lost
    assert signed_in.seen_by("u-maria") == ["/tea", "/coffee", "/cart", "/news"]
    assert signed_in.orphans == 0 and len(signed_in.customers) == PEOPLE + 3
    assert signed_in.owner("u-maria") == signed_in.owner("device/phone-1") == signed_in.owner("device/laptop-1")
    maria = signed_in.customer("u-maria")
    assert (maria["given_name"], maria["family_name"], maria["email"]) == ("Maria", "Lopez", "maria@example.org")
    assert maria["phone"] == "+4930901820"  # a later identify adds to an earlier one
    ids = {(i["scheme"], i["value"]) for i in maria["external_ids"]}
    assert {("web_user", "u-maria"), ("anonymous_id", "phone-1"), ("anonymous_id", "laptop-1")} <= ids


def test_a_wish_told_by_identify_holds_until_another_is_told(walk: tuple[Shop, list[Integrated]]) -> None:
    shop, (_, before, after) = walk
    told = shop.home.lake.scan(CONSENTS.name).sort("effective_at").collect()
    assert told.select("subject", "state").rows() == [("web:u-maria", "GRANTED"), ("web:u-maria", "DENIED")]
    maria = before.owners["web:u-maria"]
    assert after.owners["web:u-maria"] == maria
    assert (before.marketing[maria], after.marketing[maria]) == (True, False)


def test_two_people_at_one_device_stay_two(walk: tuple[Shop, list[Integrated]]) -> None:
    _, (_, before, after) = walk
    assert before.seen_by("u-kim") == ["/before", "/hers"]
    assert after.owner("u-kim") == before.owner("u-kim") != after.owner("u-li")
    # What was seen on the shared device without a user is nobody's; what each did is theirs.
    assert after.seen_by("u-kim") == ["/hers", "/juice"] and after.seen_by("u-li") == ["/his", "/beer"]
    assert after.owner("device/family-pc") is None and after.orphans == 2
    # Not even two who said nothing of themselves are one, who have nothing in common but the device.
    assert after.owner("u-bare-1") not in (None, after.owner("u-bare-2"))


def test_an_alias_makes_one_of_two_ids(walk: tuple[Shop, list[Integrated]]) -> None:
    _, (_, signed_in, after) = walk
    for found in (signed_in, after):
        assert found.owner("u-john") == found.owner("device/old-sdk") == found.owner("old-number")
        assert found.seen_by("u-john") == ["/a", "/old"]


def test_a_group_is_an_account_that_its_user_works_for(walk: tuple[Shop, list[Integrated]]) -> None:
    shop, (_, signed_in, _) = walk
    account = shop.home.lake.scan(ACCOUNTS.name).collect().row(0, named=True)
    assert (account["record_key"], account["name"], account["industry"]) == ("web:group/g-1", "Acme Ltd", "Tea")
    works = shop.home.lake.scan(RELATIONS.name).filter(kind="works_for").collect()
    assert works.select("from_key", "to_key").rows() == [("web:u-maria", "web:group/g-1")]
    assert signed_in.customer("u-maria")["full_name"] in (None, "Maria Lopez")  # not the company's name


def test_who_is_erased_is_gone_with_the_devices_and_does_not_come_back(walk: tuple[Shop, list[Integrated]]) -> None:
    shop, (*_, now) = walk
    golden = now.owners["web:u-john"]
    receipt = erase(shop.home, golden, shop.home.clock.now())
    assert receipt.complete, receipt
    before = made["counts"](shop.home)
    shop.visit("phone-of-john", "/again", "u-john")
    shop.visit("old-sdk", "/again")  # his device, known as his
    shop.identify("phone-of-john", "u-4711", email=JOHN["email"])
    shop.visit("phone-1", "/again")  # another one's
    after = made["counts"](shop.home)
    assert {k: after[k] - before[k] for k in ("sent", "landed", "suppressed")} == {
        "sent": 4,
        "landed": 1,
        "suppressed": 3,
    }
