"""Whether a table of purchases is drafted as one: headers of other languages, dates written in several ways, and what
is asked where a time or money was passed over."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
import pyarrow as pa
import pytest

from onefold_storage import contracts
from onefold_storage.checking import check
from onefold_storage.deliveries import Batch
from onefold_workers.drafting import checks, draft
from onefold_workers.mapping import silver_rows

ROWS = 600


def table(headers: list[str], days: list[str], amounts: list[str]) -> pa.Table:
    """Orders under headers for the order, the day, the customer and the amount."""
    order, day, customer, amount = headers
    return pa.table(
        {
            order: [f"{i:07}" for i in range(ROWS)],
            day: days,
            customer: [f"{1 + i % 120:08}" for i in range(ROWS)],
            amount: amounts,
        }
    )


def days(*written: str) -> list[str]:
    """Days of 2026, each in one of the ways, in turn."""
    told = pl.Series([f"2026-{i % 12 + 1:02}-{i % 28 + 1:02}" for i in range(ROWS)]).str.to_date()
    ways = [told.dt.strftime(form).to_list() for form in written]
    return [ways[i % len(ways)][i] for i in range(ROWS)]


def interactions(text: str, sample: pa.Table) -> tuple[pl.DataFrame, int]:
    """What the draft makes of the sample, and how many rows fail."""
    contract = contracts.parse(text, "draft")
    checked = check(contract, Batch(sample, pa.array(range(sample.num_rows), pa.int64())))
    landed = checked.rows.with_columns(
        pl.lit("p1").alias("_package_id"),
        pl.lit("2030-01-01").str.to_datetime(time_unit="us", time_zone="UTC").alias("_landed_at"),
    )
    silver = silver_rows(contract, landed.to_arrow(compat_level=pl.CompatLevel.oldest()))
    found = pl.from_arrow(silver["silver/interactions"])
    assert isinstance(found, pl.DataFrame)
    return found, len(checked.bad)


@pytest.mark.parametrize(
    "headers",
    [
        ["Beleg-Nr.", "Belegdatum", "Kd.-Nr.", "Betrag"],
        ["Auftragsnummer", "Auftragsdatum", "Kundennummer", "Bruttobetrag"],
        ["N° commande", "Date commande", "N° client", "Montant TTC"],
        ["Numéro commande", "Date commande", "Numéro client", "Montant"],
        ["Nº pedido", "Fecha", "Nº cliente", "Importe"],
        ["№ order", "Date", "№ customer", "Total"],
    ],
)
@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("2,99-", "-2.99"),
        ("(2,99)", "-2.99"),
        ("CHF 27'398.06", "27398.06"),
        ("6\u202f658,09 €", "6658.09"),
        ("−3,50", "-3.5"),
    ],
)
def test_purchases_have_their_amounts(headers: list[str], written: str, amount: str) -> None:
    sample = table(headers, days("%d.%m.%Y"), [written, "1.50" if "." in written else "1,50"] * (ROWS // 2))
    text = draft(sample, "log", "log.csv")
    found, bad = interactions(text, sample)
    assert (found.height, bad) == (ROWS, 0)
    assert set(found["kind"]) == {"purchase"}
    assert set(found["amount"]) == {Decimal(amount), Decimal("1.5")}
    assert found["contact_key"].n_unique() == 120
    assert contracts.parse(text, "draft").primary_key == (headers[0],)


def test_several_ways_to_write_a_day_are_all_read_and_told() -> None:
    headers = ["Beleg-Nr.", "Belegdatum", "Kd.-Nr.", "Betrag"]
    several = days(*["%d.%m.%Y"] * 7, "%d/%m/%Y", "%d/%m/%Y", "%Y-%m-%d")
    sample = table(headers, several, ["(2,99)", "1.234,50"] * (ROWS // 2))
    text = draft(sample, "bestellungen", "bestellungen.csv")
    contract = contracts.parse(text, "draft")
    assert contract.by_name["Belegdatum"].rules.format == ("%d.%m.%Y", "%d/%m/%Y", "%Y-%m-%d")
    assert contract.primary_key == ("Beleg-Nr.",)
    assert [c for c in checks(text) if "`Belegdatum` is written in several ways: %d.%m.%Y, %d/%m/%Y, %Y-%m-%d" in c]
    found, bad = interactions(text, sample)
    assert (found.height, bad) == (ROWS, 0)
    assert found["effective_at"].dt.date().to_list() == pl.Series(days("%Y-%m-%d")).str.to_date().to_list()


def test_a_day_that_no_format_reads_leaves_the_column_text_and_is_counted() -> None:
    several = days("%d.%m.%Y", "%d.%m.%Y", "%Y-%m-%d")
    several[5], several[17] = "morgen", "irgendwann"
    sample = table(["Beleg-Nr.", "Belegdatum", "Kd.-Nr.", "Betrag"], several, ["1,50"] * ROWS)
    text = draft(sample, "orders", "orders.csv")
    assert [c for c in checks(text) if "2 of the sample's 600 values are no date that its format reads" in c]
    found, bad = interactions(text, sample)
    assert (found.height, bad) == (ROWS - 2, 0)


def test_days_of_spreadsheets_and_broken_money_are_asked_about() -> None:
    headers = ["order_id", "order_date", "customer_id", "amount"]
    serials = table(headers, [str(46_000 + i % 300) for i in range(ROWS)], ["1.50"] * ROWS)
    assert [
        c for c in checks(draft(serials, "orders", "orders.csv")) if "`order_date` looks like days since 1900" in c
    ]
    born = pa.table(
        {
            "First name": ["Ann", "Ben", "Cid"] * 40,
            "Last name": ["Lee", "Ray"] * 60,
            "DOB": pa.array([14_000 + 61 * i for i in range(120)], pa.int64()),
        }
    )
    assert [c for c in checks(draft(born, "members", "members.xlsx")) if "`DOB` looks like days since 1900" in c]
    few = ["tbd", "1,50", "2,50"] * (ROWS // 3)
    broken = table(["Beleg-Nr.", "Belegdatum", "Kd.-Nr.", "Betrag"], days("%d.%m.%Y"), few)
    text = draft(broken, "log", "log.csv")
    assert [c for c in checks(text) if "`Betrag` looks like money and was passed over" in c and "33%" in c]
    costs = table(["event_id", "ts", "user_id", "kosten"], days("%Y-%m-%d"), ["1,50 €"] * ROWS)
    assert [
        c for c in checks(draft(costs, "log", "log.csv")) if c.startswith("purchase? `kosten` looks like money")
    ]
    mixed = ["morgen", "20.01.2026"] * (ROWS // 2)
    vague = table(["Beleg-Nr.", "Belegdatum", "Kd.-Nr.", "Betrag"], mixed, ["1,50"] * ROWS)
    assert [c for c in checks(draft(vague, "log", "log.csv")) if "`Belegdatum` is named like a time, and 50%" in c]


@pytest.mark.parametrize("kinds", [["view", "order"], ["view", "purchase"]])
def test_an_event_log_with_money_in_it_is_asked_which_events_are_purchases(kinds: list[str]) -> None:
    sample = table(["event_id", "ts", "user_id", "price"], days("%Y-%m-%d"), ["1.50", "2.50"] * (ROWS // 2))
    sample = sample.append_column("event_type", pa.array(kinds * (ROWS // 2)))
    asked = [c for c in checks(draft(sample, "events", "events.csv")) if "purchase? There is money in price" in c]
    assert bool(asked) == ("purchase" not in kinds)
