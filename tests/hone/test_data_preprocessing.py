"""Preprocessing: fitted on training rows only, whole whatever comes later, and stored without pickle."""

import numpy as np
import pandas as pd
import pytest
import skops.io

from hone.data import preprocessing
from hone.data import problem as problems
from hone.data import schema as schemas
from hone.data.preprocessing import Preprocessor
from hone.errors import UserError

N = 60
SCALINGS = ("standard", "quantile", "robust")


def rows(n=N, seed=0):
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "size": random.lognormal(size=n),
            "holed": np.where(random.random(n) < 0.2, np.nan, random.normal(5, 2, n)),
            "count": pd.array(random.integers(0, 5, n), dtype="Int64"),
            "big": random.integers(2**60, 2**62, n),
            "colour": random.choice(["red", "green", "blue"], n),
            "flag": random.random(n) < 0.5,
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 900, n), unit="D"),
            "constant": 1,
            "label": random.choice(["no", "yes"], n),
            "price": random.normal(1000, 50, n),
        }
    )
    frame.loc[random.choice(n, n // 12, replace=False), "colour"] = None
    return frame


def fitted(frame, target="label", scaling="standard"):
    problem = problems.infer(frame[target])
    schema = schemas.infer(frame, target, drop=["price" if target == "label" else "label"])
    return preprocessing.fit(frame, schema, problem, scaling)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_arrays_are_finite_of_the_stated_types_and_shapes(scaling):
    frame = rows()
    preprocessor = fitted(frame, scaling=scaling)
    for table in (frame, rows(7, seed=1), rows(1, seed=2), frame.head(0)):
        arrays = preprocessor.transform(table)
        assert (arrays.x_num.dtype, arrays.x_cat.dtype, arrays.y.dtype) == (np.float32, np.int64, np.int64)
        assert arrays.x_num.shape == (len(table), len(preprocessor.numeric_names))
        assert arrays.x_cat.shape == (len(table), len(preprocessor.cardinalities))
        assert len(arrays) == len(arrays.y) == len(table)
        assert np.isfinite(arrays.x_num).all()
        assert (arrays.x_cat >= 0).all()
        assert (arrays.x_cat < preprocessor.cardinalities).all()


def test_a_missing_number_becomes_the_training_median_and_is_indicated():
    frame = rows()
    preprocessor = fitted(frame)
    names = list(preprocessor.numeric_names)
    assert names[-1] == "holed?"
    assert names.count("size?") == 0
    arrays = preprocessor.transform(frame)
    missing = frame["holed"].isna().to_numpy()
    assert arrays.x_num[:, names.index("holed?")].tolist() == missing.astype(float).tolist()
    filled = frame["holed"].fillna(frame["holed"].median())
    expected = ((frame["holed"].median() - filled.mean()) / filled.std(ddof=0)).astype(np.float32)
    assert arrays.x_num[missing, names.index("holed")] == pytest.approx(expected)


def test_standard_scaling_is_of_the_training_rows_even_for_numbers_beyond_float32():
    arrays = fitted(rows()).transform(rows())
    column = list(fitted(rows()).numeric_names).index("big")
    assert arrays.x_num[:, column].mean() == pytest.approx(0, abs=1e-6)
    assert arrays.x_num[:, column].std() == pytest.approx(1, abs=1e-6)


def test_levels_have_codes_from_one_and_whatever_is_missing_or_new_is_zero():
    preprocessor = fitted(rows())
    assert preprocessor.schema.categorical_names == ("colour", "flag")
    assert preprocessor.cardinalities == (4, 3)
    later = rows(4, seed=3).astype({"flag": object})
    later["colour"] = ["blue", "red", "violet", None]
    later["flag"] = [False, True, None, "what"]
    assert preprocessor.transform(later).x_cat.tolist() == [[1, 1], [3, 2], [0, 0], [0, 0]]


def test_what_comes_later_may_be_missing_infinite_or_text_anywhere():
    preprocessor = fitted(rows())
    later = rows(3, seed=4).astype(object)
    later.iloc[0, :8] = None
    later.iloc[1, :8] = "nonsense"
    later.iloc[2, :4] = np.inf
    arrays = preprocessor.features(later)
    assert np.isfinite(arrays.x_num).all()
    assert (arrays.x_num[0] == arrays.x_num[1]).all()
    assert (arrays.x_cat[:2] == 0).all()


def test_other_rows_do_not_change_a_row_s_arrays():
    preprocessor = fitted(rows())
    together = preprocessor.transform(rows(9, seed=5))
    for row in range(9):
        alone = preprocessor.transform(rows(9, seed=5).iloc[[row]])
        assert (alone.x_num[0] == together.x_num[row]).all()
        assert (alone.x_cat[0] == together.x_cat[row]).all()


def test_a_regression_target_is_standardised_by_training_rows():
    frame = rows()
    preprocessor = fitted(frame, target="price")
    y = preprocessor.transform(frame).y
    assert y.dtype == np.float32
    assert y * preprocessor.target_std + preprocessor.target_mean == pytest.approx(frame["price"].to_numpy(), rel=1e-5)
    assert y.mean() == pytest.approx(0, abs=1e-6)
    assert y.std() == pytest.approx(1, abs=1e-6)


def test_features_need_no_target_and_do_not_look_at_one():
    preprocessor = fitted(rows())
    for table in (rows().drop(columns="label"), rows().assign(label=None)):
        arrays = preprocessor.features(table)
        assert (arrays.x_num == preprocessor.transform(rows()).x_num).all()
        assert arrays.y.size == 0
    with pytest.raises(UserError, match="'label'"):
        preprocessor.transform(rows().drop(columns="label"))


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("target", ["label", "price"])
def test_a_preprocessor_survives_skops_and_json_with_one_trusted_type(scaling, target):
    preprocessor = fitted(rows(), target, scaling)
    stored = skops.io.dumps(dict(preprocessor.estimators))
    assert set(skops.io.get_untrusted_types(data=stored)) <= {"numpy.dtype"}
    estimators = skops.io.loads(stored, trusted=["numpy.dtype"])
    again = Preprocessor.from_json(preprocessor.to_json(), estimators)
    before, after = preprocessor.transform(rows(9, 6)), again.transform(rows(9, 6))
    assert (before.x_num == after.x_num).all()
    assert (before.x_cat == after.x_cat).all()
    assert (before.y == after.y).all()
    assert again.numeric_names == preprocessor.numeric_names


@pytest.mark.parametrize("kept", [["size", "label"], ["colour", "label"], ["flag", "label"]])
def test_tables_of_one_kind_only_are_prepared(kept):
    frame = rows()[kept]
    preprocessor = preprocessing.fit(frame, schemas.infer(frame, "label"), problems.infer(frame["label"]))
    arrays = preprocessor.transform(frame)
    assert arrays.x_num.shape[1] + arrays.x_cat.shape[1] == 1


def test_a_column_may_be_empty_in_the_rows_that_are_fitted():
    frame = rows()
    schema, problem = schemas.infer(frame, "label", drop=["price"]), problems.infer(frame["label"])
    part = frame.head(20).assign(size=np.nan, colour=None)
    arrays = preprocessing.fit(part, schema, problem).transform(frame)
    assert np.isfinite(arrays.x_num).all()
    assert (arrays.x_cat[:, 0] == 0).all()


def test_rows_can_be_taken_from_arrays():
    arrays = fitted(rows()).transform(rows())
    taken = arrays.take(np.array([5, 2]))
    assert (taken.x_num == arrays.x_num[[5, 2]]).all()
    assert taken.y.tolist() == arrays.y[[5, 2]].tolist()


@pytest.mark.parametrize("target", ["label", "price"])
def test_a_large_table_is_encoded_piece_by_piece_to_the_same_bits(target, monkeypatch):
    frame = rows()
    preprocessor = fitted(frame, target)
    whole = preprocessor.transform(frame)
    monkeypatch.setattr(preprocessing, "PIECE", 7)
    pieces = preprocessor.transform(frame)
    for name in ("x_num", "x_cat", "y"):
        assert getattr(pieces, name).tobytes() == getattr(whole, name).tobytes()
