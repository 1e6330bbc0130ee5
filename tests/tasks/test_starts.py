"""The search stages with earlier studies, on real trainings, small."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hone.search.freeze_thaw import FreezeThaw
from hone.seeds import derive
from hone.trial import Result, State
from tasks import files, ingest, search_bayes, search_hyperband, search_random, split, trials, warm_start
from tasks.params import parse_params, search_space
from tasks.reporting import NullReporter, PlainReporter
from tasks.stage import Stage
from tasks.tracking import NullTracker
from tasks.trainables import TrainTrial

SMALL: dict[str, Any] = {
    "data": {"source": "sklearn:wine"},
    "train": {"epochs": 4},
    "budget": {"epochs": 60},
    "search": {
        "random": {"share": 0.4, "epochs": 2, "trials": 8, "batch": 4},
        "bayes": {"share": 0.3, "epochs": 2, "trials": 8, "batch": 4},
        "hyperband": {"share": 0.3, "min_epochs": 2},
    },
}
SOURCE = "data/warm_start/old.parquet"
STUDIES = {"search_random": search_random, "search_bayes": search_bayes}


def stage(root: Path, **search: Any) -> Stage:
    params = parse_params({**SMALL, "search": {**SMALL["search"], **search}})
    fingerprint = f"{derive(0, str(root), repr(sorted(search.items()))):032x}"
    return Stage(
        name="split",
        root=root,
        params=params,
        fingerprint=fingerprint,
        pipeline="p",
        executor=ThreadPoolExecutor(1),
        tracker=NullTracker(),
        reporter=NullReporter(),
    )


def searched(given: Stage, *names: str) -> dict[str, list[Result]]:
    """Return what the stages write, run in their order."""
    for name in names:
        STUDIES[name].run(replace(given, name=name))
    return {name: trials.read(given.path("artifacts", name, "trials.parquet")) for name in names}


def written(given: Stage) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(given.path("artifacts").rglob("*")) if path.is_file()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    given = stage(tmp_path)
    ingest.run(replace(given, name="ingest"))
    split.run(given)
    files.write_json(tmp_path / "artifacts" / "budget.json", {"epochs": 60})
    return tmp_path


def origins(results: list[Result]) -> list[str]:
    return [result.trial.origin for result in results]


@pytest.fixture
def old(root: Path) -> list[Result]:
    """An earlier study of the same space, its order of configs this one's reversed; written where params name it."""
    done = searched(stage(root), "search_random")["search_random"]
    known = [replace(result, objective=-result.objective, curve=(-result.objective,) * 2) for result in done]
    trials.write(root / SOURCE, known, "accuracy")
    return known


def test_the_best_of_an_earlier_study_come_after_the_default(root: Path, old: list[Result]) -> None:
    given = stage(root, warm_start=[SOURCE])
    found = searched(given, "search_random")["search_random"]
    assert origins(found) == ["default", *["warm_start"] * 3, *["sobol"] * 4]
    best = sorted(old, key=lambda result: (result.objective, result.trial.number))
    others = [result.trial.config for result in best if result.trial.origin != "default"]
    assert [result.trial.config for result in found[1:4]] == others[:3]
    assert all(result.state is State.COMPLETE for result in found)


def test_a_study_that_shares_only_what_is_idle_here_is_passed_over_with_a_word(
    root: Path, old: list[Result], capsys: pytest.CaptureFixture[str]
) -> None:
    few = [replace(result, trial=replace(result.trial, config={"embedding": "periodic"})) for result in old]
    trials.write(root / SOURCE, few, "accuracy")
    frame = pd.DataFrame({"a": ["x", "y"] * 60, "b": ["u", "v", "w"] * 40, "label": ["p", "q", "q", "p"] * 30})
    files.write_csv(root / "data" / "raw" / "words.csv", frame)
    given = stage(root, warm_start=[SOURCE])
    data = given.params.data.model_copy(update={"source": "data/raw/words.csv", "target": "label"})
    params = given.params.model_copy(update={"data": data})
    given = replace(given, params=params, fingerprint="words", reporter=PlainReporter())
    warm_start.studies(root, [SOURCE], search_space(given.params))  # `hone check` finds it good
    ingest.run(replace(given, name="ingest"))
    split.run(replace(given, name="split"))
    found = searched(given, "search_random")["search_random"]
    assert "warm_start" not in origins(found)
    assert capsys.readouterr().out.count(f"{SOURCE}: no complete trial shares a hyperparameter that matters here") == 1


def test_stages_write_the_same_bytes_again_and_after_a_kill(root: Path, old: list[Result]) -> None:
    given = stage(root, warm_start=[SOURCE])
    searched(given, *STUDIES)
    first = written(given)
    searched(given, *STUDIES)  # from a whole journal
    assert written(given) == first
    for name in STUDIES:
        journal = replace(given, name=name).workdir / f"{name}.jsonl"
        lines = journal.read_text().splitlines(keepends=True)
        journal.write_text("".join(lines[: len(lines) // 2]))
    searched(given, *STUDIES)
    assert written(given) == first


def test_the_curves_process_is_told_of_earlier_studies(
    root: Path, old: list[Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    monkeypatch.setattr(FreezeThaw, "ask", lambda self, history: told.append(self.transfer) or [])
    for sources in ([SOURCE], []):
        given = stage(root, warm_start=sources)
        searched(given, "search_random", "search_bayes")
    with_study, without = told
    assert [study.name for study in with_study.studies] == ["old"]
    assert without is None


def test_a_phase_of_which_all_diverges_leaves_what_was_found_before(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would diverge each time the command is run again."""
    given = replace(stage(root), reporter=PlainReporter())
    (before,) = (searched(given, "search_random")["search_random"],)

    def diverge(trainable: Any, trial: Any) -> Result:
        return Result(trial=trial, state=State.DIVERGED, error="the loss is nan", cost=float(trial.resource))

    monkeypatch.setattr(TrainTrial, "__call__", diverge)
    found = searched(given, "search_bayes")["search_bayes"]
    assert found
    assert {result.state for result in found} == {State.DIVERGED}
    best = json.loads(given.path("artifacts", "search_bayes", "best.json").read_text())
    assert best["key"] in {result.trial.key for result in before}
    assert f"all {len(found)} trials failed; what was found before stands" in capsys.readouterr().out


def test_the_default_is_replayed_and_paid_for_once_though_it_is_a_finalist(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write_json(root / "artifacts" / "budget.json", {"epochs": 60, "replays": 9})
    given = stage(root)
    found = searched(given, "search_random", "search_bayes")["search_random"]
    default, *others = [result.trial.config for result in found]
    monkeypatch.setattr(search_hyperband, "finalists", lambda *_: [others[0], default, others[1]])
    search_hyperband.run(replace(given, name="search_hyperband"))
    replayed = trials.read(root / "artifacts" / "search_hyperband" / "replay.parquet")
    assert [result.trial.config for result in replayed].count(default) == 3
    assert len(replayed) == 9  # three seeds of three configs
