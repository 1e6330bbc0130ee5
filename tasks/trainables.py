"""What a worker process does: one trial, from the split's files to a result and a checkpoint."""

import contextlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import pandas as pd

from hone import models
from hone.data import preprocessing, splitting, targets
from hone.data.preprocessing import Scaling
from hone.data.problem import Problem
from hone.data.schema import Schema
from hone.data.splitting import Scheme
from hone.errors import MachineError, of_the_machine
from hone.models import prices
from hone.seeds import derive
from hone.space import Prices, SearchSpace, price_of
from hone.training.checkpoint import Checkpoint
from hone.training.cross_validation import FoldsOutcome, train_folds
from hone.training.train import Outcome, Settings, TrainingData, train
from hone.trial import Config, Result, Trial
from tasks import checkpoints, held_out, journal, start_from
from tasks import encoded as encoded_rows
from tasks.checkpoints import DamagedError
from tasks.limits import LimitError, Limits, enforced
from tasks.params import Params, search_space
from tasks.stage import Stage

FOLDS, TRIAL_FOLDS = "folds.parquet", "trial_folds.parquet"
"""Files of the split: the folds that replays name, and those that the trials of a search are scored on."""


@dataclass(frozen=True)
class Stopping:
    """Which of the training rows are taken out, to choose the best epoch by: a share, dealt by a scheme."""

    scheme: Scheme
    share: float
    seed: int


@dataclass(frozen=True)
class TrainTrial:
    """A trainable over the files of a split; small to send to a worker, which reads the rows itself, once.

    rows: the stage's folder of encoded rows. store: the folder of this study's checkpoints, or of what its replays
    predict for held-out rows. former: folders of the best checkpoints of former studies.
    n_folds: how many folds trials of the search are scored on; 1: on the validation rows. Replays are scored on what
    they name.
    start_from: the file in the project at `root` that holds weights to start from. prices: of epochs.
    limits: of one trial.
    """

    split: Path
    rows: Path
    family: str
    scaling: Scaling
    settings: Settings
    seed: int
    store: Path
    former: tuple[Path, ...] = ()
    n_folds: int = 1
    stopping: Stopping | None = None
    root: Path = Path()
    start_from: str | None = None
    prices: Prices = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)

    def __call__(self, trial: Trial) -> Result:
        """Return the trial's result, after its checkpoint is safely in the store.

        Raises MachineError if the machine fails, a full disk for example: that says nothing of the trial.
        """
        try:
            before = self._before(trial)
            with enforced(self.limits):
                return self._result(trial, before)
        except OSError as error:
            if (failed := of_the_machine(error)) is not None:
                raise failed from error
            raise

    def missing(self, trial: Trial) -> bool:
        """Return whether what a complete trial leaves behind for the end of its study is gone, or damaged."""
        if trial.origin == "replay":
            return not held_out.is_there(self.store, trial.key)
        try:
            return checkpoints.read((self.store,), trial.key) is None
        except DamagedError:
            return True

    def again(self, trial: Trial) -> None:
        """Train a complete trial again, for its checkpoint alone: it is the same, to the bit."""
        self._again(trial)

    def _result(self, trial: Trial, before: Checkpoint | None) -> Result:
        started = time.perf_counter()
        recorder = held_out.Recorder(trial.resource) if trial.origin == "replay" else None
        found, checkpoint = self._trained(trial, before, recorder)
        if checkpoint is not None and recorder is not None:
            held_out.write(self.store, trial.key, recorder.predictions)
        elif checkpoint is not None:
            checkpoints.write(self.store, trial.key, checkpoint)
        outcome = found.outcome
        return Result(
            trial=trial,
            state=outcome.state,
            objective=outcome.objective,
            curve=outcome.curve,
            losses=outcome.losses,
            best_epoch=outcome.best_epoch,
            metrics=outcome.metrics,
            cost=outcome.epochs_run * trial.rows * price_of(self.prices, trial.config),
            folds=found.folds,
            seconds=time.perf_counter() - started,
            error=outcome.error,
        )

    def _before(self, trial: Trial) -> Checkpoint | None:
        """Return the checkpoint that a trial continues, which is trained again if it is gone; None: it starts afresh.

        A search deletes what is least likely to be continued, and disks forget.
        """
        if trial.parent is None:
            return None
        if not trial.parent.startswith(f"{trial.study}-"):
            try:  # former studies hand on their best checkpoints only: a config without one starts afresh
                return checkpoints.read(self.former, trial.parent)
            except DamagedError as error:
                raise MachineError(f"{error}; `dvc checkout --force` brings it back, then run again") from error
        with contextlib.suppress(DamagedError):
            if (found := checkpoints.read((self.store,), trial.parent)) is not None:
                return found
        known = {result.trial.key: result.trial for result in journal.read(journal.of(self.store, trial.study))}
        if trial.parent not in known:
            raise MachineError(f"the checkpoint of {trial.parent}, which {trial.key} continues, is gone; run again")
        return self._again(known[trial.parent])

    def _again(self, trial: Trial) -> Checkpoint | None:
        """Return a trial's checkpoint, after training it again, within limits of its own: another is waiting for it.

        Raises MachineError if it does not end within them this time.
        """
        before = self._before(trial)
        try:
            with enforced(self.limits):
                _, checkpoint = self._trained(trial, before)
        except LimitError as error:
            raise MachineError(
                f"the checkpoint of {trial.key} is gone, and training it again {error}; the first time it took less:"
                " raise train.limits, and run again"
            ) from error
        if checkpoint is not None:
            checkpoints.write(self.store, trial.key, checkpoint)
        return checkpoint

    def _trained(
        self, trial: Trial, parent: Checkpoint | None, recorder: held_out.Recorder | None = None
    ) -> tuple[FoldsOutcome, Checkpoint | None]:
        """Return the outcome on what the trial is scored on, and a checkpoint to continue it from.

        recorder: of a replay, given its predictions after each epoch.
        """
        seed = self._seed(trial)
        if trial.origin != "replay" and self.n_folds > 1:

            def train_fold(fold: int, before: Checkpoint | None) -> tuple[Outcome, Checkpoint | None]:
                return self._train(trial, self._load(fold, TRIAL_FOLDS), derive(seed, "fold", fold), before)

            apart = self.stopping is not None
            return train_folds(train_fold, self.n_folds, bar=trial.bar, parent=parent, apart=apart)
        outcome, checkpoint = self._train(trial, self._load(trial.fold, FOLDS), seed, parent, recorder)
        return FoldsOutcome(outcome=outcome), checkpoint

    def _train(
        self,
        trial: Trial,
        data: TrainingData,
        seed: int,
        before: Checkpoint | None,
        recorder: held_out.Recorder | None = None,
    ) -> tuple[Outcome, Checkpoint | None]:
        return train(
            trial.config,
            self.family,
            data,
            self.settings,
            resource=trial.resource,
            seed=seed,
            rows=trial.rows,
            checkpoint=before,
            former=start_from.former(self.root, self.start_from),
            on_prediction=recorder,
        )

    def _load(self, fold: int | None, folds: str) -> TrainingData:
        return load(self.split, self.rows, self.scaling, fold, folds, self.stopping)

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
        n_folds=params.split.n_folds,
        stopping=stopping(params),
        root=stage.root,
        start_from=params.model.start_from,
        prices=full_space(stage).prices,
        limits=params.train.limits.parsed,
    )


def stopping(params: Params) -> Stopping | None:
    """Return which rows are taken out of the training rows for early stopping, if any."""
    if params.train.stopping == "validation":
        return None
    return Stopping(params.split.scheme, params.train.stopping_rows, derive(params.seed, "stopping"))


def load(
    split: Path,
    rows: Path,
    scaling: Scaling,
    fold: int | None,
    folds: str = FOLDS,
    stopping: Stopping | None = None,
) -> TrainingData:
    """Return training and validation rows, encoded by a preprocessor that was fitted on the training rows alone.

    rows: the stage's folder of encoded rows, which its processes share. fold: which fold of the training and
    validation rows is held out, by the numbers in the file `folds`; None holds out the validation rows.
    """
    if _rows != [rows]:  # another stage's: the files of the former are gone, but for whoever holds them
        _loaded.cache_clear()
        _rows[:] = [rows]
    return _loaded(split, rows, scaling, fold, folds, stopping)


_rows: list[Path] = []


@lru_cache(maxsize=32)  # more than folds that anybody asks for, or each replay would read its rows anew
def _loaded(
    split: Path, rows: Path, scaling: Scaling, fold: int | None, folds: str, stopping: Stopping | None
) -> TrainingData:
    part = "validation" if fold is None else f"{Path(folds).stem}-{fold}"
    folder = rows / (part if stopping is None else f"{part}-apart")
    return encoded_rows.shared(folder, lambda: _encode(split, scaling, fold, folds, stopping))


def _encode(split: Path, scaling: Scaling, fold: int | None, folds: str, stopping: Stopping | None) -> TrainingData:
    training, validation = (pd.read_parquet(split / f"{part}.parquet") for part in ("train", "validation"))
    if fold is not None:
        rows = pd.concat([training, validation], ignore_index=True)
        chosen = splitting.fold_rows(pd.read_parquet(split / folds), fold)
        training, validation = (rows.iloc[part] for part in chosen)
    return encoded(training, validation, read_schema(split), read_problem(split), scaling, stopping)


def encoded(
    training: pd.DataFrame,
    validation: pd.DataFrame,
    schema: Schema,
    problem: Problem,
    scaling: Scaling,
    stopping: Stopping | None = None,
) -> TrainingData:
    """Return raw training and validation rows as networks take them, by what is learned from the training rows.

    stopping: which of the training rows are taken out; nothing is learned from them either.
    """
    apart = None
    if stopping is not None:
        share, key = stopping.share, "train.stopping: apart"
        kept, taken = splitting.hold_out(training, problem, stopping.scheme, share=share, seed=stopping.seed, key=key)
        training, apart = training.iloc[kept], training.iloc[taken]
    preprocessor = preprocessing.fit(training, schema, problem, scaling)
    rows = preprocessor.transform(training)
    return TrainingData(
        train=rows,
        validation=preprocessor.transform(validation),
        problem=problem,
        inputs=models.inputs_of(rows, problem, preprocessor.cardinalities),
        target_mean=preprocessor.target_mean,
        target_std=preprocessor.target_std,
        stopping=None if apart is None else preprocessor.transform(apart),
    )


def n_held_out(split: Path, fold: int | None) -> int:
    """Return how many rows replays are scored on: of a fold, or the validation rows."""
    if fold is None:
        return len(pd.read_parquet(split / "validation.parquet", columns=[read_problem(split).target]))
    return len(splitting.fold_rows(pd.read_parquet(split / FOLDS), fold)[1])


def read_schema(split: Path) -> Schema:
    """Return the schema that the split stage wrote."""
    return Schema.from_json(json.loads((split / "schema.json").read_text(encoding="utf-8")))


def read_problem(split: Path) -> Problem:
    """Return the problem that the split stage wrote."""
    return Problem.from_json(json.loads((split / "problem.json").read_text(encoding="utf-8")))


def full_space(stage: Stage) -> SearchSpace:
    """Return the space as params state it, fitted to the table: see `models.fitted`.

    Where there is a time limit, without what would take too long, and with the prices that were measured.
    """
    params = stage.params
    data = load(stage.path("data", "split"), stage.rows, params.data.scaling, None)
    former = start_from.former(stage.root, params.model.start_from)
    skewed = data.problem.task == "regression" and targets.skewed(data.train.y)
    space = models.fitted(
        search_space(params, former), data.inputs, len(data.train), skewed, stated=params.search.space
    )
    allowed = stage.allowed
    if allowed is None or allowed.prices is None:
        return space
    space = SearchSpace(space.domains, space.conditions, space.defaults, allowed.prices)
    dearest = math.inf if allowed.dearest is None else allowed.dearest
    return prices.affordable(space, dearest, kept=params.search.space)


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
        balanced=params.train.class_weight == "balanced",
        weights=params.train.limits.weights,
        metric=problem.metric,
    )
