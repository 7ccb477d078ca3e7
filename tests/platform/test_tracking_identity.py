"""Who an event belongs to: a device joins its user with its history, one that several share belongs to nobody."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

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


@pytest.fixture(scope="module", autouse=True)
def _workers() -> Iterator[None]:
    with cluster():
        yield


class Shop:
    """A web shop that is tracked, and what onefold makes of it."""

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

    def visit(self, device: str, page: str, **fields: Any) -> None:
        """A page that is seen on a device."""
        self.send("page", device, properties={"path": page}, **fields)

    def integrate(self) -> None:
        """What the flow does with what has landed."""
        made["landed"](self.home)
        contracts = self.home.workspace.contracts()
        map_sources(self.home, contracts)
        resolve_identities(self.home, contracts, accept_changes=True)
        build_profiles(self.home, contracts, gather(self.home))

    def owner(self, key: str) -> str | None:
        """The golden ID of a record of the shop."""
        held = self.home.lake.scan(LINKS.name).filter(pl.col("valid_to").is_null(), record_key=f"web:{key}")
        found = held.collect()["golden_id"].to_list()
        return found[0] if found else None

    def pages(self, key: str) -> list[str]:
        """The pages that a record's customer has seen, oldest first."""
        gathered = gather(self.home)
        rows = pl.concat(
            customer_rows(self.home.lake, gathered, "interactions", p).collect() for p in range(gathered.partitions)
        )
        own = rows.filter(golden_id=self.owner(key)).sort("effective_at")
        return own["payload"].str.json_path_match("$.['properties.path']").to_list()

    def orphans(self) -> int:
        """Interactions that belong to no customer."""
        return gather(self.home).orphans


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop with some customers who have nothing to do with each other."""
    installation = made["installed"](tmp_path / "home", web=made["with_everything"]("web"))
    with made["serving"](installation) as client:
        opened = Shop(installation, client)
        names = [("Ada", "Adler"), ("Bruno", "Bach"), ("Carla", "Conti"), ("Dmitri", "Dorn"), ("Elif", "Erdem")]
        for n in range(PEOPLE):
            first, last = names[n % 5][0], f"{names[n % 7 % 5][1]}{chr(97 + n % 26)}"
            traits = {"email": f"{first}.{last}{n}@example.org".lower(), "firstName": first, "lastName": last}
            opened.send("identify", f"other-device-{n:04}", userId=f"other-{n:04}", traits=traits)
        yield opened
    installation.ledger.close()


MARIA = {"email": "maria@example.org", "firstName": "Maria", "lastName": "Lopez"}
JOHN = {"email": "john@example.org", "firstName": "John", "lastName": "Miller"}


def test_a_visitor_who_signs_in_has_the_history_of_before(shop: Shop) -> None:
    shop.visit("phone-1", "/tea")
    shop.visit("phone-1", "/coffee")
    shop.integrate()
    assert shop.owner("device/phone-1") is None and shop.orphans() == 2  # nobody's yet, and not lost
    shop.send("identify", "phone-1", userId="u-maria", traits=MARIA)
    shop.send("identify", "phone-1", userId="u-maria", traits={"plan": "gold", "phone": "+49 30 901820"})
    shop.visit("phone-1", "/cart", userId="u-maria")
    shop.visit("laptop-1", "/news")  # another device of hers, on which she signs in later
    shop.send("identify", "laptop-1", userId="u-maria", traits=MARIA | {"marketing_consent": "yes"})
    shop.integrate()
    assert shop.pages("u-maria") == ["/tea", "/coffee", "/cart", "/news"]
    assert shop.orphans() == 0
    golden = shop.owner("u-maria")
    assert golden == shop.owner("device/phone-1") == shop.owner("device/laptop-1")
    customer = shop.home.lake.scan(CUSTOMERS.name).filter(golden_id=golden).collect().row(0, named=True)
    assert (customer["given_name"], customer["email"]) == ("Maria", "maria@example.org")
    assert customer["phone"] == "+4930901820"  # a later identify adds to an earlier one
    ids = {(i["scheme"], i["value"]) for i in customer["external_ids"]}
    assert {("web_user", "u-maria"), ("anonymous_id", "phone-1"), ("anonymous_id", "laptop-1")} <= ids
    assert shop.home.lake.scan(CUSTOMERS.name).collect().height == PEOPLE + 1
    wish = shop.home.lake.scan(CONSENTS.name).collect()
    assert wish.select("subject", "state", "data_use", "channel").rows() == [("web:u-maria", "GRANTED", "marketing", "email")]
    shop.send("identify", "laptop-1", userId="u-maria", traits={"marketing_consent": "no"})
    shop.integrate()
    mine = shop.home.lake.scan(PERMISSIONS.name).filter(golden_id=shop.owner("u-maria"), channel="email").collect()
    assert not mine.filter(data_use="marketing")["allowed"].any()


def test_two_people_at_one_device_stay_two(shop: Shop) -> None:
    shop.visit("family-pc", "/before")
    shop.send("identify", "family-pc", userId="u-maria", traits=MARIA)
    shop.visit("family-pc", "/hers", userId="u-maria")
    shop.integrate()
    assert shop.pages("u-maria") == ["/before", "/hers"]
    before = shop.owner("u-maria")
    # He signs in without her having signed out: the device keeps its anonymous ID.
    shop.send("identify", "family-pc", userId="u-john", traits=JOHN)
    shop.visit("family-pc", "/his", userId="u-john")
    shop.visit("family-pc", "/whose")
    shop.integrate()
    assert shop.owner("u-maria") == before != shop.owner("u-john")
    assert shop.pages("u-maria") == ["/hers"] and shop.pages("u-john") == ["/his"]
    assert shop.owner("device/family-pc") is None and shop.orphans() == 2
    # Where she signs out, the SDK resets the anonymous ID, and each has a history.
    shop.visit("family-pc-2", "/tea")
    shop.send("identify", "family-pc-2", userId="u-maria", traits=MARIA)
    shop.visit("family-pc-3", "/beer")
    shop.send("identify", "family-pc-3", userId="u-john", traits=JOHN)
    shop.integrate()
    assert shop.pages("u-maria") == ["/hers", "/tea"] and shop.pages("u-john") == ["/his", "/beer"]
    # They have nothing in common but the device: not even without a word about themselves are they one.
    shop.send("identify", "kiosk", userId="u-bare-1")
    shop.send("identify", "kiosk", userId="u-bare-2")
    shop.integrate()
    assert shop.owner("u-bare-1") != shop.owner("u-bare-2")


def test_an_alias_and_a_group(shop: Shop) -> None:
    shop.visit("phone-1", "/tea")
    shop.send("alias", previousId="phone-1", userId="u-maria")  # as older SDKs tell who a visitor is
    shop.send("track", event="Asked", userId="old-number", properties={"path": "/old"})
    shop.send("alias", previousId="old-number", userId="u-maria")
    shop.send("identify", userId="u-maria", traits=MARIA)
    shop.send("group", "phone-1", userId="u-maria", groupId="g-1", traits={"name": "Acme Ltd", "industry": "Tea"})
    shop.integrate()
    assert shop.owner("u-maria") == shop.owner("device/phone-1")
    assert shop.owner("u-maria") == shop.owner("old-number")
    assert shop.pages("u-maria") == ["/tea", "/old"]
    account = shop.home.lake.scan(ACCOUNTS.name).collect().row(0, named=True)
    assert (account["record_key"], account["name"], account["industry"]) == ("web:group/g-1", "Acme Ltd", "Tea")
    works = shop.home.lake.scan(RELATIONS.name).filter(kind="works_for").collect()
    assert works.select("from_key", "to_key").rows() == [("web:u-maria", "web:group/g-1")]
    golden = shop.home.lake.scan(CUSTOMERS.name).filter(golden_id=shop.owner("u-maria")).collect()
    assert golden["full_name"].to_list() in ([None], ["Maria Lopez"])  # not the company's name
