"""What a worker process does: one trial, from the split's files to a result and a checkpoint."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd

from hone import models
from hone.data import preprocessing, splitting
from hone.data.preprocessing import Scaling
from hone.data.problem import Problem
from hone.data.schema import Schema
from hone.seeds import derive
from hone.space import SearchSpace
from hone.training.train import Settings, TrainingData, train
from hone.trial import Config, Result, Trial
from tasks import checkpoints, start_from
from tasks import encoded as encoded_rows
from tasks.params import Params, search_space
from tasks.stage import Stage


@dataclass(frozen=True)
class TrainTrial:
    """A trainable over the files of a split; small to send to a worker, which reads the rows itself, once.

    rows: the stage's folder of encoded rows. store: the folder of this study's checkpoints. former: folders of the
    best checkpoints of former studies. start_from: the file in the project at `root` that holds weights to start from.
    """

    split: Path
    rows: Path
    family: str
    scaling: Scaling
    settings: Settings
    seed: int
    store: Path
    former: tuple[Path, ...] = ()
    root: Path = Path()
    start_from: str | None = None

    def __call__(self, trial: Trial) -> Result:
        """Return the trial's result, after its checkpoint is safely in the store."""
        started = time.perf_counter()
        data = load(self.split, self.rows, self.scaling, trial.fold)
        parent = None if trial.parent is None else checkpoints.read((self.store, *self.former), trial.parent)
        # Former studies hand on their best checkpoints only: a config without one starts afresh.
        if trial.parent is not None and parent is None and trial.parent.startswith(f"{trial.study}-"):
            raise FileNotFoundError(f"the checkpoint of {trial.parent}, which this trial continues, is gone")
        outcome, checkpoint = train(
            trial.config,
            self.family,
            data,
            self.settings,
            resource=trial.resource,
            seed=self._seed(trial),
            rows=trial.rows,
            checkpoint=parent,
            former=start_from.former(self.root, self.start_from),
        )
        if checkpoint is not None and trial.origin != "replay":
            checkpoints.write(self.store, trial.key, checkpoint)
        return Result(
            trial=trial,
            state=outcome.state,
            objective=outcome.objective,
            curve=outcome.curve,
            best_epoch=outcome.best_epoch,
            metrics=outcome.metrics,
            cost=outcome.epochs_run * trial.rows * models.price(self.family, trial.config),
            seconds=time.perf_counter() - started,
            error=outcome.error,
        )

    def _seed(self, trial: Trial) -> int:
        if trial.origin == "replay":  # the same seeds for every finalist: a paired comparison
            return derive(self.seed, "replay", trial.replicate)
        return derive(self.seed, trial.study, trial.number)


def of_stage(stage: Stage, store: Path, former: Sequence[str] = ()) -> TrainTrial:
    """Return the trainable of a stage. store: where its checkpoints go. former: stages whose may be continued."""
    params, split = stage.params, stage.path("data", "split")
    return TrainTrial(
        split=split,
        rows=stage.rows,
        family=params.model.family,
        scaling=params.data.scaling,
        settings=settings(params, read_problem(split)),
        seed=params.seed,
        store=store,
        former=tuple(stage.path("artifacts", name, "checkpoints") for name in former),
        root=stage.root,
        start_from=params.model.start_from,
    )


@lru_cache(maxsize=32)  # more than folds that anybody asks for, or each replay would read its rows anew
def load(split: Path, rows: Path, scaling: Scaling, fold: int | None) -> TrainingData:
    """Return training and validation rows, encoded by a preprocessor that was fitted on the training rows alone.

    rows: the stage's folder of encoded rows, which its processes share. fold: which fold of the training and
    validation rows is held out; None holds out the validation rows.
    """
    return encoded_rows.shared(
        rows / ("validation" if fold is None else f"fold-{fold}"), lambda: _encode(split, scaling, fold)
    )


def _encode(split: Path, scaling: Scaling, fold: int | None) -> TrainingData:
    schema, problem = read_schema(split), read_problem(split)
    training, validation = (pd.read_parquet(split / f"{name}.parquet") for name in ("train", "validation"))
    if fold is not None:
        rows = pd.concat([training, validation], ignore_index=True)
        folds = pd.read_parquet(split / "folds.parquet")["fold"].to_numpy()
        training, validation = (rows.iloc[part] for part in splitting.fold_rows(folds, fold))
    return encoded(training, validation, schema, problem, scaling)


def encoded(
    training: pd.DataFrame, validation: pd.DataFrame, schema: Schema, problem: Problem, scaling: Scaling
) -> TrainingData:
    """Return raw training and validation rows as networks take them, by what is learned from the training rows."""
    preprocessor = preprocessing.fit(training, schema, problem, scaling)
    rows = preprocessor.transform(training)
    return TrainingData(
        train=rows,
        validation=preprocessor.transform(validation),
        problem=problem,
        inputs=models.inputs_of(rows, problem, preprocessor.cardinalities),
        target_mean=preprocessor.target_mean,
        target_std=preprocessor.target_std,
    )


def read_schema(split: Path) -> Schema:
    """Return the schema that the split stage wrote."""
    return Schema.from_json(json.loads((split / "schema.json").read_text(encoding="utf-8")))


def read_problem(split: Path) -> Problem:
    """Return the problem that the split stage wrote."""
    return Problem.from_json(json.loads((split / "problem.json").read_text(encoding="utf-8")))


def full_space(stage: Stage) -> SearchSpace:
    """Return the space as params state it, fitted to the table: see `models.fitted`."""
    params = stage.params
    data = load(stage.path("data", "split"), stage.rows, params.data.scaling, None)
    former = start_from.former(stage.root, params.model.start_from)
    return models.fitted(search_space(params, former), data.inputs, len(data.train))


def say_start(stage: Stage, data: TrainingData, config: Config) -> None:
    """Say which weights networks of a config start from, and which not; UserError if params name some and none fits."""
    model = stage.params.model
    if (former := start_from.former(stage.root, model.start_from)) is None:
        return
    columns = read_schema(stage.path("data", "split")).used
    said, doubt = start_from.look(former, str(model.start_from), model.family, config, data, columns)
    stage.reporter.message(said)
    if doubt is not None:
        stage.reporter.warning(doubt)


def settings(params: Params, problem: Problem) -> Settings:
    """Return how every network of this project is trained."""
    return Settings(
        epochs=params.train.epochs,
        patience=params.train.patience,
        gradient_clip=params.train.gradient_clip,
        device=params.train.device,
        metric=problem.metric,
    )
