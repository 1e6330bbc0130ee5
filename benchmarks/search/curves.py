"""Learning curves of LCBench from YAHPO Gym's surrogate network, and the rules of the measure."""

import json
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.errors import UserError
from hone.seeds import derive, numpy_generator
from hone.space import Domain, Float, Int, SearchSpace, identity
from hone.trial import Config, Result, State, Trial

Array = NDArray[np.float64]

EPOCHS = 52
ORDER = ("batch_size", "learning_rate", "momentum", "weight_decay", "num_layers", "max_units", "max_dropout")
PUBLIC = (
    "126026", "146212", "167104", "167161", "167181", "167200",
    "168329", "189862", "189905", "189906", "189909", "34539",
)  # fmt: skip
"""Tasks on which Hone's constants were tuned; the others only judge."""
ACCURACY = 1  # the output's column: validation accuracy in percent
N_RANDOM = 30_000  # configs that say what the worst is
N_CLIMBS, CLIMB = 40, 60  # hill climbs that look for the best, and their rounds


@cache
def _session(model: str) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise UserError("onnxruntime is not installed; install it with: pip install -e '.[peers]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True)
class Curves:
    """The surrogate in a folder: 34 tasks; learning curves of 7 hyperparameters over 52 epochs."""

    folder: Path

    def __post_init__(self) -> None:
        for name in ("model.onnx", "encoding.json", "config_space.json"):
            if not (self.folder / name).is_file():
                raise UserError(f"{self.folder}: there is no {name}; give the folder `lcbench` of YAHPO Gym's data")

    @cached_property
    def codes(self) -> dict[str, int]:
        """Return the code of each task."""
        return dict(json.loads((self.folder / "encoding.json").read_text())["OpenML_task_id"])

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Return the names of all tasks, sorted."""
        return tuple(sorted(self._declared["OpenML_task_id"]["choices"]))

    @cached_property
    def _declared(self) -> dict[str, dict[str, Any]]:
        declared = json.loads((self.folder / "config_space.json").read_text())["hyperparameters"]
        return {entry["name"]: entry for entry in declared}

    def space(self, margin: float = 0.0) -> SearchSpace:
        """Return the search space; `margin` is cut off at each end of the numbers, as a share of their scale."""
        domains: dict[str, Domain] = {}
        for name in ORDER:
            entry = self._declared[name]
            whole = Float(entry["lower"], entry["upper"], entry["log"])
            low, high = whole.decode(margin), whole.decode(1 - margin)
            if entry["type"] == "uniform_int":
                domains[name] = Int(int(np.ceil(low - 1e-9)), int(np.floor(high + 1e-9)), entry["log"])
            else:
                domains[name] = Float(low, high, entry["log"])
        if margin:  # of five layers, the outer two are no extremes
            domains["num_layers"] = Int(1, 5)
        return SearchSpace(domains)

    def accuracy(self, task: str, configs: Array, epochs: Array) -> Array:
        """Return validation accuracies [n] of raw configs [n, 7], in the order of `ORDER`, at epochs [n]."""
        inputs = np.column_stack([epochs, configs]).astype(np.float32)
        codes = np.full((len(inputs), 1), self.codes[task], dtype=np.int32)
        (output,) = _session(str(self.folder / "model.onnx")).run(None, {"x_cat": codes, "x_cont": inputs})
        return np.clip(output[:, ACCURACY].astype(np.float64), 0.0, 100.0)

    def curve(self, task: str, config: Config) -> Array:
        """Return a config's validation accuracies, [52]."""
        raw = np.array([[float(config[name]) for name in ORDER]])
        return self.accuracy(task, raw.repeat(EPOCHS, axis=0), np.arange(1.0, EPOCHS + 1))

    def bounds(self, task: str) -> tuple[float, float]:
        """Return the best accuracy known after the last epoch, and the worst of 30,000 random configs."""
        _, best, worst = self.climbed(task)
        return best, worst

    def climbed(self, task: str) -> tuple[Config, float, float]:
        """Return the best config known, its accuracy after the last epoch, and the worst of 30,000 random configs.

        The best is found by hill climbs from the best random configs.
        """
        space = self.space()
        generator = numpy_generator(0, "bounds", task)

        def at_end(u: Array) -> Array:
            raw = [[float(config[name]) for name in ORDER] for config in map(space.decode, u)]
            return self.accuracy(task, np.array(raw), np.full(len(u), float(EPOCHS)))

        u = generator.random((N_RANDOM, len(ORDER)))
        values = at_end(u)
        worst = float(values.min())
        tops = np.argsort(-values)[:N_CLIMBS]
        centres, best = u[tops], values[tops]
        for step in range(CLIMB):
            width = 0.3 * 0.92**step
            tries = np.repeat(centres, 16, axis=0)
            moved = generator.random(tries.shape) < 0.4
            tries = np.clip(tries + moved * width * generator.standard_normal(tries.shape), 0, 1)
            found = at_end(tries).reshape(N_CLIMBS, 16)
            better = found.max(axis=1) > best
            centres[better] = tries.reshape(N_CLIMBS, 16, -1)[np.arange(N_CLIMBS), found.argmax(axis=1)][better]
            best = np.maximum(best, found.max(axis=1))
        return space.decode(centres[best.argmax()]), float(best.max()), worst


@dataclass
class Measure:
    """One task under one seed: a trainable for `generations()`, and the regret of what it has trained so far.

    Cost is new epochs; going on from epoch a to b costs b - a. The incumbent is the best among the configs trained
    furthest; regret is 100 (best - its accuracy after the last epoch) / (best - worst). noise: standard deviation
    of what is added to each observation, in points; regret is always measured without it.
    """

    curves: Curves
    task: str
    best: float
    worst: float
    seed: int
    noise: float = 0.0
    spent: float = 0.0
    trace: list[tuple[float, float]] = field(default_factory=list)
    _known: dict[str, tuple[Array, Array]] = field(default_factory=dict)
    _reached: dict[str, int] = field(default_factory=dict)
    _resources: dict[str, int] = field(default_factory=dict)
    _incumbent: tuple[int, float, float] = (0, -np.inf, -np.inf)

    def observed(self, config: Config) -> tuple[Array, Array]:
        """Return a config's true curve and the observed one, each [52]."""
        key = identity(config)
        if key not in self._known:
            true = self.curves.curve(self.task, config)
            generator = numpy_generator(derive(self.seed, self.task, key), "noise")
            self._known[key] = true, true + self.noise * generator.standard_normal(EPOCHS)
        return self._known[key]

    def train(self, config: Config, epochs: int) -> Array:
        """Return the observed accuracies after each of the first `epochs` epochs; only new ones cost."""
        key = identity(config)
        true, seen = self.observed(config)
        self.spent += max(0, epochs - self._reached.get(key, 0))
        self._reached[key] = max(epochs, self._reached.get(key, 0))
        self._incumbent = max(self._incumbent, (epochs, float(seen[epochs - 1]), float(true[-1])))
        self.trace.append((self.spent, 100 * (self.best - self._incumbent[2]) / (self.best - self.worst)))
        return seen[:epochs]

    def __call__(self, trial: Trial) -> Result:
        """Return the result of a trial, as training would; its objective is the curve's last value, negated."""
        before = self._resources.get(trial.parent or "", 0)
        self._resources[trial.key] = trial.resource
        curve = tuple((-self.train(trial.config, trial.resource)).tolist())
        return Result(
            trial=trial,
            state=State.COMPLETE,
            objective=curve[-1],
            curve=curve,
            best_epoch=trial.resource,
            cost=float(trial.resource - before),
        )

    def regret(self, budget: float) -> float:
        """Return the regret when a budget was spent; trials that were not finished by then do not count."""
        return [regret for spent, regret in self.trace if spent <= budget][-1]


class Immediate(Executor):
    """Runs what is submitted at once, in this thread."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return a finished future."""
        future: Future[Any] = Future()
        future.set_result(function(*args, **kwargs))
        return future
