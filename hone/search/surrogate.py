"""Proposals of a surrogate model: Optuna's TPE or Gaussian process, behind one pure function.

The sampler is made anew for each generation from the results so far, in their order, with a derived seed; Optuna
keeps no state for us. How a result becomes an Optuna trial (samplers/_tpe/sampler.py, Optuna 5.0, `_split_trials`):

=========================  ==========================================  =====================================
a config's standing        TPE: multivariate, grouped                  GP
=========================  ==========================================  =====================================
at the common fidelity     COMPLETE with its objective there           COMPLETE
below it                   PRUNED; sorted behind, by (step, value)     left out
diverged or failed         PRUNED without a value; sorted last         COMPLETE, as bad as the worst
outside the space          at the nearest point inside                 left out
=========================  ==========================================  =====================================

TPE models where the good ones are, among the others: bad ones at the border do no harm. A GP models the function
itself, so it must not be told that a value belongs to another point. TPE's groups hold the parameters that
exist together (`group=True`); a GP needs all of them, so what is inactive takes its default.

Numbers, integers too, are coordinates on the unit interval: Optuna's own integers cost a GP a line search each, and
its choices take 1 for True, so a choice is its position.
"""

import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import optuna
import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from hone.search.standings import Standing, fidelity, standings
from hone.space import Categorical, Float, Int, SearchSpace
from hone.trial import Config, Result

Sampler = Literal["tpe", "gp"]
Distributions = dict[str, BaseDistribution]
STARTUP = 10  # successful configs without which a model says nothing; Optuna's own default
GOOD = 0.1  # share of configs that TPE calls good (its gamma)


def suggest(space: SearchSpace, results: Sequence[Result], n: int, *, seed: int, sampler: Sampler) -> list[Config]:
    """Return n configs in `space` that the surrogate expects most of; they may repeat earlier ones.

    Proposals of one call keep apart: each is pending for those behind it. Until a GP has `STARTUP` successes to
    go by, TPE stands in for it. Empty if fewer than `STARTUP` configs succeeded, or nothing in the space is free.
    """
    if sampler == "gp":
        inside = [result for result in results if space.contains(result.trial.config)]
        if sum(standing.ok and standing.reached for standing in _compared(space, inside)) >= STARTUP:
            results = inside
        else:
            sampler = "tpe"
    distributions = _distributions(space)
    known = _compared(space, results)
    if sum(standing.ok for standing in known) < STARTUP or not distributions:
        return []
    trials = (_gp_trials if sampler == "gp" else _tpe_trials)(space, distributions, known)
    with _quiet_and_alone():
        study = optuna.create_study(sampler=_SAMPLERS[sampler](seed))
        study.add_trials(trials)
        return [_config(space, study.ask(distributions).params) for _ in range(n)]


def _compared(space: SearchSpace, results: Sequence[Result]) -> list[Standing]:
    # Twice as many as TPE calls good, or all of the newest fidelity would be good; a GP needs more points than axes.
    return standings(results, max(STARTUP, space.dimension + 1, math.ceil(2 * GOOD * len(results))))


def _tpe(seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=STARTUP, multivariate=True, group=True, constant_liar=True
    )


def _gp(seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.GPSampler(seed=seed, n_startup_trials=STARTUP, warn_independent_sampling=False)


_SAMPLERS = {"tpe": _tpe, "gp": _gp}


@contextmanager
def _quiet_and_alone() -> Iterator[None]:
    """Keep Optuna from announcing each study, from warning that `group` is experimental, and to one thread.

    A GP's tensors are tiny: on a busy machine several threads make it twenty times slower, and sums differ in
    the last bit with the number of threads.
    """
    verbosity, n_threads = optuna.logging.get_verbosity(), torch.get_num_threads()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
        torch.set_num_threads(n_threads)


def _distributions(space: SearchSpace) -> Distributions:
    """Return Optuna's distributions of what is free: a number's coordinate, a choice's position."""
    distributions: Distributions = {}
    for name, domain in space.domains.items():
        match domain:
            case Float(low, high) | Int(low, high) if low < high:
                distributions[name] = FloatDistribution(0.0, 1.0)
            case Categorical(choices) if len(choices) > 1:
                distributions[name] = CategoricalDistribution(range(len(choices)))
    return distributions


def _config(space: SearchSpace, params: dict[str, Any]) -> Config:
    """Return the config of Optuna's parameters, with what is active only."""
    values = dict(space.defaults)
    for name, value in params.items():
        domain = space.domains[name]
        values[name] = domain.choices[value] if isinstance(domain, Categorical) else domain.decode(value)
    return space.trimmed(values)


def _params(space: SearchSpace, names: Iterable[str], config: Config) -> dict[str, Any] | None:
    """Return Optuna's parameters of a config, numbers clipped into the space; None if a choice is not in it."""
    params: dict[str, Any] = {}
    for name in names:
        domain = space.domains[name]
        if name not in config:
            continue
        if not isinstance(domain, Categorical):
            params[name] = domain.encode(config[name])
        elif domain.contains(config[name]):
            params[name] = domain.index(config[name])
        else:
            return None
    return params


def _frozen(distributions: Distributions, params: dict[str, Any], **outcome: Any) -> FrozenTrial:
    return create_trial(params=params, distributions={name: distributions[name] for name in params}, **outcome)


def _tpe_trials(space: SearchSpace, distributions: Distributions, known: Sequence[Standing]) -> list[FrozenTrial]:
    # A PRUNED trial is ranked by its last step, so steps must rise with the fidelity.
    steps = {level: step for step, level in enumerate(sorted({fidelity(s.result.trial) for s in known}))}
    trials = []
    for standing in known:
        params = _params(space, distributions, standing.config)
        if params is None:
            continue
        outcome: dict[str, Any] = {"state": TrialState.PRUNED}
        if standing.ok and standing.reached:
            outcome = {"state": TrialState.COMPLETE, "value": standing.objective}
        elif standing.ok:
            outcome["intermediate_values"] = {steps[fidelity(standing.result.trial)]: standing.objective}
        trials.append(_frozen(distributions, params, **outcome))
    return trials


def _gp_trials(space: SearchSpace, distributions: Distributions, known: Sequence[Standing]) -> list[FrozenTrial]:
    usable = [standing for standing in known if standing.reached or not standing.ok]
    worst = max(standing.objective for standing in usable if standing.ok)
    return [
        _frozen(
            distributions,
            _params(space, distributions, {**space.defaults, **standing.config}) or {},
            state=TrialState.COMPLETE,
            value=standing.objective if standing.ok else worst,
        )
        for standing in usable
    ]
