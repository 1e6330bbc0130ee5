"""The final networks: the winner's and the default config, each trained on all but the sealed rows, several times."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.torch import load, save

from hone import models
from hone.data import preprocessing
from hone.data import rows as raw
from hone.data.preprocessing import Preprocessor, Scaling
from hone.errors import UserError
from hone.parallel import reason, settle
from hone.seeds import derive
from hone.training.train import Settings, TrainingData, train
from hone.trial import Config
from tasks import encoded, files, model_store, start_from
from tasks.stage import Stage
from tasks.trainables import read_problem, read_schema, settings

MODELS = {"model": "the tuned config", "defaults": "the default config"}


@dataclass(frozen=True)
class Network:
    """One training on training and validation rows; small to send to a worker."""

    split: Path
    rows: Path
    family: str
    scaling: Scaling
    settings: Settings
    config: Config
    epochs: int
    seed: int
    root: Path
    start_from: str | None

    def __call__(self) -> tuple[bytes | None, str | None]:
        """Return the network's weights as safetensors, or None and why there are none."""
        data = encoded.shared(self.rows, lambda: prepare(self.split, self.scaling)[1])
        outcome, checkpoint = train(
            self.config,
            self.family,
            data,
            self.settings,
            resource=self.epochs,
            seed=self.seed,
            former=start_from.former(self.root, self.start_from),
        )
        return (None, outcome.error) if checkpoint is None else (save(checkpoint.weights()), None)


def run(stage: Stage) -> None:
    """Write two model folders, the tuned one and the defaults', each of `retrain.seeds` networks.

    A seed that diverges is named and left out. Raises UserError if none is left of the tuned config; without a
    network of the defaults their folder holds the reasons, and `evaluate` says that there is nothing to compare with.
    """
    params = stage.params
    split = stage.path("data", "split")
    problem = read_problem(split)
    winner = files.read_json(stage.path("artifacts", "search_hyperband", "winner.json"))
    plans = {"model": winner, "defaults": winner["default"]}
    preprocessor, data = prepare(split, params.data.scaling)
    data = _shared(stage.rows, data)
    asked = {
        (name, number): Network(
            split=split,
            rows=stage.rows,
            family=params.model.family,
            scaling=params.data.scaling,
            settings=settings(params, problem),
            config=plan["config"],
            # Defaults that failed in every replay carry no epochs over; they get the most there are.
            epochs=plan["epochs"] or params.train.epochs,
            seed=derive(params.seed, "retrain", number),  # the same seeds for both: a paired comparison
            root=stage.root,
            start_from=params.model.start_from,
        )
        for name, plan in plans.items()
        for number in range(params.retrain.seeds)
    }
    outcomes = {
        key: (None, reason(outcome)) if isinstance(outcome, Exception) else outcome
        for (key, _), outcome in settle(_trained, list(asked.items()), stage.executor)
    }
    seen = raw.fingerprints(_rows(split))
    summary: dict[str, Any] = {"rows": len(data.train)}
    for name, plan in plans.items():
        weights, errors = [], []
        for number in range(params.retrain.seeds):
            trained, error = outcomes[name, number]
            if trained is not None:
                weights.append(load(trained))
            else:
                errors.append(f"seed {number}: {error}")
        _complain(stage, name, errors, len(weights))
        if not weights:
            files.write_json(stage.artifact(name, "failed.json"), errors)
        else:
            model_store.save(
                stage.artifact(name),
                networks=weights,
                family=params.model.family,
                config=plan["config"],
                inputs=data.inputs,
                preprocessor=preprocessor,
                seen=seen,
            )
        summary[name] = {"networks": len(weights), "failed": len(errors), "epochs": plan["epochs"]}
    files.write_json(stage.artifact("metrics.json"), summary)


def prepare(split: Path, scaling: Scaling) -> tuple[Preprocessor, TrainingData]:
    """Return a preprocessor fitted to training and validation rows together, and these; none is left to validate on."""
    schema, problem = read_schema(split), read_problem(split)
    rows = _rows(split)
    preprocessor = preprocessing.fit(rows, schema, problem, scaling)
    arrays = preprocessor.transform(rows)
    data = TrainingData(
        train=arrays,
        validation=None,
        problem=problem,
        inputs=models.inputs_of(arrays, problem, preprocessor.cardinalities),
        target_mean=preprocessor.target_mean,
        target_std=preprocessor.target_std,
    )
    return preprocessor, data


def _shared(folder: Path, data: TrainingData) -> TrainingData:
    return encoded.shared(folder, lambda: data)


def _rows(split: Path) -> pd.DataFrame:
    """Return the raw training and validation rows."""
    parts = [pd.read_parquet(split / f"{name}.parquet") for name in ("train", "validation")]
    return pd.concat(parts, ignore_index=True)


def _trained(asked: tuple[tuple[str, int], Network]) -> tuple[bytes | None, str | None]:
    return asked[1]()


def _complain(stage: Stage, name: str, errors: list[str], n_left: int) -> None:
    if not errors:
        return
    if not n_left and name == "model":
        raise UserError(
            f"retrain: all {len(errors)} trainings of the tuned config failed, {errors[0]}; "
            "lower search.space.learning_rate.high if they diverged, or train with fewer workers if memory ran out"
        )
    left_out = f"left out of {MODELS[name]}" if n_left else f"nothing is left of {MODELS[name]}"
    for error in errors:
        stage.reporter.warning(f"retrain: {error}; {left_out}")
