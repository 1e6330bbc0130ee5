"""The problem a target poses, and the targets that pose none."""

import numpy as np
import pandas as pd
import pytest

from hone.data import problem as problems
from hone.data.problem import Problem
from hone.errors import UserError


def series(values, **kwargs):
    return pd.Series(values, name="y", **kwargs)


INFERRED = [
    (["No", "Yes", "No"], "binary", ("No", "Yes")),
    ([True, False, True], "binary", (False, True)),
    ([True, None, False], "binary", (False, True)),
    (["true", "False", " "], "binary", (False, True)),
    ([0, 1, 1, 0], "binary", (0, 1)),
    ([0.0, 1.0, np.nan], "binary", (0, 1)),
    (["a", "b", " c ", "a"], "multiclass", ("a", "b", "c")),
    ([3, 1, 2] * 4, "multiclass", (1, 2, 3)),
    ([0.5, 1.5, 2.5], "regression", None),
    (list(range(50)), "regression", None),
    (["1.5", " 2.5", "", "4"], "regression", None),
    (["01", "02", "03"] * 3, "multiclass", ("01", "02", "03")),
]


@pytest.mark.parametrize(("values", "task", "classes"), INFERRED)
def test_the_task_and_the_classes_follow_from_the_target(values, task, classes):
    problem = problems.infer(series(values))
    assert (problem.task, problem.classes) == (task, classes)
    if classes:
        assert [type(label) for label in problem.classes] == [type(label) for label in classes]


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "category", "int64[pyarrow]", "float32"])
def test_the_target_s_type_makes_no_difference(dtype):
    values = series([0, 1, 1, 0], dtype="Int64").astype(dtype)
    problem = problems.infer(values)
    assert problem.classes == (0, 1)
    assert problems.encode(problem, values).tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(("values", "task", "classes"), INFERRED)
def test_encoding_gives_the_classes_back(values, task, classes):
    target = series(values)
    problem = problems.infer(target)
    present = target[[not (pd.isna(value) or (isinstance(value, str) and not value.strip())) for value in values]]
    found = problems.encode(problem, present)
    if classes is None:
        assert found.dtype == np.float64
        assert found.tolist() == [float(value) for value in present]
    else:
        assert found.dtype == np.int64
        for code, value in zip(found, present, strict=True):
            assert str(classes[code]).lower() == str(int(value) if isinstance(value, float) else value).strip().lower()


@pytest.mark.parametrize(("values", "task", "classes"), INFERRED)
def test_a_problem_survives_json(values, task, classes):
    problem = problems.infer(series(values))
    assert Problem.from_json(problem.to_json()) == problem


def test_the_positive_class_is_the_rarer_one_or_the_one_asked_for():
    target = series(["No"] * 5 + ["Yes"] * 3)
    assert problems.infer(target).positive == "Yes"
    assert problems.infer(target, positive="No").positive == "No"
    assert problems.infer(series([0, 1, 1]), positive=1).positive == 1
    assert problems.infer(series([0, 1, 1])).positive == 0


def test_a_task_can_be_set_over_the_inferred_one():
    assert problems.infer(series([1, 2, 3] * 4), task="regression").task == "regression"
    assert problems.infer(series(list(range(30)) * 2), task="multiclass").n_classes == 30


BAD = [
    ({"values": [None, " ", None]}, r"data\.target: every value of column 'y' is missing"),
    ({"values": ["a", "a", None]}, r"data\.target: column 'y' is constant, all 2 rows are 'a'"),
    ({"values": [2.5, 2.5]}, r"column 'y' is constant"),
    (
        {"values": [1.5, 2.5, "high", 3.0], "task": "regression"},
        r"data\.target: column 'y' is to be predicted as a number, but row 3 is 'high'; .*data\.task to multiclass",
    ),
    ({"values": ["a", "b", "c"], "task": "binary"}, r"data\.task: binary, but column 'y' has 3 classes"),
    ({"values": ["a", "b"], "metric": "rmse"}, r"data\.metric: rmse does not fit a binary task"),
    ({"values": ["a", "b"], "metric": "roc_acu"}, r"data\.metric: .*did you mean roc_auc"),
    ({"values": ["a", "b"], "positive": "c"}, r"data\.positive: 'c' is no class of column 'y'; use 'a' or 'b'"),
    ({"values": ["a", "b", "c"], "positive": "a"}, r"data\.positive: 'a' is set, but the task is multiclass"),
    ({"values": pd.date_range("2020", periods=3)}, r"data\.target: column 'y' holds dates"),
    ({"values": [[1], [2]]}, r"data\.target: column 'y' holds lists"),
]


@pytest.mark.parametrize(("given", "message"), BAD)
def test_a_target_that_cannot_be_predicted_is_named(given, message):
    given = dict(given)
    with pytest.raises(UserError, match=message):
        problems.infer(series(given.pop("values")), **given)


def test_rows_are_counted_in_the_table_that_was_read_and_not_in_a_part_of_it():
    part = series([1.0, 2.0, "x"], index=[4, 9, 17])
    with pytest.raises(UserError, match="row 18 is 'x'"):
        problems.infer(part, task="regression")


def test_an_unknown_class_and_a_missing_one_are_named_when_encoding():
    problem = problems.infer(series(["a", "b", "a"]))
    with pytest.raises(UserError, match="row 2 is 'z'"):
        problems.encode(problem, series(["a", "z"]))
    with pytest.raises(UserError, match="the target of row 1 is missing"):
        problems.encode(problem, series([None, "a"]))
