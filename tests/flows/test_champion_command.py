"""`hone champion`: the history of the registered models, and what a person changes there."""

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from flows import cli
from hone.data.problem import Problem
from hone.data.schema import Column, Schema
from tasks import champions
from tasks.champions import Line
from tasks.reporting import plain_table
from tasks.tracking.mlflow import connect
from tests.flows.editing import HERE, change

DECISIONS = {
    "1": "first champion: ROC AUC 0.987 [0.980, 0.993]; the sealed rows have judged 1 model",
    "2": "new line: features differ from version 1's (`boat` is no longer used); not compared",
    "3": "not better beyond chance: ROC AUC 0.853 against 0.851 of version 2, better by 0.002",
}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with three versions: the champion of line 1, that of line 2, and a challenger."""
    path = tmp_path_factory.mktemp("registry") / "mlflow.db"
    client = connect(f"sqlite:///{path}")
    client.create_registered_model("hone")
    for (number, decision), line, score in zip(DECISIONS.items(), "122", (0.987, 0.851, 0.853), strict=True):
        tags = {
            champions.DECISION: decision,
            champions.LINE: line,
            champions.LINE_KEY: f"key {line}",
            champions.METRIC: "roc_auc",
            champions.SCORE + "roc_auc": str(score),
            champions.INTERVAL: f"[{score - 0.05}, {min(1.0, score + 0.04)}]",
            champions.SEALED: "s",
            champions.MODEL: f"m{number}",
            champions.LOOKS: number,
        }
        client.create_model_version("hone", str(path.parent), tags=tags)
    for alias, number in {"line-1": "1", "line-2": "2", "champion": "2", "challenger": "3"}.items():
        client.set_registered_model_alias("hone", alias, number)
    return path


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with no registry yet."""
    (tmp_path / "params.yaml").write_text((HERE / "params.yaml").read_text())
    (tmp_path / "dvc.yaml").write_text((HERE / "dvc.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def registry(root: Path, filled: Path) -> Path:
    """The project with the filled database."""
    source, target = sqlite3.connect(filled), sqlite3.connect(root / "mlflow.db")
    source.backup(target)
    source.close()
    target.close()
    return root


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return a function that runs `hone champion` and returns what it says."""

    def call(*arguments: str) -> str:
        assert cli.main(["champion", *arguments]) == 0
        return capsys.readouterr().out

    return call


def aliases(root: Path) -> dict[str, str]:
    found = connect(f"sqlite:///{root}/mlflow.db").get_registered_model("hone").aliases
    return {alias: str(version) for alias, version in found.items()}


def rows(text: str) -> dict[str, str]:
    """Return the rows of the table of versions, dates left out, by version."""
    found = re.findall(r"^(\d+) +\d{4}-\d\d-\d\d +(.*)$", text, re.MULTILINE)
    return {number: " ".join(rest.split()) for number, rest in found}


def test_the_history_shows_every_version_within_80_columns(registry: Path, say: Callable[..., str]) -> None:
    text = say()
    assert text.startswith("champion: asking the registry\n")  # before MLflow is imported, which takes seconds
    assert rows(text) == {
        "3": "2 0.853 [0.803, 0.893] not better",
        "2": "2 0.851 [0.801, 0.891] champion",
        "1": "1 0.987 [0.937, 1.000] line's champion",
    }
    assert list(rows(text)) == ["3", "2", "1"]
    assert f"version 2: {DECISIONS['2']}\n" in text
    assert f"version 3: {DECISIONS['3']}\n" in text
    assert "models:/hone@line-1 is version 1\n" in text
    assert "These sealed rows have judged 3 models; " in text


@pytest.mark.parametrize("metrics", [("balanced_accuracy",), ("balanced_accuracy", "rmse")])
def test_the_table_is_never_wider_than_80_columns(registry: Path, metrics: tuple[str, ...]) -> None:
    client = connect(f"sqlite:///{registry}/mlflow.db")
    for number in ("1", "2", "3"):
        metric = metrics[int(number) % len(metrics)]
        client.set_model_version_tag("hone", number, champions.METRIC, metric)
        client.set_model_version_tag("hone", number, f"metric.{metric}", "27345.12")
        client.set_model_version_tag("hone", number, champions.INTERVAL, "[25123.4, 29345.1]")
    found = champions.read(client, "hone")
    assert found is not None
    header, lines = champions.history(found)
    assert len(lines) == 3
    assert max(map(len, plain_table("", header, lines).splitlines())) <= 80
    # A table in a terminal has two more columns around each cell, and one between two.
    widths = [max(len(line[i]) for line in (header, *lines)) for i in range(len(header))]
    assert sum(widths) + 3 * len(widths) + 1 <= 80


def test_a_person_chooses_another_champion_and_the_history_says_so(registry: Path, say: Callable[..., str]) -> None:
    text = say("--set", "1")
    assert "version 1 is the champion now" in text
    assert aliases(registry) == {"champion": "1", "line-1": "1", "line-2": "2", "challenger": "3"}
    assert rows(text)["1"].endswith("champion, by hand")
    assert rows(text)["2"].endswith("line's champion")
    assert re.search(r"version 1: first champion: .*; set by hand on \d{4}-\d\d-\d\d \d\d:\d\d\n", text)
    say("--set", "3")
    assert aliases(registry) == {"champion": "3", "line-1": "1", "line-2": "3"}  # it challenges nobody any more
    assert "version 3 is the champion already" in say("--set", "3")
    assert "version 3 is the champion already" in say("--set", "v3")


def test_a_person_retires_the_champion_and_the_history_says_so(registry: Path, say: Callable[..., str]) -> None:
    text = say("--retire")
    assert "version 2 is retired\n" in text
    assert (
        "no champion: the next model of a line without a champion becomes champion; "
        "`hone champion --set VERSION` chooses one\n"
    ) in text
    assert aliases(registry) == {"line-1": "1", "challenger": "3"}
    assert rows(text)["2"].endswith("retired by hand")
    assert "no champion" in say()
    say("--set", "2")
    assert aliases(registry)["champion"] == aliases(registry)["line-2"] == "2"


def test_the_help_says_which_model_becomes_champion_after_a_retired_one(say: Callable[..., str]) -> None:
    text = " ".join(re.sub(r"[^\w\s:.,-]", " ", say("--help")).split())
    assert "Leave no champion: the next model of a line without one becomes champion." in text


def test_a_person_says_that_the_champion_is_to_stay(registry: Path, say: Callable[..., str]) -> None:
    text = say("--set", "2")
    assert "version 2 is the champion already" in text
    assert rows(text)["2"].endswith("champion, by hand")
    assert re.search(r"version 2: .*; set by hand on \d{4}-\d\d-\d\d \d\d:\d\d\n", text)
    assert say("--set", "2") == text  # the note is there once


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "9"], "error: --set: 'hone' has no version 9; there are 3, 2, 1; `hone champion` lists them"),
        (["--set", "one"], "error: --set: 'hone' has no version one; "),
        (["--set", "1", "--retire"], "error: --set, --retire: choose a champion or retire it; use one of them"),
    ],
)
def test_a_wrong_change_is_one_line_and_changes_nothing(
    arguments: list[str], said: str, registry: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = aliases(registry)
    assert cli.main(["champion", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(said)
    assert error.count("\n") == 1
    assert aliases(registry) == before


def test_none_is_retired_where_there_is_none(
    registry: Path, say: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    say("--retire")
    assert cli.main(["champion", "--retire"]) == 2
    assert "'hone' has no champion; `hone champion --set VERSION` chooses one" in capsys.readouterr().err


def test_without_a_registry_it_says_so_and_makes_none(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["champion"]) == 2
    assert "mlflow.db: not there, so no model is registered yet" in capsys.readouterr().err
    assert not (root / "mlflow.db").exists()
    connect(f"sqlite:///{root}/mlflow.db")
    assert cli.main(["champion"]) == 2
    assert "hone: the registry holds no model of this name" in capsys.readouterr().err
    change(root, "uri:      ", "uri: none ")
    assert cli.main(["champion"]) == 2
    assert "tracking.uri: none, so there is no registry" in capsys.readouterr().err
    change(root, "uri: none ", "uri: http://127.0.0.1:9 ")
    assert cli.main(["champion"]) == 2
    assert "cannot be used" in capsys.readouterr().err


def line(**more: object) -> Line:
    own = {"features": (("age", "numeric"), ("boat", "categorical")), "target": "left", "task": "binary"}
    return Line(**{**own, "classes": ("no", "yes"), "positive": "yes", "metric": "roc_auc", **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"features": (("age", "numeric"),)}, "features differ from version 3's (`boat` is no longer used)"),
        (
            {"features": (("age", "categorical"), ("boat", "categorical"), ("fare", "numeric"))},
            "features differ from version 3's (`fare` is new, `age` is categorical, not numeric)",
        ),
        (
            {"features": tuple((name, "numeric") for name in "abcde")},
            "features differ from version 3's (`age`, `boat` are no longer used, `a`, `b`, `c` and 2 more are new)",
        ),
        ({"target": "price"}, "the target is 'price', not 'left'"),
        ({"classes": ("maybe", "yes")}, "the classes differ"),
        ({"positive": "no"}, "the positive class is 'no', not 'yes'"),
        ({"metric": "f1"}, "the metric is F1, not ROC AUC"),
    ],
)
def test_a_line_says_in_what_it_differs(change: dict[str, object], said: str) -> None:
    assert line(**change).differs(line(), "3") == said
    assert line(**change).key != line().key
    assert line().key == line().key


def test_classes_that_a_gap_makes_floats_are_the_same() -> None:
    keys = {
        Line.of(
            Schema((Column(name="age", kind="numeric"), Column(name="id", kind="dropped"))),
            Problem(task="binary", target="left", metric="roc_auc", classes=classes, positive_index=1),
        ).key
        for classes in ((0, 1), (0.0, 1.0))
    }
    assert len(keys) == 1
