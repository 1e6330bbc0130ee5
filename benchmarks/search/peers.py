"""What others propose, under the same measure: Optuna, hyperopt, plain Hyperband, and a naive chain of them.

Numbers are given to a peer in its own terms: whole ones as integers, save for Optuna's GP, which is at its best where
they are declared as floats and rounded when they are trained. No peer is told of a trial that it did not ask for, and
none starts what does not fit into the budget. A config that a peer repeats costs nothing, as if its curve were kept;
a peer that only repeats itself is ended by `patience`.

All but the naive chain do the same whatever the budget is, up to where it ends them.
"""

import importlib.util
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from benchmarks.search.curves import EPOCHS, Measure
from benchmarks.search.methods import LOWEST, Method
from hone.errors import UserError
from hone.search.hyperband import brackets
from hone.search.proposals import uniform
from hone.seeds import derive
from hone.space import Categorical, Fixed, Float, Int, SearchSpace
from hone.trial import Config, Value

BATCH = 8
ETA = 3


def affordable(measure: Measure, budget: float) -> int:
    """Return how many whole trainings the rest of a budget pays for."""
    return int((budget - measure.spent + 1e-9) // EPOCHS)


def patience(budget: float) -> range:
    """Return as many turns as a peer gets: twice as many as there are whole trainings in the budget."""
    return range(2 * int(budget // EPOCHS))


def distributions(space: SearchSpace, *, whole: bool = True) -> dict[str, BaseDistribution]:
    """Return Optuna's distributions of a space without conditions; integers are floats unless `whole`."""
    found: dict[str, BaseDistribution] = {}
    for name, domain in space.domains.items():
        match domain:
            case Int(low, high, log) if whole:
                found[name] = IntDistribution(low, high, log=log)
            case Int(low, high, log) | Float(low, high, log):
                found[name] = FloatDistribution(float(low), float(high), log=log)
            case Categorical(choices):
                found[name] = CategoricalDistribution(choices)
            case Fixed():
                pass
    return found


def suggested(trial: optuna.Trial, space: SearchSpace) -> Config:
    """Return the values that a trial suggests one by one, of what is active only: as one writes it in Optuna."""
    config: dict[str, Value] = {}
    for name, domain in space.domains.items():
        if name in space.conditions and not space.conditions[name].holds(config):
            continue
        match domain:
            case Int(low, high, log):
                config[name] = trial.suggest_int(name, low, high, log=log)
            case Float(low, high, log):
                config[name] = trial.suggest_float(name, low, high, log=log)
            case Categorical(choices):
                config[name] = trial.suggest_categorical(name, choices)
            case Fixed(value):
                config[name] = value
    return config


def legal(space: SearchSpace, values: Mapping[str, object]) -> Config:
    """Return the config of a peer's values: whole numbers where the space has integers, and what is fixed."""
    config: dict[str, Value] = {}
    for name, domain in space.domains.items():
        match domain:
            case Int():
                config[name] = domain.clip(round(float(values[name])))  # type: ignore[arg-type]
            case Float():
                config[name] = domain.clip(float(values[name]))  # type: ignore[arg-type]
            case Categorical():
                config[name] = values[name]  # type: ignore[assignment]
            case Fixed(value):
                config[name] = value
    return config


def _study(
    seed: int, sampler: optuna.samplers.BaseSampler, pruner: optuna.pruners.BasePruner | None = None
) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Optuna's Hyperband takes a trial's bracket from a hash of the study's name, which would be random.
    return optuna.create_study(sampler=sampler, pruner=pruner or optuna.pruners.NopPruner(), study_name=f"seed-{seed}")


def _whole_trainings(
    study: optuna.Study, measure: Measure, space: SearchSpace, budget: float, *, batch: int, whole: bool = True
) -> None:
    """Ask for a batch, train it to the end, tell, as long as the budget pays for a training."""
    domains = distributions(space, whole=whole)
    for _ in patience(budget):
        trials = [study.ask(domains) for _ in range(min(batch, affordable(measure, budget)))]
        if not trials:
            return
        for trial in trials:
            study.tell(trial, -float(measure.train(legal(space, trial.params), EPOCHS)[-1]))


def _pruned_trainings(study: optuna.Study, measure: Measure, space: SearchSpace, budget: float) -> None:
    """Train configs epoch by epoch until the study's pruner ends them, or the budget does."""
    domains = distributions(space)
    while measure.spent + LOWEST <= budget:
        trial = study.ask(domains)
        config = legal(space, trial.params)
        for epoch in range(1, EPOCHS + 1):
            if measure.spent + 1 > budget:
                return
            value = -float(measure.train(config, epoch)[-1])
            trial.report(value, epoch)
            if epoch < EPOCHS and trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                break
        else:
            study.tell(trial, value)


def tpe(measure: Measure, space: SearchSpace, budget: float, seed: int) -> None:
    """Optuna's TPE as it comes, whole trainings in batches of 8."""
    study = _study(seed, optuna.samplers.TPESampler(seed=derive(seed, "tpe")))
    _whole_trainings(study, measure, space, budget, batch=BATCH)


def gp(measure: Measure, space: SearchSpace, budget: float, seed: int) -> None:
    """Optuna's Gaussian process at its strongest: whole trainings one at a time, integers declared as floats."""
    study = _study(seed, optuna.samplers.GPSampler(seed=derive(seed, "gp")))
    _whole_trainings(study, measure, space, budget, batch=1, whole=False)


def _pruner() -> optuna.pruners.HyperbandPruner:
    return optuna.pruners.HyperbandPruner(min_resource=LOWEST, max_resource=EPOCHS, reduction_factor=ETA)


def hyperband_pruner(measure: Measure, space: SearchSpace, budget: float, seed: int) -> None:
    """Optuna's Hyperband: TPE proposes, the pruner ends trials on their way; what it ended is not resumed.

    Its last trial ends with the budget, wherever it is.
    """
    study = _study(seed, optuna.samplers.TPESampler(seed=derive(seed, "hyperband_pruner")), _pruner())
    _pruned_trainings(study, measure, space, budget)


def hyperopt_tpe(measure: Measure, space: SearchSpace, budget: float, seed: int) -> None:
    """hyperopt's TPE as it comes, whole trainings one at a time."""
    from hyperopt import Trials, fmin, hp, tpe

    parts = {}
    for name, domain in space.domains.items():
        match domain:
            case Int(low, high, True):
                parts[name] = hp.qloguniform(name, np.log(low), np.log(high), 1)
            case Int(low, high, False):
                parts[name] = hp.uniformint(name, low, high)
            case Float(low, high, True):
                parts[name] = hp.loguniform(name, np.log(low), np.log(high))
            case Float(low, high, False):
                parts[name] = hp.uniform(name, low, high)
            case Categorical(choices):
                parts[name] = hp.choice(name, choices)

    fmin(
        lambda values: -float(measure.train(legal(space, values), EPOCHS)[-1]),
        parts,
        algo=tpe.suggest,
        max_evals=int(budget // EPOCHS),
        trials=Trials(),
        rstate=np.random.default_rng(derive(seed, "hyperopt_tpe")),
        show_progressbar=False,
        verbose=False,
    )


def hyperband_random(measure: Measure, space: SearchSpace, budget: float, seed: int) -> None:
    """Hyperband as published: uniform configs, promotion by rank; promoted configs resume their checkpoints."""
    configs = uniform(space, derive(seed, "hyperband_random"))
    for bracket in itertools.cycle(brackets(EPOCHS, LOWEST, ETA)):
        rung: list[tuple[float, int, Config]] = [(0.0, i, next(configs)) for i in range(bracket[0].n_configs)]
        before = 0
        for n_configs, resource in bracket:
            climbing, rung = sorted(rung, key=lambda entry: entry[:2])[:n_configs], []
            for _, i, config in climbing:
                if measure.spent + resource - before > budget:
                    return
                rung.append((-float(measure.train(config, resource)[-1]), i, config))
            before = resource


def naive_chain(measure: Measure, space: SearchSpace, budget: float, seed: int) -> None:
    """Random search, TPE, then TPE under Optuna's Hyperband pruner: a third of the budget each, in one study."""
    study = _study(seed, optuna.samplers.RandomSampler(seed=derive(seed, "naive_chain", "random")))
    _whole_trainings(study, measure, space, budget / 3, batch=BATCH)
    study.sampler = optuna.samplers.TPESampler(seed=derive(seed, "naive_chain", "tpe"))
    _whole_trainings(study, measure, space, 2 * budget / 3, batch=BATCH)
    study.pruner = _pruner()
    _pruned_trainings(study, measure, space, budget)


PEERS: dict[str, Method] = {
    "tpe": tpe,
    "gp": gp,
    "hyperband_pruner": hyperband_pruner,
    "hyperopt_tpe": hyperopt_tpe,
    "hyperband_random": hyperband_random,
    "naive_chain": naive_chain,
}
NEEDS = {"hyperopt_tpe": "hyperopt"}  # packages that Hone itself does without


def check_installed(names: Sequence[str]) -> None:
    """Raise UserError if the package of one of these methods is missing."""
    for name in names:
        package = NEEDS.get(name)
        if package and importlib.util.find_spec(package) is None:
            raise UserError(f"--methods {name}: {package} is not installed; run: pip install -e '.[peers]'")
