"""The audit finds what is wrong, and nothing where nothing is."""

import json

import numpy as np
import pandas as pd
import pytest

from hone.data import checks, splitting
from hone.data import problem as problems
from hone.data import schema as schemas
from hone.data.audit import findings, groups, ids, predictions
from hone.data.audit.report import audit
from hone.errors import UserError
from tasks import plain_yaml, tables
from tests.clean_tables import CLEAN
from tests.trap_tables import TRAPS

N = 300


def rows(n=N, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(size=n)
    return pd.DataFrame(
        {
            "x": x,
            "z": random.normal(size=n).round(1),
            "shop": random.choice(["north", "south", "west"], n),
            "label": np.where(x + random.normal(size=n) > 0, "yes", "no"),
            "price": x + random.normal(size=n),
        }
    )


def audited(frame, target="label", drop=(), **given):
    other = {"label": "price", "price": "label"}.get(target, "no such column")
    frame = frame.drop(columns=other, errors="ignore")
    problem = problems.infer(frame[target])
    split = splitting.split(frame, problem, **given)
    named = {key: given[key] for key in ("group", "time") if key in given}
    schema = schemas.infer(frame.iloc[split.train], target, drop, group=named.get("group"))
    return audit(frame, split, problem, schema, **named), split


def messages(report, kind):
    return [finding["message"] for finding in report["findings"] if finding["kind"] == kind]


def kinds(report):
    return {(finding["kind"], finding["severity"], *finding["columns"]) for finding in report["findings"]}


@pytest.mark.parametrize("target", ["label", "price"])
def test_a_sound_table_has_no_findings(target):
    report, split = audited(rows(), target)
    assert report["findings"] == []
    assert report["rows"] == {"train": len(split.train), "validation": len(split.validation), "test": len(split.test)}
    assert json.loads(json.dumps(report)) == report


CLASS_LEAKS = {
    "text": lambda frame: np.where(frame["label"] == "yes", "churned", "kept"),
    "number": lambda frame: np.where(frame["label"] == "yes", 3.0, 4.0) + frame["z"] / 100,
    "missing": lambda frame: frame["z"].where(frame["label"] == "yes"),
    "flag": lambda frame: frame["label"] == "yes",
    "date": lambda frame: (
        pd.Timestamp("2024-01-01") + pd.to_timedelta(np.where(frame["label"] == "yes", 9, 1), unit="D")
    ),
}


@pytest.mark.parametrize("kind", CLASS_LEAKS)
def test_a_column_that_gives_the_class_away_is_a_leak(kind):
    frame = rows()
    report, _ = audited(frame.assign(leak=CLASS_LEAKS[kind](frame)))
    assert kinds(report) == {("leak_missing" if kind == "missing" else "leak", "warning", "leak")}
    assert report["findings"][0]["message"].endswith(
        "If so, data.drop: [leak]" if kind == "missing" else "If not, data.drop: [leak]"
    )


@pytest.mark.parametrize("names", [["leak"], ["leak", "other"]])
def test_a_message_of_a_leak_asks_of_one_column_or_of_several(names):
    frame = rows()
    report, _ = audited(frame.assign(**dict.fromkeys(names, frame["label"].map({"yes": "churned", "no": "kept"}))))
    asked = "Is it" if len(names) == 1 else "Are they"
    (message,) = messages(report, "leak")
    assert message.endswith(f"). {asked} known before 'label' is? If not, data.drop: [{', '.join(names)}]")


CLOCKS = {
    "date": lambda days: pd.Timestamp("2020-01-01") + pd.to_timedelta(days, unit="D"),
    "date as text": lambda days: (pd.Timestamp("2020-01-01") + pd.to_timedelta(days, unit="D")).strftime("%Y-%m-%d"),
    "running number": lambda days: days,
    "hour": lambda days: days / 24,
}


@pytest.mark.parametrize("n_days", [365, 1500])
@pytest.mark.parametrize("given", [{}, {"time": "when"}])
@pytest.mark.parametrize("kind", CLOCKS)
def test_a_season_follows_from_its_date_and_that_is_no_leak(kind, given, n_days):
    for seed in range(3):
        random, days = np.random.default_rng(seed), np.arange(n_days)
        frame = pd.DataFrame({"when": CLOCKS[kind](days), "z": random.normal(size=n_days)})
        frame["price"] = 20 + 10 * np.sin(2 * np.pi * days / 365) + random.normal(0, 0.5, n_days)
        if kind == "hour":
            frame = frame.rename(columns={"when": "hour"})
            given = {"time": "hour"} if given else {}
        shuffled = frame.sample(frac=1, random_state=seed, ignore_index=True)
        for table in (frame, shuffled) if kind.startswith("date") or given else (frame,):
            assert not {"leak", "dominant"} & {one["kind"] for one in audited(table, "price", **given)[0]["findings"]}


@pytest.mark.parametrize(
    "leak", [lambda price: 3 * price + 1, lambda price: np.exp(price), lambda price: -price.round(2)]
)
def test_a_column_that_gives_the_value_away_is_a_leak(leak):
    frame = rows()
    report, _ = audited(frame.assign(leak=leak(frame["price"])), "price")
    assert ("leak", "warning", "leak") in kinds(report)


def test_a_leak_of_many_classes_is_found():
    frame = rows(600).assign(label=lambda frame: np.arange(len(frame)) % 12).sample(frac=1, random_state=0)
    report, _ = audited(frame.assign(leak=frame["label"].map(lambda code: f"level {code * 7 % 12}")))
    assert ("leak", "warning", "leak") in kinds(report)


def test_duplicates_are_counted_across_the_parts():
    frame = rows()
    doubled = pd.concat([frame, frame.iloc[:90]], ignore_index=True)
    report, split = audited(doubled)
    known = {tuple(row) for row in doubled.drop(columns="price").iloc[split.train].to_numpy()}
    expected = sum(tuple(row) in known for row in doubled.drop(columns="price").iloc[split.validation].to_numpy())
    found = {finding["kind"]: finding for finding in report["findings"]}
    assert found["duplicates_validation"]["count"] == expected > 0
    assert found["duplicates_test"]["severity"] == "warning"


@pytest.mark.parametrize("n", [300, 2000])
def test_rows_that_coarse_columns_make_equal_by_chance_are_no_warning_and_copied_rows_are(n):
    random = np.random.default_rng(3)

    def coarse(n):
        frame = pd.DataFrame({name: random.integers(0, 4, n) for name in "abcde"})
        return frame.assign(label=np.where(frame["a"] + random.integers(0, 4, n) > 3, "yes", "no"))

    by_chance, _ = audited(coarse(n))
    assert ("duplicates_test", "info") in kinds(by_chance)
    (message,) = messages(by_chance, "duplicates_test")
    assert "by chance" in message

    fine = coarse(n).assign(f=random.integers(0, 40, n), g=random.integers(0, 40, n))
    copied = pd.concat([fine, fine.sample(n // 5, random_state=0)], ignore_index=True)
    assert not messages(audited(fine)[0], "duplicates_test")
    report, _ = audited(copied)
    assert ("duplicates_test", "warning") in kinds(report)
    assert "more than chance makes" in messages(report, "duplicates_test")[0]


def test_a_measurement_that_differs_does_not_excuse_copied_rows():
    random = np.random.default_rng(4)
    frame = pd.DataFrame({name: random.integers(0, 2, 400) for name in "abc"}).assign(
        size=random.normal(size=400), label=random.choice(["yes", "no"], 400)
    )
    report, _ = audited(pd.concat([frame, frame.iloc[:80]], ignore_index=True))
    assert ("duplicates_test", "warning") in kinds(report)


def test_duplicates_are_counted_across_the_pieces_of_a_large_table(monkeypatch):
    doubled = pd.concat([rows(), rows().iloc[:90]], ignore_index=True)
    whole, _ = audited(doubled)
    monkeypatch.setattr("hone.data.audit.duplicates.PIECE", 11)
    assert audited(doubled)[0] == whole


def test_ids_are_found_whether_numbers_or_text_and_plain_counts_are_not():
    random = np.random.default_rng(1)
    frame = rows().assign(
        row=random.permutation(N) + 10**6,
        customerID=[f"{code:05x}" for code in random.permutation(N) + 2**19],
        account_id=random.choice(10**9, N, replace=False),
        visits=random.integers(0, 200, N),
        income=random.choice(10**6, N, replace=False),
    )
    found = {entry for entry in kinds(audited(frame)[0]) if entry[0] == "id"}
    assert found == {("id", "warning", "row", "account_id"), ("id", "info", "customerID")}


def test_constants_empty_and_mostly_missing_columns_and_texts_of_numbers_are_told():
    frame = rows().assign(
        same="x",
        empty=None,
        hardly=lambda f: f["z"].where(f["z"] > 1),
        paid=lambda f: f["z"].map(lambda z: str(z) if z < 2 else " "),
    )
    found = kinds(audited(frame)[0])
    assert ("constant", "info", "same") in found
    assert ("empty", "info", "empty") in found
    assert ("mostly_missing", "info", "hardly") in found
    assert not any("leak" in kind for kind, *_ in found)
    assert ("text_of_numbers", "info", "paid") in found


N_ROWS = 400
COUNTERS = {
    "from one": np.arange(1, N_ROWS + 1),
    "from nought, as pandas writes it": np.arange(N_ROWS),
    "shuffled": np.random.default_rng(5).permutation(N_ROWS) + 1,
    "with gaps": np.cumsum(np.random.default_rng(6).integers(1, 9, N_ROWS)),
    "whole floats": np.arange(N_ROWS) * 10.0,
    "downwards": np.arange(N_ROWS)[::-1],
    "with a few missing": np.where(np.arange(N_ROWS) % 50 == 7, np.nan, np.arange(N_ROWS)),
}


@pytest.mark.parametrize("kind", COUNTERS)
def test_columns_that_count_up_are_named_and_may_be_dropped_by_the_line_given(kind):
    frame = rows(N_ROWS).assign(**{"Unnamed: 0": COUNTERS[kind]})
    report, _ = audited(frame)
    assert kinds(report) == {("id", "warning", "Unnamed: 0")}
    assert messages(report, "id")[0].endswith("data.drop: ['Unnamed: 0']")


FORMULAS = {
    "sum": (lambda f: f["a"] + f["b"], {"a", "b"}, "'target' can be computed: it is 'a' + 'b'."),
    "difference": (lambda f: f["a"] - f["b"], {"a", "b"}, "it is 'a' − 'b'."),
    "weights, rounded": (
        lambda f: (2 * f["a"] - 0.5 * f["b"] + 3).round(2),
        {"a", "b"},
        "it is 2 × 'a' − 0.5 × 'b' + 3.",
    ),
    "sum and a constant": (lambda f: f["a"] + f["b"] + 32, {"a", "b"}, "it is 'a' + 'b' + 32."),
    "difference and a constant": (lambda f: f["a"] - f["b"] - 273.15, {"a", "b"}, "it is 'a' − 'b' − 273.1."),
    "five": (lambda f: f[list("abcde")].sum(axis=1), set("abcde"), "a weighted sum of"),
    "product": (lambda f: f["a"] * f["b"], {"a", "b"}, "it is 'a' × 'b'."),
    "ratio": (lambda f: f["a"] / f["b"], {"a", "b"}, "it is 'a' / 'b'."),
    "product and a factor": (lambda f: 703 * f["a"] / f["b"] ** 2, {"a", "b"}, "it is 703 × 'a' / 'b'^2."),
    "factor of rounded values": (lambda f: (1e4 * f["a"] * f["b"]).round(), {"a", "b"}, "it is 1e+04 × 'a' × 'b'."),
    "reciprocal": (lambda f: 1 / (f["a"] * f["b"]), {"a", "b"}, "it is 1 / 'a' / 'b'."),
    "of three": (lambda f: f["a"] * f["b"] / f["c"], {"a", "b", "c"}, "/ 'c'"),
}


@pytest.mark.parametrize("kind", FORMULAS)
def test_columns_from_which_the_target_can_be_computed_are_named_and_no_others(kind):
    random = np.random.default_rng(7)
    frame = pd.DataFrame({name: random.lognormal(1, 0.5, 500) for name in "abcdefgh"})
    frame.loc[random.random(500) < 0.1, "h"] = np.nan
    make, columns, formula = FORMULAS[kind]
    report, _ = audited(frame.assign(target=make(frame)), "target")
    (found,) = [finding for finding in report["findings"] if finding["kind"] == "leak_formula"]
    assert found["severity"] == "warning"
    assert set(found["columns"]) == columns
    assert formula in found["message"]
    assert ". Are these columns known before 'target' is? If not, data.drop: [" in found["message"]
    noisy = make(frame) * (1 + 0.03 * random.normal(size=500))
    assert messages(audited(frame.assign(target=noisy), "target")[0], "leak_formula") == []


def test_what_is_missing_for_most_of_a_class_is_a_leak_and_what_is_missing_a_little_more_often_is_a_note():
    random = np.random.default_rng(8)
    frame = rows(1000)
    yes = (frame["label"] == "yes").to_numpy()
    frame = frame.assign(
        boat=np.where(np.where(yes, random.random(1000) < 0.95, random.random(1000) < 0.03), "c", None),
        body=np.where(yes, np.nan, np.where(random.random(1000) < 0.3, 1.5, np.nan)) * frame["z"],
        cabin=np.where(random.random(1000) < np.where(yes, 0.6, 0.3), frame["z"], np.nan),
        age=np.where(random.random(1000) < 0.3, frame["z"], np.nan),
    )
    report, _ = audited(frame)
    assert ("leak_missing", "warning", "boat", "body") in kinds(report)
    assert ("missing_tells", "info", "cabin") in kinds(report)
    assert "data.drop: [boat, body]" in messages(report, "leak_missing")[0]
    assert ("mostly_missing", "info", "age") in kinds(report)  # and nothing is named twice


def test_a_value_that_only_costs_above_nought_have_is_a_leak():
    random = np.random.default_rng(9)
    frame = rows(500)
    claimed = random.random(500) < 0.4
    frame = frame.assign(
        price=np.where(claimed, np.exp(frame["x"]), 0.0), adjuster=np.where(claimed, frame["z"], np.nan)
    )
    assert ("leak_missing", "warning", "adjuster") in kinds(audited(frame, "price")[0])


def test_a_column_that_tells_more_than_all_others_is_a_question_and_not_a_warning():
    random = np.random.default_rng(10)
    frame = rows(2000)
    duration = np.where(frame["label"] == "yes", 2.2, 0.0) + random.normal(size=2000)
    report, _ = audited(frame.assign(duration=duration))
    assert kinds(report) == {("dominant", "info", "duration")}
    assert messages(report, "dominant")[0].endswith("). Is it known before 'label' is? If not, data.drop: [duration]")
    twice = frame.assign(duration=duration, again=duration + 0.1 * random.normal(size=2000))
    assert kinds(audited(twice)[0]) == set()  # neither tells more than the other


def patients(seed=11):
    frame = TRAPS["parkinsons"].make()
    return frame.drop(columns="motor_UPDRS").sample(frac=1, random_state=seed, ignore_index=True)


@pytest.mark.parametrize("target", ["number", "class"])
@pytest.mark.parametrize("drop", [[], ["subject#"]])
def test_ids_that_repeat_at_random_are_named_until_rows_are_split_by_them(target, drop):
    frame = patients()
    if target == "class":
        frame["total_UPDRS"] = np.where(frame["total_UPDRS"] > frame["total_UPDRS"].median(), "ill", "less so")
    report, _ = audited(frame, "total_UPDRS", drop)
    assert ("group", "warning", "subject#") in kinds(report)
    assert messages(report, "group")[0].endswith("split.method: grouped, split.group: 'subject#'")
    assert not messages(audited(frame, "total_UPDRS", group="subject#")[0], "group")


def test_an_id_needs_no_name_to_be_told_if_rows_are_alike():
    frame = patients().rename(columns={"subject#": "code"})
    assert ("group", "warning", "code") in kinds(audited(frame, "total_UPDRS")[0])


def loans(name="customer", text=False, n=1200):
    """Loans of customers who come back, of whom job and branch stay the same; that does not tell the target."""
    random = np.random.default_rng(0)
    customer = random.integers(0, 540, n)
    amount = random.integers(1, 400, n) * 50
    frame = pd.DataFrame(
        {
            name: [f"C{number:05}" for number in customer] if text else customer + 10_000,
            "job": random.choice(list("abcdefgh"), 540)[customer],
            "branch": random.choice(list("uvwxyz"), 540)[customer],
            "age": random.integers(20, 70, 540)[customer] + random.integers(0, 2, n),
            "amount": amount,
            "months": random.choice([12, 24, 36, 48], n),
        }
    )
    return frame.assign(target=np.where(amount / 8000 + random.normal(size=n) > 1.2, "good", "bad"))


@pytest.mark.parametrize("name", ["customer", "Client-Nr", "userId", "ref"])
@pytest.mark.parametrize("text", [False, True])
def test_an_id_that_repeats_in_several_parts_is_noted_even_if_it_does_not_flatter(name, text):
    frame = loans(name, text)
    report, split = audited(frame, "target")
    assert kinds(report) == {("shared", "info", name)}
    parts = [set(frame[name].iloc[rows]) for rows in (split.train, split.validation, split.test)]
    count = int(frame[name].map(lambda value: sum(value in part for part in parts) > 1).sum())
    assert messages(report, "shared") == [
        f"{count} of 1,200 rows share {name!r} with rows of another part. If such rows belong together, "
        f"set split.method: grouped, split.group: {name}"
    ]
    assert kinds(audited(frame, "target", group=name)[0]) == set()
    assert kinds(audited(frame, "target", drop=[name])[0]) == {("shared", "info", name)}


@pytest.mark.parametrize("name", ["customer_age", "cost_per_user", "n_user", "paid"])
def test_whole_numbers_whose_name_says_that_they_measure_are_no_ids(name):
    assert kinds(audited(loans(name).drop(columns=["job", "branch"]), "target")[0]) == set()


def test_whole_numbers_from_which_other_columns_are_computed_and_ordinary_categories_are_no_ids():
    random = np.random.default_rng(0)
    age, place = random.integers(18, 90, 700), random.integers(0, 30, 700)
    frame = pd.DataFrame({"years": age, "decade": age // 10, "adult": age > 30, "half": age // 5 * 5})
    frame = frame.assign(place=place, region=place % 4, zone=place % 3, target=age + 30 * random.normal(size=700))
    assert not messages(audited(frame, "target")[0], "shared")


def test_no_note_is_told_beside_the_warning_of_ids_that_repeat():
    report, _ = audited(patients(), "total_UPDRS")
    assert messages(report, "group")
    assert not messages(report, "shared")


def test_a_date_that_rows_are_in_order_of_is_named_until_they_are_split_by_it():
    bike = TRAPS["bike"].make().drop(columns=["instant", "casual", "registered"])
    assert kinds(audited(bike, "cnt")[0]) == {("time_order", "warning", "dteday")}
    assert kinds(audited(bike, "cnt", time="dteday")[0]) == set()
    shuffled = bike.sample(frac=1, random_state=0, ignore_index=True)
    assert kinds(audited(shuffled, "cnt")[0]) == set()


def test_rows_in_order_of_time_are_told_without_a_date_until_they_are_split_by_their_number():
    frame = TRAPS["electricity"].make()
    assert kinds(audited(frame, "class")[0]) == {("time_order", "info")}
    numbered = frame.assign(row=range(len(frame)))  # as the message says
    assert kinds(audited(numbered, "class", ["row"], time="row")[0]) == set()
    assert kinds(audited(frame.sample(frac=1, random_state=0, ignore_index=True), "class")[0]) == set()


def test_rows_sorted_by_a_plain_column_are_not_taken_for_time():
    frame = rows(1000).sort_values("x", ignore_index=True)
    assert kinds(audited(frame, "price")[0]) == set()
    by_shop = rows(1000).assign(price=lambda f: f["price"] + (f["shop"] == "west"))
    assert kinds(audited(by_shop.sort_values("shop", ignore_index=True), "price")[0]) == set()


@pytest.mark.parametrize("name", TRAPS)
def test_every_trap_of_a_well_known_table_is_named_with_its_remedy(name):
    trap = TRAPS[name]
    report, _ = audited(trap.make(), trap.target)
    found = {(one["kind"], one["severity"], tuple(one["columns"])) for one in report["findings"]}
    assert set(trap.findings) <= found
    text = "\n".join(finding["message"] for finding in report["findings"])
    assert [remedy for remedy in trap.remedies if remedy not in text] == []
    warned = [column for one in report["findings"] if one["severity"] == "warning" for column in one["columns"]]
    assert len(warned) == len(set(warned))
    assert max(len(finding["message"]) for finding in report["findings"]) <= 155  # two lines of a terminal


@pytest.mark.parametrize("make", CLEAN, ids=lambda make: make.__name__)
def test_a_clean_table_raises_no_alarm(make):
    for seed in range(2):
        frame, given = make(np.random.default_rng(seed))
        report, _ = audited(frame, "target", **given)
        assert [finding for finding in report["findings"] if finding["severity"] == "warning"] == []
        noted = {finding["kind"] for finding in report["findings"]}
        assert not {"group", "time_order"} & noted
        # its customers do come again, whatever that says
        assert ("shared" in noted) == (make.__name__ == "repeats_that_say_nothing")


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "wine", "diabetes"])
def test_scikit_learns_tables_raise_no_alarm(name):
    frame, target = tables.load_sklearn(f"sklearn:{name}")
    report, _ = audited(frame, target)
    assert [finding for finding in report["findings"] if finding["severity"] == "warning"] == []


def test_the_audit_says_what_it_looked_for():
    assert audited(rows(), "price")[0]["tested"] == [
        "missing values that tell the target",
        "columns that tell it alone",
        "columns that add up or multiply to it",
        "ids that repeat in several parts",
        "ids and running numbers",
        "rows sorted by target",
        "rows in order of time",
        "a column that tells more than all others",
        "equal rows in several parts",
        "constant and empty columns",
    ]
    by_time = audited(rows().assign(day=range(N)), time="day")[0]["tested"]
    assert "rare and absent classes" in by_time
    assert not {"rows in order of time", "columns that add up or multiply to it"} & set(by_time)


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (["boat"], "data.drop: [boat]"),
        (["subject#", "a, b", "yes", "it's"], """data.drop: ['subject#', 'a, b', 'yes', "it's"]"""),
        (["Pool QC", "12", "a: b"], "data.drop: [Pool QC, '12', 'a: b']"),
    ],
)
def test_a_remedy_can_be_copied_into_params(columns, line):
    assert findings.drop(columns) == line
    assert plain_yaml.parse(line.replace("data.drop", "drop")) == {"drop": columns}


def test_predictions_of_one_column_are_those_of_the_rows_of_other_folds():
    random = np.random.default_rng(12)
    x = np.where(random.random(60) < 0.2, np.nan, random.integers(0, 4, 60)).astype(float)
    y, folds = random.normal(size=(60, 1)), np.arange(60) % 3
    told = predictions.out_of_fold(predictions.Feature(x, levels=True), y, folds, sharp=True)
    for row in range(60):
        alike = (np.isnan(x) if np.isnan(x[row]) else x == x[row]) & (folds != folds[row])
        assert told[row, 0] == pytest.approx(y[alike].mean())


def test_skill_is_what_scikit_learn_says():
    from sklearn.metrics import balanced_accuracy_score, r2_score, roc_auc_score

    random = np.random.default_rng(13)
    y, told = random.normal(size=(200, 1)), random.normal(size=(200, 1)).round(1)
    assert predictions.skill(y, told, classes=False) == pytest.approx(r2_score(y, told))
    codes = random.integers(0, 3, 200).astype(float)
    scores = random.random((200, 3)).round(1)
    outcome = predictions.outcomes(codes, classes=True)
    auc = roc_auc_score(outcome, scores, average="macro")
    assert predictions.skill(outcome, scores, classes=True) == pytest.approx(2 * auc - 1)
    chosen = (scores / outcome.mean(axis=0)).argmax(axis=1)
    assert predictions.balanced_accuracy(codes, scores) == pytest.approx(balanced_accuracy_score(codes, chosen))


def test_rare_classes_and_classes_absent_from_a_part_are_warned_of():
    frame = rows().assign(label=["rare"] * 5 + ["yes", "no"] * 147 + ["yes"])
    assert ("rare_class", "warning", "label") in kinds(audited(frame)[0])
    late = rows().assign(label=["a", "b"] * 125 + ["c", "a"] * 25, x=range(N))
    report, _ = audited(late, time="x")
    assert ("absent_class", "warning", "label") in kinds(report)


@pytest.mark.parametrize("target", ["label", "price"])
def test_rows_sorted_by_target_are_told(target):
    frame = rows().sort_values(target, ignore_index=True)
    assert ("sorted_by_target", "info", target) in kinds(audited(frame, target)[0])


def test_no_value_of_a_test_row_is_told():
    frame = rows().assign(shop=lambda f: f["shop"], secret=[f"secret-{i % 50}" for i in range(N)])
    problem = problems.infer(frame["label"])
    split = splitting.split(frame, problem)
    marked = frame.copy()
    marked.loc[split.test, ["x", "z"]] = [[123456.5, 654321.5]] * len(split.test)
    marked.loc[split.test, ["shop", "secret"]] = "sealed"
    schema = schemas.infer(marked.iloc[split.train], "label", drop=["price"])
    report = audit(marked, split, problem, schema)
    text = json.dumps([report, schema.to_json()])
    for value in ("123456", "654321", "sealed"):
        assert value not in text


TABLE = rows()
BAD_TABLES = [
    (TABLE.head(0), r"the table has a header only \(5 columns, no rows\)"),
    (TABLE.head(4), r"the table has 4 rows, too few"),
    (TABLE.rename(columns={"z": "x"}), r"column 'x' stands there more than once"),
    (TABLE.assign(x=TABLE["x"].where(TABLE.index != 6, np.inf)), r"column 'x', row 7 is infinite: inf;"),
    (TABLE.assign(x=[1e200] * 2 + [0.0] * (N - 2)), r"column 'x', row 1 is too large .*1e\+200 \(and 1 more like it\)"),
]


@pytest.mark.parametrize(("frame", "message"), BAD_TABLES)
def test_a_table_that_cannot_be_learnt_from_is_named(frame, message):
    with pytest.raises(UserError, match=message):
        checks.check_table(frame)


def test_values_of_columns_that_are_dropped_do_not_matter():
    checks.check_table(TABLE.assign(x=np.inf), ignore=["x"])


@pytest.mark.parametrize("pattern", [ids.NAME, groups.NAME])
def test_a_word_that_ends_in_id_is_no_name_of_an_id(pattern) -> None:
    assert all(pattern.search(name) for name in ("id", "customer_id", "customerID", "userId"))
    assert not any(pattern.search(name) for name in ("paid", "humid", "PAID", "valid"))
