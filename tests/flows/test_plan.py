"""`hone plan`: the costs are those of the searches themselves."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from flows import plan
from hone.trial import Result, State, Trial
from tasks import trials
from tasks.allowance import Allowance
from tasks.params import load_params
from tasks.reporting import PlainReporter

SMALL = {
    "train": {"epochs": 9},
    "baseline": {"networks": 3},
    "budget": {"epochs": 240},
    "search": {
        "random": {"share": 0.25, "trials": 0, "epochs": 2, "rows": 0.5},
        "bayes": {"share": 0.35, "trials": 0, "epochs": 3},
        "hyperband": {"share": 0.4, "min_epochs": 1, "reduction_factor": 3},
        "replay": {"finalists": 3, "seeds": 3},
    },
    "retrain": {"seeds": 3},
    "execution": {"workers": 1},
}


def put(params: dict[str, Any], values: dict[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict):
            put(params[key], value)
        else:
            params[key] = value


@pytest.fixture
def small(project: Path) -> Path:
    params = yaml.safe_load((project / "params.yaml").read_text())
    put(params, SMALL)
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    return project


def test_each_phase_costs_what_its_strategy_asks_for(small: Path) -> None:
    params = load_params(small)
    with plan._elsewhere(small, params) as place:
        costs = {cost.phase: cost for cost in plan.rehearse(place, params, Allowance(params.budget.epochs))}
    assert list(costs) == ["baseline", "search_random", "search_bayes", "search_hyperband", "replay", "retrain"]
    random, bayes, hyperband, replay = (
        costs[name] for name in ("search_random", "search_bayes", "search_hyperband", "replay")
    )
    # 60 epochs at 2 epochs on half of the rows; 84 at 3.
    assert (random.trials, random.epochs, random.rungs) == (60, 60, ((2, 60),))
    assert (bayes.trials, bayes.epochs, bayes.rungs) == (28, 84, ((3, 28),))
    assert hyperband.epochs <= 96
    assert hyperband.epochs > 96 - 9  # not even one more full training fits
    assert [epochs for epochs, _ in hyperband.rungs] == [1, 3, 9]
    # The defaults and three finalists, three seeds each.
    assert (replay.trials, replay.epochs) == (12, 108)
    assert (costs["baseline"].epochs, costs["retrain"].epochs) == (27, 54)


def test_a_plan_knows_of_earlier_studies(small: Path) -> None:
    config = {"learning_rate": 0.01}
    old = [
        Result(
            trial=Trial(study="s", number=i, generation=0, config={**config, "dropout": 0.1 * i}, resource=2),
            state=State.COMPLETE,
            objective=float(i),
            curve=(float(i), float(i)),
        )
        for i in range(5)
    ]
    trials.write(small / "data" / "warm_start" / "old.parquet", old, "rmse")
    params = yaml.safe_load((small / "params.yaml").read_text())
    put(params, {"search": {"warm_start": ["data/warm_start/old.parquet"]}})
    (small / "params.yaml").write_text(yaml.safe_dump(params))
    params = load_params(small)
    with plan._elsewhere(small, params) as place:
        plan.rehearse(place, params, Allowance(params.budget.epochs))
        found = trials.read(place / "artifacts" / "search_random" / "trials.parquet")
    assert [result.trial.origin for result in found[:4]] == ["default", *["warm_start"] * 3]
    assert (small / "data" / "warm_start" / "old.parquet").exists()


def test_a_plan_leaves_nothing_behind(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(small.rglob("*"))
    plan.plan(small, PlainReporter())
    assert sorted(small.rglob("*")) == before
    shown = capsys.readouterr().out
    assert "search_hyperband" in shown
    assert "all of it: about" in shown
