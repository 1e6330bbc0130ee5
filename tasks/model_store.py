"""The final model as a folder: weights, preprocessor, description. No pickle, and equal models are equal bytes."""

import contextlib
import hashlib
import importlib.util
import io
import json
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors.numpy
import safetensors.torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from hone.data import images, rows
from hone.data.preprocessing import Preprocessor
from hone.data.problem import Problem
from hone.data.rows import Seen
from hone.data.targets import YeoJohnson
from hone.errors import UserError, shortened
from hone.evaluation import calibration
from hone.models import FAMILIES, InputSpec
from hone.models.former import FROZEN, RATE, START
from hone.models.spaces import TRAINING
from hone.training.predict import Prediction, load_network, predict
from hone.trial import Config
from tasks import files, model_format

WEIGHTS, PREPROCESSOR, DESCRIPTION = "model.safetensors", "preprocess.skops", "model.json"
ROWS = "rows.safetensors"
FORMER, KEY = "former.", "hone"
FORMAT = 2  # 1 had one family and config for all networks, and no temperature or threshold; it is still read
# Beyond scikit-learn's own classes, of which `model_format` takes a few. What asks for anything else is not loaded.
TRUSTED = ["numpy.dtype"]
SMALLEST_SIZE = 64
WIDEST_CELL = 32  # numbers that a cell becomes, about
FACTOR, SPARE = 8, 1 << 26
"""Of memory that making a network may take: so many times its weights, and some bytes."""


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
        if self.problem.classes is not None:
            found = np.minimum(found, 1.0)  # weights' rounding may lift an average of ones above one
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
    former: Sequence[Seen] = (),
) -> None:
    """Write model.safetensors, preprocess.skops and model.json; equal arguments give equal bytes.

    networks: of any families and configs, at least one, all made for these inputs. temperature, threshold: see
    `Predictor`. seen: fingerprints of the rows that they were trained on (`Preprocessor.fingerprints`), written to
    rows.safetensors, in any order; None writes none. former: rows that the weights they started from were trained on.
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
    contents = {
        WEIGHTS: safetensors.torch.save(tensors),
        PREPROCESSOR: _canonical(dumps(dict(preprocessor.estimators))),
    }
    if seen is None:
        (folder / ROWS).unlink(missing_ok=True)  # a former model's
    else:
        # As int64, which every reader of safetensors knows.
        own = np.unique(np.asarray(seen, dtype=np.uint64)).view(np.int64)
        arrays, marks = rows.packed(former, FORMER)
        about = {KEY: json.dumps({"former": marks}, sort_keys=True)} if marks else None
        contents[ROWS] = safetensors.numpy.save({"seen": own, **arrays}, metadata=about)
    for name, content in contents.items():
        files.write_bytes(folder / name, content)
    sha256 = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    files.write_json(folder / DESCRIPTION, {**description, "sha256": sha256})


def seen(folder: Path) -> NDArray[np.uint64]:
    """Return the fingerprints of the rows that a model was trained on, sorted; none if its folder does not say.

    Raises UserError if the file that says it is broken.
    """
    return _rows(folder)[0]


def former(folder: Path) -> tuple[Seen, ...]:
    """Return the rows that the weights a model started from were trained on, as far as its folder says.

    Raises UserError as `seen`.
    """
    return _rows(folder)[1]


def _rows(folder: Path) -> tuple[NDArray[np.uint64], tuple[Seen, ...]]:
    path = folder / ROWS
    if not path.is_file():
        return np.empty(0, dtype=np.uint64), ()
    _check_whole(path, describe(folder))
    try:
        with safe_open(path, framework="np") as opened:
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (no dict)
            marks = json.loads((opened.metadata() or {}).get(KEY, "{}")).get("former", ())
        own = arrays["seen"]
        if own.dtype != np.int64 or own.ndim != 1:
            raise ValueError(f"{own.dtype} {own.shape}")
        return own.view(np.uint64), rows.unpacked(arrays, marks, FORMER)
    except Exception as error:  # of any type: what a broken file makes a reader do is not foreseen
        raise UserError(f"{path}: not the rows of a model ({one_line(error)}); do not use this model") from None


def load(folder: Path, trusted: Collection[str] = ()) -> Predictor:
    """Return the model in a folder, on the CPU.

    trusted: families of a person's own, ``package.module:name``, that may be imported and called. A folder may come
    from a stranger: a family that is neither Hone's own nor among these is refused before anything is imported.
    Raises UserError if there is no model, if it needs such a family, or if it is not what a model of Hone's can be.
    """
    for name in (DESCRIPTION, WEIGHTS, PREPROCESSOR):
        if not (folder / name).is_file():
            raise UserError(f"{folder}: there is no model, {name} is missing; run `hone tune`, or pull it with dvc")
    description = describe(folder)
    for family in dict.fromkeys(one["family"] for one in description["networks"]):
        _check_trusted(family, trusted, folder)
    for name in (WEIGHTS, PREPROCESSOR):
        _check_whole(folder / name, description)
    model_format.check_preprocessor(folder / PREPROCESSOR)
    preprocessor = Preprocessor.from_json(description["preprocessor"], _estimators(folder / PREPROCESSOR))
    tensors = _tensors(folder / WEIGHTS)
    inputs = InputSpec.from_json(description["inputs"])
    networks = tuple(
        _network(one["family"], one["config"], inputs, _under(f"{number}.", tensors), folder)
        for number, one in enumerate(description["networks"])
    )
    weights = tuple(float(one["weight"]) for one in description["networks"])
    transforms = [one["transform"] and YeoJohnson.from_json(one["transform"]) for one in description["networks"]]
    model = Predictor(
        networks,
        preprocessor,
        weights if len(set(weights)) > 1 else (),
        description["temperature"],
        description["threshold"],
        tuple(transforms) if any(transforms) else (),
    )
    _try_out(model, folder)
    return model


def describe(folder: Path) -> dict[str, Any]:
    """Return what model.json says, in today's format.

    Raises UserError if it is broken, in a format that this Hone does not know, or says what no model can be.
    """
    return model_format.description(folder / DESCRIPTION, FORMAT)


def _load_pyfunc(path: str) -> Predictor:
    """Return the model in a folder; MLflow calls this for a pyfunc model with this module as its loader.

    Whoever serves a pyfunc model runs the code in it: MLflow itself puts its ``code`` on the path, and this module
    comes from there. So a family of a person's own is trusted where its module lies there, and nowhere else.
    """
    folder = Path(path)
    families = {str(one["family"]) for one in describe(folder)["networks"]}
    return load(folder, [family for family in families if _lies_in(family, _code_of(folder))])


def _code_of(folder: Path) -> Path | None:
    """Return the folder of the code in an MLflow model, from that of the model in it; None if it is none."""
    root = next((above for above in folder.resolve().parents if (above / "MLmodel").is_file()), None)
    return None if root is None else root / "code"


def _lies_in(family: str, code: Path | None) -> bool:
    """Return whether the module of a family would be imported from a folder; nothing is imported to find out."""
    try:
        spec = importlib.util.find_spec(family.partition(":")[0].partition(".")[0])
    except (ImportError, ValueError):
        return False
    if spec is None or code is None:
        return False
    places = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or ())
    return bool(places) and all(Path(str(place)).resolve().is_relative_to(code) for place in places)


def _check_trusted(family: str, trusted: Collection[str], folder: Path) -> None:
    if family in FAMILIES or family in trusted:
        return
    raise UserError(
        f"{folder / DESCRIPTION}: its network is made by {family!r}, which is code to be imported and run, and neither"
        " Hone's nor the model.family of this project; if you trust it, say `hone predict --trust` with its name"
    )


def _check_whole(path: Path, description: Mapping[str, Any]) -> None:
    """Raise UserError if a file is not the one that was written, as far as the description says; older ones do not."""
    written = description.get("sha256", {}).get(path.name)
    if written is not None and files.sha256(path) != written:
        raise UserError(f"{path}: damaged, its bytes are not those that were written; copy it anew")


def _estimators(path: Path) -> dict[str, Any]:
    from skops import io as skops_io

    try:
        unknown = sorted(set(skops_io.get_untrusted_types(file=path)) - set(TRUSTED))
        if unknown:
            raise ValueError(f"it holds types that no preprocessor of Hone's needs, {', '.join(unknown)}")
        found: Any = skops_io.load(path, trusted=TRUSTED)
        if not isinstance(found, dict) or set(found) - {"numeric", "categorical"}:
            raise ValueError("it holds other estimators")
    except Exception as error:  # of any type: what a broken file makes a reader do is not foreseen
        raise UserError(f"{path}: not a preprocessor of Hone's ({one_line(error)}); do not use this model") from None
    return found


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except Exception as error:  # of any type, as above
        raise UserError(f"{path}: not a file of safetensors ({one_line(error)}); do not use this model") from None


def _network(family: str, config: Config, inputs: InputSpec, weights: Mapping[str, Tensor], folder: Path) -> nn.Module:
    """Return a network with these weights; UserError if they are none of such a network."""
    n_bytes = sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
    widest = max((size for tensor in weights.values() for size in tensor.shape), default=0)
    try:
        if family not in FAMILIES:
            return load_network(family, config, inputs, weights)
        for name, value in config.items():
            # A width is the size of some tensor, and a depth at most their number.
            if (
                isinstance(value, int)
                and name not in (*TRAINING.names, START, RATE, FROZEN)
                and value > max(widest, len(weights), SMALLEST_SIZE)
            ):
                raise ValueError(f"{name} {value} is beyond what its weights are of")
        if sum(inputs.cardinalities) > len(inputs.cardinalities) + sum(tensor.numel() for tensor in weights.values()):
            raise ValueError("it has more categories than weights")
        biggest = max([SMALLEST_SIZE, *(value for value in config.values() if isinstance(value, int))])
        most = FACTOR * n_bytes + SPARE
        # To look at each tensor takes time where columns are many; so do not where none can be large.
        of_one = 4 * biggest * max(biggest, WIDEST_CELL * (inputs.n_num + len(inputs.cardinalities)))
        with _Bounded(most) if of_one > most else contextlib.nullcontext():
            return load_network(family, config, inputs, weights)
    except Exception as error:  # of any type: a config may be any, and a factory may raise anything
        raise UserError(
            f"{folder / DESCRIPTION}: no {shortened(repr(family), 60)} can be made of its config and weights"
            f" ({one_line(error)}); do not use this model"
        ) from None


class _Bounded(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Lets networks be made of so many bytes: a line in a model's description could ask for all of the memory."""

    def __init__(self, most: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._left = most

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))  # memory that is not yet written to costs nothing
        if isinstance(made, Tensor) and not any(isinstance(one, Tensor) for one in args):
            self._left -= made.numel() * made.element_size()
            if self._left < 0:
                raise ValueError("it would take far more memory than its weights")
        return made


def _try_out(model: Predictor, folder: Path) -> None:
    """Raise UserError if a model of Hone's own families cannot predict a row in which all is missing."""
    image = model.preprocessor.schema.image
    if any(type(network).__module__.partition(".")[0] != "hone" for network in model.networks):
        return  # a person's own
    try:
        blank = None if image is None or image.shape is None else images.encoded(np.zeros(image.shape, dtype=np.uint8))
        frame = pd.DataFrame({name: [blank] for name in model.columns}, index=[0], dtype=object)
        found = model.predict(frame)
        assert len(found) == 1
    except Exception as error:  # of any type: parts that do not belong together
        raise UserError(
            f"{folder}: its parts do not belong together ({one_line(error)}); do not use this model"
        ) from None


def one_line(error: Exception) -> str:
    """Return an exception's type and text as one short line."""
    return shortened(" ".join(f"{type(error).__name__}: {error}".split()), 160)


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
