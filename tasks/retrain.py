"""The final networks, trained on all but the sealed rows: those that `composition` chose, and the default config's."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.torch import load, save

from hone import models
from hone.data import preprocessing
from hone.data.preprocessing import Preprocessor, Scaling
from hone.errors import UserError
from hone.models.former import PRETRAINED, START
from hone.parallel import reason, settle
from hone.seeds import derive
from hone.space import price_of
from hone.training.train import Settings, TrainingData, train
from hone.trial import Config, identity
from tasks import composition, encoded, files, held_out, model_store, start_from, trials, wording
from tasks.allowance import within
from tasks.composition import Composition
from tasks.stage import Stage
from tasks.trainables import read_problem, read_schema, settings

MODELS = {"model": "the tuned model", "defaults": "the default config"}


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

    @property
    def key(self) -> Hashable:
        """What tells it from the stage's other networks."""
        return identity(self.config), self.epochs, self.seed

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
    """Write two model folders: the delivered model, as `composition.compose` chose it, and the defaults' average.

    Both are calibrated in the same way. Where the defaults are delivered, both folders hold the same model.
    A seed that diverges is named and left out, and what is left of its config takes its share. Raises UserError if no
    network is left of the tuned model; without a network of the defaults their folder holds the reasons, and `evaluate`
    says that there is nothing to compare with.
    """
    stage = within(stage)
    params = stage.params
    split = stage.path("data", "split")
    problem = read_problem(split)
    searched = stage.path("artifacts", "search_hyperband")
    winner = files.read_json(searched / "winner.json")
    replays = trials.read(searched / "replay.parquet")
    group = composition.group(params)
    predicted = held_out.read(searched / "held_out.safetensors", replays, split, problem, group)
    asked_for = params.retrain.model_copy(update={"seeds": _seeds(stage, winner["config"])})
    chosen = composition.compose(winner, predicted, asked_for, params.seed)
    if not chosen.scores:
        stage.reporter.warning(
            "retrain: no seed of the winner predicted all held-out rows, as replays of it failed; so the final model is"
            " an average of seeds, with no ensemble, temperature or threshold chosen"
        )
    delivered = composition.delivered(winner)
    if delivered == "defaults":
        defaults = chosen  # one model: its gain is exactly zero
    else:
        defaults = composition.compose_defaults(winner, predicted, asked_for, params.seed)
    preprocessor, data = prepare(split, params.data.scaling)
    data = _shared(stage.rows, data)
    models = {"model": chosen, "defaults": defaults}
    asked = {
        (name, place, number): Network(
            split=split,
            rows=stage.rows,
            family=params.model.family,
            scaling=params.data.scaling,
            settings=settings(params, problem),
            config=member.config,
            # Defaults that failed in every replay carry no epochs over; they get the most there are.
            epochs=member.epochs or params.train.epochs,
            seed=derive(params.seed, "retrain", number),  # the same seeds for all: a paired comparison
            root=stage.root,
            start_from=params.model.start_from,
        )
        for name, made_of in models.items()
        for place, member in enumerate(made_of.members)
        for number in range(member.networks)
    }
    # Where nothing was found that is better than the defaults, both models are made of the same networks.
    distinct = {network.key: network for network in asked.values()}
    trained = {
        network.key: (None, reason(outcome)) if isinstance(outcome, Exception) else outcome
        for network, outcome in settle(_trained, list(distinct.values()), stage.executor)
    }
    outcomes = {place: trained[network.key] for place, network in asked.items()}
    seen, former = preprocessor.fingerprints(_rows(split)), start_from.seen(stage.root, params.model.start_from)
    summary: dict[str, Any] = {"rows": len(data.train)}
    for name, made_of in models.items():
        networks, errors = list[model_store.Network](), []
        for place, member in enumerate(made_of.members):
            found = {number: outcomes[name, place, number] for number in range(member.networks)}
            left = [load(tensors) for tensors, _ in found.values() if tensors is not None]
            which = f"finalist {place + 1}, " if len(made_of.members) > 1 else ""
            errors += [f"{which}seed {number}: {error}" for number, (tensors, error) in found.items() if not tensors]
            networks += [
                model_store.Network(
                    params.model.family,
                    member.config,
                    tensors,
                    member.share / len(left),
                    data.transform(member.config),
                )
                for tensors in left
            ]
        _complain(stage, name, errors, len(networks))
        if not networks:
            files.write_json(stage.artifact(name, "failed.json"), errors)
        else:
            model_store.save(
                stage.artifact(name),
                networks=networks,
                inputs=data.inputs,
                preprocessor=preprocessor,
                temperature=made_of.temperature,
                threshold=made_of.threshold,
                seen=seen,
                former=former if any(one.config.get(START) == PRETRAINED for one in made_of.members) else (),
            )
        epochs = [member.epochs for member in made_of.members]
        summary[name] = {"networks": len(networks), "failed": len(errors), "epochs": epochs[0]}
        if name == "model":
            summary[name] |= _made_of(chosen, networks) | {"delivered": delivered}
    files.write_json(stage.artifact("metrics.json"), summary)
    stage.reporter.message(wording.composed(problem.metric, summary["model"]))


def _seeds(stage: Stage, config: Config) -> int:
    """Return how many networks the final models average: as params say, or fewer where the winner is dear."""
    seeds, allowed = stage.params.retrain.seeds, stage.allowed
    if allowed is None or allowed.final is None:
        return seeds
    price = price_of(allowed.prices or {}, config)
    return max(1, min(seeds, math.floor(allowed.final / price)))


def _made_of(chosen: Composition, networks: Sequence[model_store.Network]) -> dict[str, Any]:
    """Return what was chosen, why, and at which cost: parameters, also as so many times those of one network."""
    sizes = [sum(tensor.numel() for tensor in network.tensors.values()) for network in networks]
    return {
        "kind": chosen.kind,
        "configs": len(chosen.members),
        "parameters": sum(sizes),
        "times_one": sum(sizes) / sizes[0] if sizes else 0.0,
        "held_out": dict(chosen.scores),
        "calibration": dict(chosen.held_out),
        "temperature": chosen.temperature,
        "threshold": chosen.threshold,
    }


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


def _trained(network: Network) -> tuple[bytes | None, str | None]:
    return network()


def _complain(stage: Stage, name: str, errors: list[str], n_left: int) -> None:
    if not errors:
        return
    if not n_left and name == "model":
        raise UserError(
            f"retrain: all {len(errors)} trainings of the tuned model failed, {errors[0]}; "
            "lower search.space.learning_rate.high if they diverged, or train with fewer workers if memory ran out"
        )
    left_out = f"left out of {MODELS[name]}" if n_left else f"nothing is left of {MODELS[name]}"
    for error in errors:
        stage.reporter.warning(f"retrain: {error}; {left_out}")
