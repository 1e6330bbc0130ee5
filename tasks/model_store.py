"""The final model as a folder: weights, preprocessor, description. No pickle, and equal models are equal bytes."""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors.numpy
import safetensors.torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hone.data.preprocessing import Preprocessor
from hone.data.problem import Problem
from hone.data.targets import YeoJohnson
from hone.errors import UserError
from hone.evaluation import calibration
from hone.models import InputSpec
from hone.training.predict import Prediction, load_network, predict
from hone.trial import Config
from tasks import files

WEIGHTS, PREPROCESSOR, DESCRIPTION = "model.safetensors", "preprocess.skops", "model.json"
ROWS = "rows.safetensors"
FORMAT = 2  # 1 had one family and config for all networks, and no temperature or threshold; it is still read
# Beyond scikit-learn's own classes. A file that asks for anything else is not loaded.
TRUSTED = ["numpy.dtype"]


@dataclass(frozen=True)
class Network:
    """One network to be stored: the family and config it is built from, its state dict, its weight in the average.

    transform: of the standardised target, in which it learnt.
    """

    family: str
    config: Config
    tensors: Mapping[str, Tensor]
    weight: float = 1.0
    transform: YeoJohnson | None = None


@dataclass(frozen=True)
class Predictor:
    """A model ready for raw rows. The predictions of its networks, of which there is at least one, are averaged.

    weights: of each network; none: all alike. temperature: by which averaged probabilities are softened.
    threshold: the probability from which the positive class is predicted; None: the most probable class is.
    transforms: of each network's target; none: none has one.
    """

    networks: tuple[nn.Module, ...]
    preprocessor: Preprocessor
    weights: tuple[float, ...] = ()
    temperature: float = 1.0
    threshold: float | None = None
    transforms: tuple[YeoJohnson | None, ...] = ()

    @property
    def problem(self) -> Problem:
        """The problem that the model solves."""
        return self.preprocessor.problem

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The raw columns that rows must have; others are passed over."""
        return self.preprocessor.schema.used

    def proba(self, frame: pd.DataFrame) -> Prediction:
        """Return float64 probabilities ``[n, n_classes]``, or values ``[n]`` in the target's own units.

        Missing values and unseen categories are fine. Raises UserError naming the columns that are missing.
        """
        arrays = self.preprocessor.features(frame)
        units = self.preprocessor.target_mean, self.preprocessor.target_std
        transforms = self.transforms or (None,) * len(self.networks)
        predictions = [
            predict(network, arrays, self.problem, *units, transform)
            for network, transform in zip(self.networks, transforms, strict=True)
        ]
        mean = np.average(predictions, axis=0, weights=self.weights) if self.weights else np.mean(predictions, axis=0)
        found = np.asarray(mean, dtype=np.float64)
        return found if self.problem.classes is None else calibration.tempered(found, self.temperature)

    def decide(self, probabilities: Prediction) -> NDArray[np.int64]:
        """Return the code of the class that is predicted for each row, by its probabilities."""
        return calibration.decide(self.problem, probabilities, self.threshold)

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a row for each row, with its index: `prediction`, and for classes ``probability_<class>`` for each.

        Raises UserError naming the columns that are missing.
        """
        found = self.proba(frame)
        if self.problem.classes is None:
            return pd.DataFrame({"prediction": found}, index=frame.index)
        labels = np.array(self.problem.classes, dtype=object)[self.decide(found)]
        columns: dict[str, Any] = {"prediction": pd.Series(labels, index=frame.index).infer_objects()}
        for code, name in enumerate(self.problem.classes):
            columns[f"probability_{name}"] = found[:, code]
        return pd.DataFrame(columns, index=frame.index)


def save(
    folder: Path,
    *,
    networks: Sequence[Network],
    inputs: InputSpec,
    preprocessor: Preprocessor,
    temperature: float = 1.0,
    threshold: float | None = None,
    seen: NDArray[np.uint64] | None = None,
) -> None:
    """Write model.safetensors, preprocess.skops and model.json; equal arguments give equal bytes.

    networks: of any families and configs, at least one, all made for these inputs. temperature, threshold: see
    `Predictor`. seen: fingerprints of the rows that they were trained on (see hone.data.rows), written to
    rows.safetensors, in any order; None writes none.
    """
    from skops.io import dumps  # takes seconds: it imports all of scikit-learn

    assert networks
    tensors = {
        f"{number}.{name}": tensor.detach().cpu().contiguous().clone()
        for number, network in enumerate(networks)
        for name, tensor in network.tensors.items()
    }
    description = {
        "format": FORMAT,
        "networks": [
            {
                "family": one.family,
                "config": dict(one.config),
                "weight": one.weight,
                "transform": one.transform and one.transform.to_json(),
            }
            for one in networks
        ],
        "temperature": temperature,
        "threshold": threshold,
        "inputs": inputs.to_json(),
        "preprocessor": preprocessor.to_json(),
    }
    files.write_bytes(folder / WEIGHTS, safetensors.torch.save(tensors))
    files.write_bytes(folder / PREPROCESSOR, _canonical(dumps(dict(preprocessor.estimators))))
    if seen is None:
        (folder / ROWS).unlink(missing_ok=True)  # a former model's
    else:
        # As int64, which every reader of safetensors knows.
        rows = np.unique(np.asarray(seen, dtype=np.uint64)).view(np.int64)
        files.write_bytes(folder / ROWS, safetensors.numpy.save({"seen": rows}))
    files.write_json(folder / DESCRIPTION, description)


def seen(folder: Path) -> NDArray[np.uint64]:
    """Return the fingerprints of the rows that a model was trained on, sorted; none if its folder does not say."""
    if not (folder / ROWS).is_file():
        return np.empty(0, dtype=np.uint64)
    found: NDArray[np.uint64] = safetensors.numpy.load_file(folder / ROWS)["seen"].view(np.uint64)
    return found


def load(folder: Path) -> Predictor:
    """Return the model in a folder, on the CPU.

    Raises UserError if there is none, or its preprocessor holds anything but scikit-learn's classes.
    """
    from skops import io as skops_io

    for name in (DESCRIPTION, WEIGHTS, PREPROCESSOR):
        if not (folder / name).is_file():
            raise UserError(f"{folder}: there is no model, {name} is missing; run `hone tune`, or pull it with dvc")
    description = describe(folder)
    unknown = sorted(set(skops_io.get_untrusted_types(file=folder / PREPROCESSOR)) - set(TRUSTED))
    if unknown:
        raise UserError(
            f"{folder / PREPROCESSOR}: refused, it holds types that no preprocessor of Hone's needs "
            f"({', '.join(unknown)}); do not use this model"
        )
    estimators = skops_io.load(folder / PREPROCESSOR, trusted=TRUSTED)
    tensors = safetensors.torch.load_file(folder / WEIGHTS)
    inputs = InputSpec.from_json(description["inputs"])
    networks = tuple(
        load_network(one["family"], one["config"], inputs, _under(f"{number}.", tensors))
        for number, one in enumerate(description["networks"])
    )
    weights = tuple(float(one["weight"]) for one in description["networks"])
    transforms = [one["transform"] and YeoJohnson.from_json(one["transform"]) for one in description["networks"]]
    return Predictor(
        networks,
        Preprocessor.from_json(description["preprocessor"], estimators),
        weights if len(set(weights)) > 1 else (),
        description["temperature"],
        description["threshold"],
        tuple(transforms) if any(transforms) else (),
    )


def describe(folder: Path) -> dict[str, Any]:
    """Return what model.json says, in today's format; UserError if it is in one that this Hone does not know."""
    description: dict[str, Any] = files.read_json(folder / DESCRIPTION)
    if description["format"] == 1:
        network = {"family": description["family"], "config": description["config"], "weight": 1.0, "transform": None}
        description |= {
            "networks": [network] * description["n_networks"],
            "temperature": 1.0,
            "threshold": None,
        }
    elif description["format"] != FORMAT:
        raise UserError(
            f"{folder / DESCRIPTION}: format {description['format']!r}, not {FORMAT}; use the Hone that wrote it"
        )
    return description


def _load_pyfunc(path: str) -> Predictor:
    """Return the model in a folder; MLflow calls this for a pyfunc model with this module as its loader."""
    return load(Path(path))


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _canonical(content: bytes) -> bytes:
    """Return a skops file without what differs from run to run: memory addresses and the time of day.

    skops names arrays by their address, and marks every value with its own, so that an object that is there twice
    is one object again when loaded. A fitted preprocessor has no use for that.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    names: dict[str, str] = {}

    def tidy(value: Any) -> Any:
        if isinstance(value, list):
            return [tidy(item) for item in value]
        if not isinstance(value, dict):
            return value
        if isinstance(file := value.get("file"), str) and file in members:
            new = names.setdefault(file, f"{len(names)}{Path(file).suffix}")
            value = {**value, "file": new}
        # A mark is a number; an attribute that is called __id__ would be a dict.
        return {key: tidy(item) for key, item in value.items() if not (key == "__id__" and isinstance(item, int))}

    schema = tidy(json.loads(members["schema.json"]))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for old, new in names.items():
            archive.writestr(_member(new), members[old])
        archive.writestr(_member("schema.json"), json.dumps(schema, indent=2))
    return buffer.getvalue()


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))  # the earliest that a zip file can hold
    member.create_system = 3
    member.external_attr = 0o644 << 16
    return member
