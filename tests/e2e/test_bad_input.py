"""Whatever a person gets wrong ends before any work, in a line or two, with code 2 and nothing left behind."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flows import cli

pytestmark = pytest.mark.e2e
GOOD = {"data.source": "data/raw/table.csv", "data.target": "y"}


def table(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"])
    frame["house"] = [f"h{i % 3}" for i in range(n)]
    frame["y"] = ["yes", "no"] * (n // 2)
    return frame


def edit(**changes):
    return table().assign(**changes).to_csv(index=False)


CASES = {
    "missing file": ({"data.source": "data/raw/tabel.csv"}, None, ["data/raw/tabel.csv", "table.csv"]),
    "empty file": ({}, "", ["table.csv", "empty"]),
    "a header only": ({}, "a,b,house,y\n", ["table.csv", "header"]),
    "target not in the columns": ({"data.target": "house_"}, None, ["data.target", "house_", "house"]),
    "target constant": ({}, edit(y="yes"), ["data.target", "constant"]),
    "target all missing": ({}, edit(y=None), ["y", "missing"]),
    "a class too rare to split": ({}, edit(y=["rare"] + ["yes", "no"] * 29 + ["no"]), ["rare"]),
    "a regression target with text": (
        {"data.task": "regression"},
        edit(y=["12 apples", *map(str, range(59))]),
        ["12 apples"],
    ),
    "a group column that is missing": (
        {"split.method": "grouped", "split.group": "hous"},
        None,
        ["split.group", "hous"],
    ),
    "a time column that is missing": ({"split.method": "time", "split.time": "when"}, None, ["split.time", "when"]),
    "more folds than groups": (
        {"split.method": "grouped", "split.group": "house", "split.folds": 9},
        table(60).assign(house=[f"h{i % 5}" for i in range(60)]).to_csv(index=False),
        ["split.folds", "9"],
    ),
    "unknown key": ({"data.tarjet": "y"}, None, ["data.tarjet", "did you mean `target`?"]),
    "a wrong type": ({"train.epochs": "many"}, None, ["train.epochs", "'many'"]),
    "low above high": (
        {"search.space": {"dropout": {"type": "float", "low": 0.5, "high": 0.1}}},
        None,
        ["search.space.dropout", "0.5"],
    ),
    "log with low of zero": (
        {"search.space": {"learning_rate": {"type": "float", "low": 0, "high": 0.1, "log": True}}},
        None,
        ["search.space.learning_rate", "0"],
    ),
    "an empty list of choices": (
        {"search.space": {"activation": {"type": "categorical", "choices": []}}},
        None,
        ["search.space.activation"],
    ),
    "an unknown family": ({"model.family": "restnet"}, None, ["model.family", "restnet", "resnet"]),
    "an unknown metric": ({"data.metric": "rocauc"}, None, ["data.metric", "rocauc", "roc_auc"]),
    "an unknown strategy": ({"search.random.sampler": "sobl"}, None, ["search.random.sampler", "sobl", "sobol"]),
    "a metric that does not fit the task": ({"data.metric": "rmse"}, None, ["data.metric", "rmse", "binary"]),
    "an earlier study that is missing": (
        {"search.warm_start": ["data/warm_start/old.parquet"]},
        None,
        ["search.warm_start", "data/warm_start/old.parquet", "no such file", "hone warm-start"],
    ),
    "an earlier study that no stage depends on": (
        {"search.warm_start": ["mlflow:4f2a"]},
        None,
        ["search.warm_start", "mlflow:4f2a", "data/warm_start/", "hone warm-start mlflow:4f2a"],
    ),
    "a budget of zero": ({"budget.epochs": 0}, None, ["budget.epochs", "0"]),
    "a budget below one rung": ({"budget.epochs": 20}, None, ["budget.epochs", "20"]),
    "a factory that can't be imported": ({"model.family": "custom.nowhere:make"}, None, ["custom.nowhere"]),
    "a factory that returns no module": ({"model.family": "builtins:dict"}, None, ["builtins:dict"]),
    "a broken CSV line": ({}, "a,b,house,y\n1,2,h,yes\n1,2,h,yes,5,6\n", ["table.csv", "line 3"]),
    "not UTF-8": ({}, b"a,b,house,y\n1,2,caf\xe9,yes\n", ["table.csv", "UTF-8"]),
    "infinite values": ({}, edit(a=[np.inf] + [1.0, 2.0] * 29 + [1.0]), ["'a'", "inf"]),
    "duplicate column names": ({}, "a,a,house,y\n1,2,h,yes\n3,4,h,no\n", ["'a'", "table.csv"]),
}


@pytest.fixture(scope="module")
def project(make_project):
    return make_project(GOOD, table(), name="bad_input")


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_refused_before_anything_is_done(name, project, monkeypatch, capsys):
    changes, content, named = CASES[name]
    params, raw = project.root / "params.yaml", project.root / "data/raw/table.csv"
    saved = params.read_bytes(), raw.read_bytes()
    unknown = {key: value for key, value in changes.items() if key == "data.tarjet"}
    project.change({key: value for key, value in changes.items() if key not in unknown})
    if unknown:
        params.write_text(params.read_text().replace("\n  target:", "\n  tarjet:"))
    if content is not None:
        raw.write_bytes(content.encode() if isinstance(content, str) else content)
    before = tree(project.root)
    monkeypatch.chdir(project.root)
    monkeypatch.setattr(sys, "path", [*sys.path])
    try:
        for command in ("tune", "check"):
            assert cli.main([command]) == 2
            shown = capsys.readouterr()
            assert shown.out == (f"{cli.FIRST[command]} …\n" if command in cli.FIRST else "")
            assert shown.err.startswith("error: ")
            assert len(shown.err.splitlines()) <= 2, shown.err
            for word in named:
                assert word in shown.err, shown.err
            assert tree(project.root) == before
    finally:
        params.write_bytes(saved[0])
        raw.write_bytes(saved[1])


def test_dvc_repro_refuses_in_the_same_words(project):
    saved = (project.root / "params.yaml").read_bytes()
    project.change({"data.target": "house_"})
    try:
        done = project.run("dvc", "repro", check=False)
        assert done.returncode != 0
        assert "error: data.target: " in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        (project.root / "params.yaml").write_bytes(saved)


def test_a_locked_project_names_its_holder(project):
    from tasks import project as projects

    with projects.lock(project.root, "the night shift"):
        done = project.run("python", "-m", "flows.tune", check=False)
    assert done.returncode == 2
    assert "error: this project is locked by `the night shift` (process " in done.stderr


def tree(root: Path) -> dict[str, int]:
    """Return every file of a project but DVC's and Hone's own notes, with its size."""
    skipped = (".git", ".dvc", ".work")
    files = (path for path in root.rglob("*") if path.is_file() and path.relative_to(root).parts[0] not in skipped)
    return {path.relative_to(root).as_posix(): path.stat().st_size for path in files if "__pycache__" not in path.parts}
