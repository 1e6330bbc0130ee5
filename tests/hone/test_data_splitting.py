"""Splits and folds: every row once, by the rule that was asked for, the same every time."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from hone.data import problem as problems
from hone.data import splitting
from hone.errors import UserError

N = 200
RANDOM = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "x": RANDOM.normal(size=N),
        "patient": RANDOM.integers(0, 40, N).astype(str),
        "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(RANDOM.integers(0, 60, N), unit="D"),
        "label": RANDOM.choice(["a", "b", "c"], N, p=[0.6, 0.3, 0.1]),
        "price": RANDOM.normal(size=N),
    }
)
LABEL, PRICE = problems.infer(FRAME["label"]), problems.infer(FRAME["price"])
METHODS = [
    (LABEL, {}, "stratified"),
    (PRICE, {}, "random"),
    (LABEL, {"method": "random"}, "random"),
    (LABEL, {"group": "patient"}, "grouped"),
    (PRICE, {"group": "patient"}, "grouped"),
    (LABEL, {"time": "day"}, "time"),
    (PRICE, {"method": "time", "time": "day"}, "time"),
]


def parts_of(split):
    return split.train, split.validation, split.test


def fold_args(given):
    return {key: value for key, value in given.items() if key != "method"}


@pytest.mark.parametrize(("problem", "given", "method"), METHODS)
@pytest.mark.parametrize("shares", [(0.2, 0.2), (0.1, 0.3)])
def test_every_row_is_in_one_part_and_the_parts_have_their_shares(problem, given, method, shares):
    split = splitting.split(FRAME, problem, **given, validation=shares[0], test=shares[1])
    assert split.method == method
    assert sorted(np.concatenate(parts_of(split))) == list(range(N))
    for rows in parts_of(split):
        assert (np.diff(rows) > 0).all()
    slack = 3 if method in ("random", "stratified") else 0.04 * N
    assert len(split.validation) == pytest.approx(shares[0] * N, abs=slack)
    assert len(split.test) == pytest.approx(shares[1] * N, abs=slack)


@pytest.mark.parametrize(("problem", "given", "method"), METHODS)
def test_the_same_seed_splits_alike_and_another_seed_does_not(problem, given, method):
    first, again, other = (splitting.split(FRAME, problem, **given, seed=seed) for seed in (1, 1, 2))
    assert all((one == two).all() for one, two in zip(parts_of(first), parts_of(again), strict=True))
    if method != "time":
        assert any(len(a) != len(b) or (a != b).any() for a, b in zip(parts_of(first), parts_of(other), strict=True))


def test_stratified_parts_hold_each_class_in_its_share_however_rare():
    rare = FRAME.assign(label=["rare"] * 3 + ["a", "b"] * 98 + ["a"])
    problem = problems.infer(rare["label"])
    for rows in parts_of(splitting.split(rare, problem)):
        assert (rare["label"].iloc[rows] == "rare").sum() == 1
    for share, rows in zip((0.6, 0.2, 0.2), parts_of(splitting.split(FRAME, LABEL)), strict=True):
        for label, count in FRAME["label"].value_counts().items():
            assert (FRAME["label"].iloc[rows] == label).sum() == pytest.approx(share * count, abs=1)


@pytest.mark.parametrize("problem", [LABEL, PRICE])
def test_a_group_is_never_divided(problem):
    split = splitting.split(FRAME, problem, group="patient")
    groups = [set(FRAME["patient"].iloc[rows]) for rows in parts_of(split)]
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]
    assert not groups[1] & groups[2]


@pytest.mark.parametrize("seed", range(8))
def test_grouped_parts_hold_the_classes_in_like_shares(seed):
    frame = pd.DataFrame({"group": np.repeat(np.arange(40), 5), "label": np.repeat(["a", "a", "a", "b"] * 10, 5)})
    split = splitting.split(frame, problems.infer(frame["label"]), group="group", seed=seed)
    for rows in parts_of(split):
        # a part of eight groups holds two of class b; one more or less is 0.125
        assert (frame["label"].iloc[rows] == "b").mean() == pytest.approx(0.25, abs=0.07)


@pytest.mark.parametrize("sizes", [[1, 1, 1], [100, 1, 1], [50, 50, 50, 1]])
def test_few_groups_still_fill_every_part(sizes):
    group = np.repeat(np.arange(len(sizes)), sizes)
    frame = pd.DataFrame({"group": group, "price": np.arange(len(group)) / 3})
    split = splitting.split(frame, PRICE, group="group")
    assert all(len(rows) for rows in parts_of(split))


def test_very_many_groups_are_split_like_few():
    group = np.repeat(np.arange(300_000), 2)  # by the square of their number it would take hours
    frame = pd.DataFrame({"group": group, "label": np.where(group % 3 == 0, "a", "b")})
    split = splitting.split(frame, problems.infer(frame["label"]), group="group")
    train, validation, test = parts_of(split)
    assert [len(rows) / len(group) for rows in (train, validation, test)] == pytest.approx([0.6, 0.2, 0.2], abs=0.01)
    assert not set(group[train]) & set(group[test])


@pytest.mark.parametrize(
    "as_type", [lambda day: day, lambda day: day.dt.strftime("%Y-%m-%d"), lambda day: day.dt.day_of_year]
)
def test_older_rows_train_and_newer_rows_test_with_no_moment_divided(as_type):
    frame = FRAME.assign(day=as_type(FRAME["day"]))
    split = splitting.split(frame, LABEL, time="day")
    train, validation, test = (frame["day"].iloc[rows] for rows in parts_of(split))
    assert train.max() < validation.min()
    assert validation.max() < test.min()


@pytest.mark.parametrize(
    "moments", [[1, 2, 3], [1] * 50 + [2, 3], [1, 2] + [3] * 50, [1] + [2] * 50 + [3], [3, 1, 2] * 9]
)
def test_three_moments_suffice_for_three_parts(moments):
    frame = pd.DataFrame({"t": moments, "price": np.arange(len(moments)) / 3})
    split = splitting.split(frame, PRICE, time="t")
    assert [set(frame["t"].iloc[rows]) for rows in parts_of(split)] == [{1}, {2}, {3}]


@pytest.mark.parametrize(("problem", "given", "method"), METHODS)
@pytest.mark.parametrize("k", [2, 5])
def test_every_row_is_held_out_once_and_never_trains_then(problem, given, method, k):
    split = splitting.split(FRAME, problem, **given)
    folds = splitting.folds(FRAME, split, problem, k=k, **fold_args(given))
    rows = np.concatenate([split.train, split.validation])
    assert len(folds) == len(rows)
    assert set(folds["fold"]) == set(range(k)) | ({-1} if method == "time" else set())
    for fold in range(k):
        training, held_out = (FRAME.iloc[rows[chosen]] for chosen in splitting.fold_rows(folds, fold))
        assert set(training.index).isdisjoint(held_out.index)
        assert len(held_out) == pytest.approx(len(rows) / (k + (method == "time")), rel=0.35)
        if method == "time":
            assert training["day"].max() < held_out["day"].min()
        else:
            assert len(training) + len(held_out) == len(rows)
        if method == "grouped":
            assert set(training["patient"]).isdisjoint(held_out["patient"])
    again = splitting.folds(FRAME, split, problem, k=k, **fold_args(given))
    assert folds.equals(again)


def test_without_folds_the_validation_rows_are_the_one_fold():
    split = splitting.split(FRAME, LABEL)
    training, held_out = splitting.fold_rows(splitting.folds(FRAME, split, LABEL, k=0), 0)
    rows = np.concatenate([split.train, split.validation])
    assert (rows[training] == split.train).all()
    assert (rows[held_out] == split.validation).all()


def test_blocks_of_time_are_filled_even_where_one_moment_has_most_rows():
    frame = pd.DataFrame({"t": [1] * 90 + [2, 3, 4, 5, 6, 7], "price": np.arange(96) / 3})
    split = splitting.split(frame, PRICE, time="t", validation=0.01, test=0.01)
    folds = splitting.folds(frame, split, PRICE, k=3, time="t")
    blocks = folds["fold"].to_numpy()
    assert sorted(set(blocks)) == [-1, 0, 1, 2]
    assert (np.diff(blocks[np.argsort(frame["t"].iloc[np.concatenate([split.train, split.validation])])]) >= 0).all()


DAYS = [
    (lambda day: day, timedelta(days=7)),
    (lambda day: day.dt.strftime("%Y-%m-%d"), timedelta(days=7)),
    (lambda day: day, 9),
    (lambda day: day.dt.day_of_year, 9),
]


def assert_apart(older, newer, between, gap):
    """Check a gap. older, newer: days; between: days of all rows that might lie between them."""
    if isinstance(gap, timedelta):
        assert newer.min() - older.max() >= gap
    else:
        assert ((between > older.max()) & (between < newer.min())).sum() >= gap


@pytest.mark.parametrize(("as_type", "gap"), DAYS)
def test_a_gap_lies_between_parts_and_between_folds_in_order_of_time(as_type, gap):
    frame = FRAME.assign(day=as_type(FRAME["day"]))
    days = FRAME["day"]
    split = splitting.split(frame, PRICE, time="day", gap=gap)
    train, validation, test = (days.iloc[rows] for rows in parts_of(split))
    assert_apart(train, validation, days, gap)
    assert_apart(validation, test, days, gap)
    plain = splitting.split(frame, PRICE, time="day")
    assert (split.test == plain.test).all()
    assert 0 < len(split.train) < len(plain.train)  # the older part gives way
    rows = np.concatenate([split.train, split.validation])
    folds = splitting.folds(frame, split, PRICE, k=3, time="day", gap=gap)
    for fold in range(3):
        older, newer = (days.iloc[rows[chosen]] for chosen in splitting.fold_rows(folds, fold))
        assert_apart(older, newer, days.iloc[rows], gap)


def test_no_gap_changes_nothing_and_one_that_leaves_nothing_is_named():
    dated = {"time": "day"}
    split = splitting.split(FRAME, PRICE, **dated)
    same = splitting.split(FRAME, PRICE, **dated, gap=timedelta(0))
    assert all((one == two).all() for one, two in zip(parts_of(split), parts_of(same), strict=True))
    with pytest.raises(UserError, match=r"split\.gap: 90 days, 0:00:00 leaves no training rows; make it smaller"):
        splitting.split(FRAME, PRICE, **dated, gap=timedelta(days=90))
    with pytest.raises(UserError, match=r"split\.gap: 70 leaves fold 0 of 3 no training rows; make it smaller"):
        splitting.folds(FRAME, split, PRICE, k=3, **dated, gap=70)
    with pytest.raises(UserError, match=r"split\.gap: 7 days, .* holds numbers; give a number of rows"):
        splitting.split(FRAME.assign(day=range(N)), PRICE, **dated, gap=timedelta(days=7))


@pytest.mark.parametrize(("problem", "given", "method"), METHODS)
def test_rows_are_held_out_as_they_are_split(problem, given, method):
    scheme = splitting.Scheme(**given, **({"gap": 5} if method == "time" else {}))

    def draw(seed):
        return splitting.hold_out(FRAME, problem, scheme, share=0.25, seed=seed, key="k")

    draws = [draw(seed) for seed in range(12)]
    for older, held in draws:
        assert len(held) == pytest.approx(0.25 * N, abs=2 if method in ("random", "stratified") else 0.06 * N)
        assert not set(older) & set(held)
        if method != "time":
            assert len(older) + len(held) == N
        if method == "grouped":
            assert not set(FRAME["patient"].iloc[older]) & set(FRAME["patient"].iloc[held])
        if method == "stratified":
            for label, count in FRAME["label"].value_counts().items():
                assert (FRAME["label"].iloc[held] == label).sum() == pytest.approx(0.25 * count, abs=1)
        if method == "time":
            assert_apart(FRAME["day"].iloc[older], FRAME["day"].iloc[held], FRAME["day"], 5)
            assert len(older) >= 0.6 * N
    n_different = len({tuple(held) for _, held in draws})
    assert n_different == 1 if method == "time" else n_different > 8
    assert all((one == two).all() for one, two in zip(draw(3), draws[3], strict=True))


def test_rows_that_cannot_be_held_out_are_named():
    frame = FRAME.assign(label=["a"] * 100 + ["b"] * 100, patient=["p"] * 100 + ["q"] * 100)
    scheme = splitting.Scheme(group="patient")
    with pytest.raises(UserError, match=r"train\.stopping: of 64 draws \(grouped\) none leaves rows of two classes"):
        splitting.hold_out(frame, problems.infer(frame["label"]), scheme, share=0.5, seed=0, key="train.stopping")


RARE = FRAME.assign(label=["rare"] * 2 + ["a", "b"] * 99)
BAD = [
    (RARE, "label", {}, r"data\.target: class 'rare' of column 'label' is too rare to split: 2 rows, at least 3"),
    (FRAME, "label", {"group": "pateint"}, r"split\.group: there is no column 'pateint'; did you mean 'patient'\?"),
    (FRAME, "label", {"time": "Day"}, r"split\.time: there is no column 'Day'; did you mean 'day'\?"),
    (FRAME, "label", {"group": "label"}, r"split\.group: 'label' is the target"),
    (FRAME, "label", {"method": "grouped"}, r"split\.group: not set, but split\.method is grouped"),
    (FRAME, "label", {"method": "time"}, r"split\.time: not set, but split\.method is time"),
    (FRAME, "label", {"group": "patient", "time": "day"}, r"split\.method: auto, but both split\.group .* are set"),
    (FRAME, "price", {"method": "stratified"}, r"split\.method: stratified needs classes, but the task is regression"),
    (FRAME, "label", {"validation": 0.5, "test": 0.5}, r"0\.5 \+ 0\.5 leave no rows to train on"),
    (FRAME.assign(patient=["p", "q"] * 100), "label", {"group": "patient"}, r"column 'patient' has 2 groups"),
    (
        FRAME.assign(patient=[None] + ["q"] * 199),
        "label",
        {"group": "patient"},
        r"'patient' is missing in 1 rows .*row 1",
    ),
    (FRAME.assign(day=[1, 2] * 100), "label", {"time": "day"}, r"column 'day' has 2 different moments"),
    (FRAME.assign(day=["soon"] + ["2024-01-01"] * 199), "label", {"time": "day"}, r"'day', row 1 is 'soon', neither"),
    (FRAME.assign(label=["a"] * 100 + ["b"] * 100, day=range(N)), "label", {"time": "day"}, r"with class '[ab]' only"),
]


@pytest.mark.parametrize(("frame", "target", "given", "message"), BAD)
def test_what_cannot_be_split_is_named(frame, target, given, message):
    with pytest.raises(UserError, match=message):
        splitting.split(frame, problems.infer(frame[target]), **given)


BAD_FOLDS = [
    (FRAME, "label", {}, 1, r"split\.folds: 1 fold"),
    (
        FRAME.assign(patient=RANDOM.integers(0, 5, N)),
        "label",
        {"group": "patient"},
        9,
        r"9 folds, but .*has only \d groups",
    ),
    (FRAME, "label", {}, 30, r"split\.folds: 30 folds, but class 'c' has only \d+ rows"),
    (FRAME.head(20), "price", {}, 19, r"split\.folds: 19 folds, but only 16 rows"),
    (FRAME.assign(day=RANDOM.integers(0, 5, N)), "price", {"time": "day"}, 6, r"6 folds in order of time need 7"),
]


@pytest.mark.parametrize(("frame", "target", "given", "k", "message"), BAD_FOLDS)
def test_folds_that_cannot_be_made_are_named(frame, target, given, k, message):
    problem = problems.infer(frame[target])
    with pytest.raises(UserError, match=message):
        splitting.folds(frame, splitting.split(frame, problem, **given), problem, k=k, **given)
