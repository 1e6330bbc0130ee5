"""params.yaml as typed values, validated as a whole before anything runs."""

import math
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from hone import metrics, models
from hone.data.splitting import Gap, Scheme
from hone.errors import UserError
from hone.models.former import Former, shaped_as, with_start
from hone.space import SearchSpace
from tasks import pictures, pipeline, plain_yaml, refusals, warm_start
from tasks.limits import Limits
from tasks.quantities import seconds, size

MOST = 10**9
"""Of whatever is counted: beyond it nobody waits for the end."""
LONGEST_PATH, LONGEST_NAME = 1024, 255
"""Bytes: file systems take no more in a name."""


def _path(text: str) -> str:
    """Return a path; ValueError for one that no file can have."""
    names = text.encode().split(b"/")
    if not text.strip():
        raise ValueError("must not be empty")
    if max(map(len, names)) > LONGEST_NAME or len(text.encode()) > LONGEST_PATH:
        raise ValueError(f"is too long for a path; a name has at most {LONGEST_NAME} bytes")
    if not text.isprintable():
        raise ValueError("must be a path of characters that can be shown; rename the file")
    return text


def _weights(source: str) -> str:
    """Return the place of former weights, spelt in one way; ValueError as `start_from.check_place`."""
    from tasks import start_from  # torch comes with it, which params that name no weights can do without

    return start_from.check_place(source)


Share = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[int, Field(ge=1, le=MOST)]
Count = Annotated[int, Field(ge=0, le=MOST)]


def _name(text: str) -> str:
    """Return a hyperparameter's name; ValueError for one that logs and tables could not show."""
    if not text.strip() or not text.isprintable() or len(text) > LONGEST_NAME:
        raise ValueError(f"must be a name of at most {LONGEST_NAME} characters that can be shown")
    return text


Name = Annotated[str, AfterValidator(_name)]
Place = Annotated[str, AfterValidator(_path)]
Table = Annotated[Place, AfterValidator(warm_start.check_place)]
Weights = Annotated[Place, AfterValidator(_weights)]
Tables = Annotated[list[Table], AfterValidator(warm_start.check_different)]

HANDED_ON = 32
"""How many of its best checkpoints a search stage hands on; more entrants than these there cannot be."""


LEAST_MEMORY = 2**29  # bytes: Python, NumPy, torch and a small table
SHORT = 600.0
"""Seconds; a time limit below leaves nothing to repeats of the baseline."""


class Section(BaseModel):
    """A section of params.yaml: immutable, strict about types, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Images(Section):
    size: Annotated[int, Field(ge=8, le=512)] = 64
    channels: Literal["auto", "grey", "colour"] = "auto"
    corrupt: Annotated[float, Field(ge=0, le=1)] = 0.05


class Data(Section):
    source: Place = "sklearn:digits"
    target: str | None = None
    task: Literal["auto", "binary", "multiclass", "regression"] = "auto"
    metric: str = "auto"
    positive: str | int | float | bool | None = None
    drop: list[str] = []
    kinds: dict[str, Literal["numeric", "categorical", "boolean", "date"]] = {}
    missing: list[Literal["NA", "N/A", "<NA>", "#N/A", "NaN", "nan", "null", "NULL"]] | None = None
    scaling: Literal["standard", "quantile", "robust"] = "standard"
    images: Images = Images()


class Split(Section):
    method: Literal["auto", "random", "stratified", "grouped", "time"] = "auto"
    group: str | None = None
    time: str | None = None
    validation: Share = 0.2
    test: Share = 0.2
    gap: int | str = 0
    folds: Count = 0
    objective: Literal["holdout", "folds"] = "holdout"

    @field_validator("gap")
    @classmethod
    def _no_less_than_nothing(cls, gap: int | str) -> int | str:
        if (gap if isinstance(gap, int) else seconds(gap)) < 0:
            raise ValueError("must be a number of rows, or a duration such as 12h or 7d")
        return gap

    @property
    def scheme(self) -> Scheme:
        """Return how rows are dealt."""
        gap: Gap = self.gap if isinstance(self.gap, int) else timedelta(seconds=seconds(self.gap))
        return Scheme(self.method, self.group, self.time, gap)

    @property
    def together(self) -> str | None:
        """Return the column whose equal values keep rows together, or None."""
        return self.group if self.method in ("auto", "grouped") else None

    @property
    def n_folds(self) -> int:
        """Return how many networks a trial of the search trains: one on each fold, or one."""
        return self.folds if self.objective == "folds" else 1


class Model(Section):
    family: str = "mlp"
    start_from: Weights | None = None


class TrialLimits(Section):
    weights: Positive | None = None
    time: str | None = None
    memory: str | None = None

    @field_validator("time")
    @classmethod
    def _readable(cls, text: str | None) -> str | None:
        if text is not None and seconds(text) <= 0:
            raise ValueError("must be longer than nothing, e.g. 30m or 2h")
        return text

    @field_validator("memory")
    @classmethod
    def _enough(cls, text: str | None) -> str | None:
        if text is not None and size(text) < LEAST_MEMORY:
            raise ValueError("is less than a worker takes that does nothing; use 1GiB or more")
        return text

    @property
    def parsed(self) -> Limits:
        """Return the limits of a trial's time and memory."""
        return Limits(
            None if self.time is None else seconds(self.time), None if self.memory is None else size(self.memory)
        )


class Train(Section):
    epochs: Positive = 54
    patience: Count = 12
    stopping: Literal["validation", "apart"] = "validation"
    stopping_rows: Share = 0.1
    gradient_clip: Annotated[float, Field(ge=0)] = 1.0
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    class_weight: Literal["none", "balanced"] = "none"
    limits: TrialLimits = TrialLimits()


class Baseline(Section):
    networks: Positive = 3
    tuned: bool = False


class Budget(Section):
    epochs: Annotated[float, Field(gt=0, le=MOST)] = 1200
    time_limit: str | None = None

    @field_validator("time_limit")
    @classmethod
    def _readable(cls, text: str | None) -> str | None:
        if text is not None and seconds(text) <= 0:
            raise ValueError("must be longer than nothing, e.g. 90s, 10m or 2h")
        return text


class Random(Section):
    sampler: Literal["sobol", "uniform", "grid"] = "sobol"
    share: Share = 0.1
    trials: Count = 8
    epochs: Positive = 6
    rows: Annotated[float, Field(gt=0, le=1)] = 1.0
    batch: Positive = 8
    keep: Share = 0.25
    plateau: Count = 0


class Bayes(Section):
    sampler: Literal["curves", "tpe", "gp"] = "curves"
    share: Share = 0.5
    trials: Count = 100
    epochs: Positive = 6
    batch: Positive = 8
    outside: Annotated[float, Field(ge=0, lt=1)] = 0.5
    keep: Share = 0.25
    plateau: Count = 0


class Hyperband(Section):
    promotion: Literal["model", "rank"] = "model"
    share: Share = 0.4
    finish: Annotated[float, Field(ge=0, le=1)] = 0.1
    whole: Count = 2
    late: Positive = 4
    min_epochs: Positive = 6
    reduction_factor: Annotated[int, Field(ge=2)] = 3
    entrants: Annotated[int, Field(ge=0, le=HANDED_ON)] = 4
    batch: Positive = 8
    outside: Annotated[float, Field(ge=0, lt=1)] = 0.5
    plateau: Count = 0


class Replay(Section):
    finalists: Positive = 3
    seeds: Positive = 3


class Search(Section):
    space: dict[Name, Any] = {}
    warm_start: Tables = []
    random: Random = Random()
    bayes: Bayes = Bayes()
    hyperband: Hyperband = Hyperband()
    replay: Replay = Replay()


class Retrain(Section):
    seeds: Positive = 5
    ensemble: Literal["one", "seeds", "greedy"] = "seeds"
    calibrate: bool = True
    threshold: bool = True


class Evaluate(Section):
    bootstrap: Annotated[int, Field(ge=100)] = 1000
    confidence: Share = 0.95


class Report(Section):
    title: str = "Hone report"


class Execution(Section):
    workers: Literal["auto"] | Positive = "auto"
    disk: str | None = None
    keep_work: Count = 3

    @field_validator("disk")
    @classmethod
    def _readable(cls, text: str | None) -> str | None:
        if text is not None:
            size(text)
        return text


class Tracking(Section):
    uri: str | None = None
    experiment: str = "hone"
    model: str = "hone"
    trials: bool = True
    tensorboard: bool = False
    wandb: str | None = None


class Schedule(Section):
    cron: str = "0 2 * * *"
    timezone: str = "UTC"


class Params(Section):
    """All of params.yaml."""

    seed: Annotated[int, Field(ge=0, le=plain_yaml.LARGEST)] = 0
    data: Data = Data()
    split: Split = Split()
    model: Model = Model()
    train: Train = Train()
    baseline: Baseline = Baseline()
    budget: Budget = Budget()
    search: Search = Search()
    retrain: Retrain = Retrain()
    evaluate: Evaluate = Evaluate()
    report: Report = Report()
    execution: Execution = Execution()
    tracking: Tracking = Tracking()
    schedule: Schedule = Schedule()


def load_params(root: Path) -> Params:
    """Return the project's params.yaml, validated as a whole, with the data, studies and weights that it names.

    Raises UserError naming the key, the value and the remedy.
    """
    params = read_params(root)
    models.check_fits(params.model.family, "pictures" if pictures.are_at(root / params.data.source) else "table")
    space = search_space(params, _former(root, params.model.start_from))
    warm_start.studies(root, params.search.warm_start, space)
    return params


def _former(root: Path, source: str | None) -> Former | None:
    """Return the weights that params name; None if they name none. UserError as `start_from.former`."""
    if source is None:
        return None
    from tasks import start_from

    return start_from.former(root, source)


def read_params(root: Path) -> Params:
    """Return the project's params.yaml, validated by itself: data, studies and weights may not be there yet.

    Raises UserError naming the key, the value and the remedy.
    """
    path = root / "params.yaml"
    try:
        content = plain_yaml.parse(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"params.yaml: not found in {root}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"params.yaml: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except OSError as error:
        raise UserError(f"params.yaml: cannot be read in {root} ({error.strerror}); it must be a file") from None
    if not isinstance(content, dict | None):
        raise UserError(f"params.yaml: holds a {type(content).__name__}; it must hold sections such as `data:`")
    params = parse_params(content or {})
    _check_complete(root, content or {})
    _check_own_code(root, params.model.family)
    return params


def trusted(root: Path) -> tuple[str, ...]:
    """Return the families of a person's own that the project at `root` trusts: the one that its params.yaml names.

    None if it names one of Hone's, or cannot be read: whoever asks has another folder's model to load.
    """
    try:
        family = read_params(root).model.family
    except UserError:
        return ()
    return () if family in models.FAMILIES else (family,)


def parse_params(content: dict[str, Any]) -> Params:
    """Return params from the content of a params.yaml; raise UserError naming the key, the value and the remedy."""
    try:
        # A section that is there but empty (`search:`) is read as left out.
        params = Params.model_validate({key: value for key, value in content.items() if value is not None})
    except ValidationError as error:
        raise UserError(refusals.explained(Params, error)) from None
    _check_together(params)
    return params


def n_networks(params: Params) -> int:
    """Return over how many seeds the baseline averages the network's defaults: none where there is little time."""
    limit = params.budget.time_limit
    return 0 if limit is not None and seconds(limit) < SHORT else params.baseline.networks


def search_space(params: Params, former: Former | None = None) -> SearchSpace:
    """Return the space to search: the model family's own, with what params.yaml lays over it.

    A factory of the user's own may be given hyperparameters of any name. former: the weights to start from, if params
    name any: the network's shape is that of a former model of the same family, unless params.yaml says otherwise.
    """
    family, over = params.model.family, params.search.space
    space = models.default_space(family)
    if params.model.start_from is not None:
        space = with_start(space, params.train.epochs)
    space = space.merged(over, extend=family not in models.FAMILIES)
    return space if former is None else shaped_as(space, former, family, free=over)


def _check_complete(root: Path, content: dict[str, Any]) -> None:
    """Raise UserError if dvc.yaml names a key that params.yaml lacks: DVC would stop in the middle of a run."""
    for stage, spec in pipeline.specs(root).items() if (root / "dvc.yaml").exists() else ():
        for key in spec.params:
            try:
                pipeline.lookup(content, key)
            except (KeyError, TypeError):
                default = pipeline.lookup(Params().model_dump(mode="json"), key)
                raise UserError(
                    f"params.yaml: {key}: missing, and dvc.yaml has it among the params of {stage};"
                    f" put it back (default: {default!r})"
                ) from None


def _check_own_code(root: Path, family: str) -> None:
    """Raise UserError if a factory lies in the project where no stage depends on it: edits would go unseen."""
    if family in models.FAMILIES or not (root / "dvc.yaml").exists():
        return
    module = sys.modules[family.partition(":")[0]]  # check_family has imported it
    file = Path(module.__file__ or "").resolve()
    if not file.is_relative_to(root) or ".venv" in file.parts:
        return
    for stage, spec in pipeline.specs(root).items():
        if "hone/models" in spec.deps and not any(file.is_relative_to(root / dep) for dep in spec.deps):
            raise UserError(
                f"model.family: {family}: {stage} would not notice edits of {file.relative_to(root)};"
                " move it into custom/, or add it to the stages' deps in dvc.yaml"
            )


def _check_together(params: Params) -> None:
    """Raise UserError for values that are fine alone and impossible together."""
    data, split, search, budget = params.data, params.split, params.search, params.budget
    models.check_family(params.model.family)
    if params.model.start_from is not None and models.is_trainable(params.model.family):
        raise UserError(
            f"model.start_from: {params.model.start_from}, but {params.model.family} brings its own training;"
            " leave start_from empty, and let it load what it starts from"
        )
    if params.train.class_weight != "none" and models.is_trainable(params.model.family):
        raise UserError(
            f"train.class_weight: {params.train.class_weight}, but {params.model.family} brings its own training, and"
            " its own loss; set class_weight to none, and let it weigh the classes"
        )
    if data.metric != "auto":
        metrics.check(data.metric, None if data.task == "auto" else data.task)
    space = search_space(params)
    if params.model.family in models.FAMILIES:
        models.check_limits(space)

    if split.validation + split.test >= 1:
        raise UserError(
            f"split: validation {split.validation} + test {split.test} leave no rows to train on; make them smaller"
        )
    for method, key in (("grouped", "group"), ("time", "time")):
        if split.method == method and getattr(split, key) is None:
            raise UserError(f"split.{key}: null, but split.method is {method}; name the column")
    if split.folds == 1:
        raise UserError("split.folds: 1 fold holds out everything; use 0 (the validation rows) or at least 2")
    if split.objective == "folds" and split.folds == 0:
        raise UserError("split.objective: folds, but split.folds is 0; set split.folds (to 5, say), or use holdout")
    if split.gap and (split.method not in ("auto", "time") or split.time is None):
        raise UserError(
            f"split.gap: {split.gap} lies between older and newer rows, but the split is not by time;"
            " set split.time and split.method: time, or use 0"
        )

    for key, epochs in (
        ("search.random.epochs", search.random.epochs),
        ("search.bayes.epochs", search.bayes.epochs),
        ("search.hyperband.min_epochs", search.hyperband.min_epochs),
    ):
        if epochs > params.train.epochs:
            raise UserError(
                f"{key}: {epochs} is above train.epochs {params.train.epochs}; lower the one or raise the other"
            )
    shares = search.random.share + search.bayes.share + search.hyperband.share
    if shares > 1 + 1e-9:
        raise UserError(f"search.*.share: the phases' shares add up to {shares:g}; they may spend 1 in all")
    if budget.time_limit is None:
        check_budget(params, budget.epochs)


def check_budget(params: Params, epochs: float) -> None:
    """Raise UserError if a budget in epochs does not pay for one trial of each phase."""
    search, n_folds = params.search, params.split.n_folds
    for name, share, needed in (
        ("random", search.random.share, search.random.epochs * search.random.rows),
        ("bayes", search.bayes.share, search.bayes.epochs),
        ("hyperband", search.hyperband.share, params.train.epochs),
    ):
        needed *= n_folds
        if epochs * share < needed:
            over = f" over {n_folds} folds" if n_folds > 1 else ""
            limit = params.budget.time_limit
            what = "budget.epochs" if limit is None else f"budget.time_limit: {limit} pays for few epochs"
            enough = math.ceil(needed / share - 1e-9)
            remedy = f"raise it to at least {enough}" if limit is None else "allow more time or share"
            raise UserError(
                f"{what}: {epochs:g} × search.{name}.share {share:g} = {epochs * share:g} epochs,"
                f" below the {needed:g} of one trial{over}; {remedy}"
            )
