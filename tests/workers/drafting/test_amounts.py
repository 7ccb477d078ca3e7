"""Amounts of drafted purchases: what a file's own way of writing money comes to, and what a draft asks about it."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pytest

from onefold_storage import contracts
from onefold_storage.checking import check
from onefold_storage.deliveries import Batch
from onefold_workers.drafting import checks, draft
from onefold_workers.mapping import silver_rows

ROWS = 400
HEADERS = ("Auftragsnummer", "Auftragsdatum", "Kundennummer", "Betrag")


def grouped(amount: Decimal, thousands: str, mark: str) -> str:
    """`1.234,50`, or `1.234` where there are no cents: how people and their tools write it."""
    whole, cents = f"{abs(amount):,.2f}".replace(",", thousands).split(".") if thousands != "." else (
        f"{abs(amount):,.2f}".split(".")[0].replace(",", "."), f"{abs(amount):.2f}"[-2:]
    )  # fmt: skip
    return ("-" if amount < 0 else "") + whole + (mark + cents if cents != "00" else "")


def german(amount: Decimal) -> str:
    return grouped(amount, ".", ",")


def amounts(rows: int = ROWS) -> list[Decimal]:
    """Small and large ones, a third of them without cents."""
    drawn = random.Random(5)
    whole = [drawn.choice([drawn.randrange(1, 900), drawn.randrange(1_000, 9_000)]) for _ in range(rows)]
    return [Decimal(w) + (0 if drawn.random() < 0.3 else Decimal(drawn.randrange(100)) / 100) for w in whole]


def orders(written: list[str], headers: tuple[str, str, str, str] = HEADERS) -> pa.Table:
    """Orders with these amounts, several a customer."""
    number, day, customer, amount = headers
    rows = len(written)
    return pa.table(
        {
            number: [str(10_000 + i) for i in range(rows)],
            day: [f"{i % 28 + 1:02}.{i % 12 + 1:02}.2026" for i in range(rows)],
            customer: [str(1 + i % 120) for i in range(rows)],
            amount: written,
        }
    )


def happened(text: str, sample: pa.Table) -> pl.DataFrame:
    """The interactions that a drafted contract makes of the sample, in its order; no row of it fails."""
    contract = contracts.parse(text, "draft")
    checked = check(contract, Batch(sample, pa.array(range(sample.num_rows), pa.int64())))
    assert not len(checked.bad)
    landed = checked.rows.with_columns(
        pl.lit("p1").alias("_package_id"),
        pl.lit("2030-01-01").str.to_datetime(time_unit="us", time_zone="UTC").alias("_landed_at"),
    )
    silver = silver_rows(contract, landed.to_arrow(compat_level=pl.CompatLevel.oldest()))
    found = pl.from_arrow(silver["silver/interactions"])
    assert isinstance(found, pl.DataFrame)
    return found.sort("row_id")


WAYS: dict[str, Callable[[Decimal], str]] = {
    "German": german,
    "German with its sign": lambda a: f"{german(a)} €",
    "Austrian, the currency before": lambda a: f"EUR {german(a)}",
    "French, a narrow space": lambda a: grouped(a, "\u202f", ",") + " €",
    "French, a space that does not break": lambda a: grouped(a, "\u00a0", ",") + "\u00a0€",
    "Swiss, an apostrophe": lambda a: "CHF " + grouped(a, "'", "."),
    "Swiss, a curly one": lambda a: "CHF " + grouped(a, "’", "."),
    "American": lambda a: "$" + grouped(a, ",", "."),
    "plain": str,
}


@pytest.mark.parametrize("way", WAYS)
def test_amounts_are_exact_however_a_country_writes_them(way: str) -> None:
    told = amounts()
    sample = orders([WAYS[way](a) for a in told])
    found = happened(draft(sample, "orders", "orders.csv"), sample)
    assert found["amount"].to_list() == told
    assert set(found["kind"]) == {"purchase"}


def test_a_proved_comma_is_the_locale_of_the_source_and_of_numbers_that_prove_none() -> None:
    sample = orders([german(a) for a in amounts()])
    points = ["1.250", "2.500", "750", "900"] * (ROWS // 4)
    sample = sample.append_column("Menge", pa.array(points))
    text = draft(sample, "orders", "orders.csv")
    contract = contracts.parse(text, "draft")
    assert contract.rules.locale == "de_DE"
    assert happened(text, sample)["quantity"][:2].to_list() == [1250.0, 2500.0]
    assert [c for c in checks(text) if "`Menge`" in c and "`Betrag` is written with a decimal comma" in c]


def test_a_column_has_its_own_locale_where_another_is_written_with_a_point() -> None:
    sample = orders([german(a) for a in amounts()])
    sample = sample.append_column("Gewicht", pa.array([f"{i % 90}.25" for i in range(ROWS)]))
    text = draft(sample, "orders", "orders.csv")
    contract = contracts.parse(text, "draft")
    assert contract.rules.locale is None
    assert contract.by_name["Betrag"].rules.locale == "de_DE"
    assert happened(text, sample)["amount"].to_list() == amounts()


@pytest.mark.parametrize("mark", [".", ","])
def test_what_nothing_proves_is_asked(mark: str) -> None:
    """`1.234` is more than a thousand or one and a bit; with no cents anywhere the file does not say."""
    sample = orders([f"{1 + i % 9}{mark}{100 + i}" if i % 3 else str(100 + i) for i in range(ROWS)])
    text = draft(sample, "orders", "orders.csv")
    assert contracts.parse(text, "draft").rules.locale is None
    asked = [c for c in checks(text) if "`Betrag`" in c and "nothing tells" in c]
    assert asked and "Name the `locale`" in asked[0]
    cents = orders([f"{1 + i % 9}{mark}{100 + i}{'.50' if mark == ',' else ''}" for i in range(ROWS)])
    if mark == ",":
        assert not [c for c in checks(draft(cents, "orders", "orders.csv")) if "nothing tells" in c]


def test_a_question_is_one_line_whatever_the_header_holds() -> None:
    for header in ("amount\n- x: 1", "amount\u2028\x07 paid", "amount: {#"):
        sample = orders(["1.234", "2.500"] * (ROWS // 2), ("order_id", "order_date", "customer_id", header))
        sample = sample.append_column("_left\nout", pa.array(["x"] * ROWS))
        text = draft(sample, "orders", "orders.csv")
        assert contracts.parse(text, "draft").by_name[header]
        assert [c for c in checks(text) if "nothing tells whether 1.234" in c]


def test_numbers_written_both_ways_are_asked_about_and_read_one_by_one() -> None:
    sample = orders(["1.234,50", "1,234.50", "3.50", "3,50"] * (ROWS // 4))
    text = draft(sample, "orders", "orders.csv")
    assert happened(text, sample)["amount"][:4].to_list() == [
        Decimal(x) for x in ("1234.5", "1234.5", "3.5", "3.5")
    ]
    assert [c for c in checks(text) if "with decimal commas and with decimal points" in c]


def test_few_that_are_written_otherwise_are_told_as_lost() -> None:
    written = [german(a) for a in amounts()]
    written[7] = "12.34"
    text = draft(orders(written), "orders", "orders.csv")
    assert contracts.parse(text, "draft").rules.locale == "de_DE"
    assert [c for c in checks(text) if "`Betrag`" in c and "but for 1 of the sample's 400 values" in c]


@pytest.mark.parametrize(
    "header",
    ["amount_cents", "total_cents", "price_in_pence", "betrag_cent", "amount_minor", "amountCents", "cents"],
)
@pytest.mark.parametrize("native", [False, True])
def test_hundredths_become_whole_currency(header: str, native: bool) -> None:
    told = [Decimal(100 + 7 * i) / 100 for i in range(ROWS)]
    sample = orders([str(int(a * 100)) for a in told], ("order_id", "order_date", "customer_id", header))
    if native:
        sample = sample.set_column(3, header, sample[header].cast(pa.int64()))
    text = draft(sample, "orders", "orders.csv")
    assert happened(text, sample)["amount"].to_list() == told
    assert [c for c in checks(text) if f"{header} is read as hundredths" in c]


@pytest.mark.parametrize("header", ["amount", "total_per_cent", "amount_cents"])
def test_what_is_no_hundredth_stays_as_it_is(header: str) -> None:
    """By its name, or since it has fractions, which a cent has not."""
    written = [f"{10 + i}.50" if header == "amount_cents" else str(10 + i) for i in range(ROWS)]
    sample = orders(written, ("order_id", "order_date", "customer_id", header))
    text = draft(sample, "orders", "orders.csv")
    assert (header == "amount_cents") == bool([c for c in checks(text) if "named after hundredths" in c])
    assert happened(text, sample)["amount"][:2].to_list() in (
        [Decimal("10.5"), Decimal("11.5")],
        [Decimal(10), Decimal(11)],
    )


@pytest.mark.parametrize(
    ("clock", "money", "expected"),
    [
        ("", "", "%d/%m/%Y"),
        ("", "$", "%m/%d/%Y"),
        (" 1:05 PM", "", "%m/%d/%Y %I:%M %p"),
        (" 13:05", "", "%d/%m/%Y %H:%M"),
    ],
)
def test_dollars_and_clocks_of_twelve_hours_say_month_first_and_all_of_it_is_asked(
    clock: str, money: str, expected: str
) -> None:
    written = [f"({money}{i}.50)" if i % 10 == 0 else f"{money}{i}.50" for i in range(1, ROWS + 1)]
    sample = orders(written, ("Order ID", "Order Date", "Customer ID", "Order Total"))
    days = [f"{i % 10 + 1}/{i % 12 + 1}/2026{clock}" for i in range(ROWS)]
    sample = sample.set_column(1, "Order Date", pa.array(days))
    text = draft(sample, "orders", "orders.csv")
    assert contracts.parse(text, "draft").by_name["Order Date"].rules.format == expected
    assert [c for c in checks(text) if "`Order Date`: nothing tells day and month apart" in c and expected in c]
    assert happened(text, sample)["amount"].sum() < sum(
        range(1, ROWS + 1)
    )  # what stands in brackets was given back


def test_transactions_without_a_key_are_asked_about() -> None:
    """A file that is written over with one more day would count all its older days again."""
    sample = orders([german(a) for a in amounts()]).drop_columns(["Auftragsnummer"])
    text = draft(sample, "orders", "orders.csv")
    assert [c for c in checks(text) if c.startswith("no column is a key, so each row that lands counts once more")]
    assert contracts.parse(text, "draft").rules.delivery == "append"


@pytest.mark.parametrize(
    ("location", "connector", "delivery"),
    [
        ("/data/orders.csv", "files", "changes"),
        ("s3://shop/orders.parquet", "files", "changes"),
        ("/data/orders-*.csv", "files", "append"),
        ("", "http", "append"),
        ("sqlite:///shop.db?table=orders", "sql", "changes"),
        ("mqtts://broker/orders", "mqtt", "append"),
    ],
)
def test_one_file_with_a_key_brings_changes(location: str, connector: str, delivery: str) -> None:
    text = draft(orders([german(a) for a in amounts()]), "orders", location, connector)
    assert contracts.parse(text, "draft").rules.delivery == delivery
    assert not [c for c in checks(text) if "no column is a key" in c]


def test_amounts_inside_objects_are_exact_too() -> None:
    sample = orders([german(a) for a in amounts()])
    paid = [f'{{"betrag": "{german(a)}", "gewicht": "{i % 90}.25"}}' for i, a in enumerate(amounts())]
    sample = sample.drop_columns(["Betrag"]).append_column("zahlung", pa.array(paid))
    text = draft(sample, "orders", "orders.ndjson")
    contract = contracts.parse(text, "draft")
    assert (contract.rules.locale, contract.mapped["zahlung_betrag"].rules.locale) == (None, "de_DE")
    assert happened(text, sample)["amount"].to_list() == amounts()
