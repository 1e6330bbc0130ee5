"""Former weights that networks start from: a file in data/start_from/, which params name.

Only what lies there may be named. It is a dependency of the stages that train, so what they start from is versioned
with the project: a model's folder or a registry may change or go, and `hone start-from` copies from either.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import pandas as pd
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from hone import models
from hone.data import preprocessing
from hone.data.problem import Problem
from hone.data.rows import Marks, Seen, merged, packed, unpacked
from hone.data.schema import Schema
from hone.errors import UserError
from hone.models.former import Former
from hone.training.start import load
from hone.training.train import TrainingData
from hone.trial import Config

FOLDER = Path("data") / "start_from"
KEY = "model.start_from"
WEIGHTS, DESCRIPTION, ROWS = "model.safetensors", "model.json", "rows.safetensors"
"""Of a model's folder, see tasks/model_store.py."""
SEEN = "hone.seen."
"""What the names of arrays beside the weights begin with: of the rows that the former model was trained on."""
SHOWN = 6  # names of weights in one sentence


def check_place(source: str) -> str:
    """Return what params name, spelt in one way; ValueError if it is not a file in data/start_from/."""
    if Path(source).parent == FOLDER and Path(source).suffix == ".safetensors":
        return Path(source).as_posix()
    raise ValueError(
        f"must be a file in {FOLDER.as_posix()}/, which the stages depend on;"
        f" `hone start-from {source}` copies the weights there"
    )


def former(root: Path, source: str | None) -> Former | None:
    """Return what networks start from; None if params name nothing. UserError if it is missing or damaged."""
    if source is None:
        return None
    path = root / source
    if not path.is_file():
        raise UserError(f"{KEY}: {source}: there is no such file; `hone start-from SOURCE` copies weights there")
    return _read(path, source, path.stat().st_mtime_ns, path.stat().st_size)


@lru_cache(maxsize=2)
def _read(path: Path, source: str, modified_ns: int, size: int) -> Former:
    return parse(path, f"{KEY}: {source}")


def parse(path: Path, shown: str) -> Former:
    """Return the weights in a safetensors file, and what `content` wrote beside them. shown: what an error calls it.

    Raises UserError for what is no such file, and for weights that are not finite numbers.
    """
    tensors, about = _tensors(path, shown)
    weights = {name: tensor for name, tensor in tensors.items() if not name.startswith(SEEN)}
    if not about or set(about) == {"seen"}:
        return Former(weights)
    try:
        return Former(
            weights,
            str(about["family"]),
            dict(about["config"]),
            Problem.from_json(about["problem"]),
            tuple(map(str, about["columns"])),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{shown}: what it says of its model cannot be read ({_short(error)}); copy it anew") from None


def seen(root: Path, source: str | None) -> tuple[Seen, ...]:
    """Return the raw rows that the weights which params name were trained on, as far as their file says.

    Raises UserError as `former`.
    """
    if former(root, source) is None:
        return ()
    shown = f"{KEY}: {source}"
    tensors, about = _tensors(root / str(source), shown)
    return _seen(tensors, about.get("seen", ()), SEEN, shown)


def overlap(known: Sequence[Seen], parts: Mapping[str, pd.DataFrame]) -> tuple[bool, str] | None:
    """Return whether former weights were trained on rows of some part, and a sentence on it; None if on none.

    parts: raw rows by what the sentence calls them. False comes with why it cannot be told.
    """
    masks = {name: np.zeros(len(frame), dtype=np.bool_) for name, frame in parts.items()}
    doubt = None
    for one in known:
        try:
            for name, frame in parts.items():
                masks[name] |= one.knows(frame)
        except UserError as error:
            doubt = f"{KEY}: whether the former weights were trained on rows that judge cannot be told: {error}"
    shares = [
        f"{mask.sum():,} of {len(mask):,} {name} rows ({mask.mean():.0%})" for name, mask in masks.items() if mask.any()
    ]
    if shares:
        return True, f"{KEY}: the former weights were trained on {' and '.join(shares)}; scores on these are too good"
    return None if doubt is None else (False, doubt)


def content(source: Path) -> bytes:
    """Return the file that is to lie in data/start_from/. source: a model's folder, a project, or a safetensors file.

    Of a model of several networks it is the first. What is known of the rows that it was trained on comes along.
    Equal sources give equal bytes. Raises UserError for a source that holds no weights.
    """
    folder = source.parent if source.name == WEIGHTS else source
    if source.is_file() and not (folder / DESCRIPTION).is_file():
        tensors, about = _tensors(source, str(source))
        known = _seen(tensors, about.get("seen", ()), SEEN, str(source))
        return _packed({name: tensor for name, tensor in tensors.items() if not name.startswith(SEEN)}, known, {})
    for place in (folder, folder / "artifacts" / "retrain" / "model"):
        if (place / DESCRIPTION).is_file() and (place / WEIGHTS).is_file():
            return _of_model(place)
    raise UserError(
        f"{source}: holds no weights; give a model's folder, a project with artifacts/retrain/model, a file of"
        " safetensors, or models:/NAME@ALIAS"
    )


def _of_model(folder: Path) -> bytes:
    """Return the first network of a model's folder, and what a later training must know of it."""
    shown = str(folder / DESCRIPTION)
    try:
        described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        about = {
            "family": described["networks"][0]["family"],
            "config": described["networks"][0]["config"],
            "problem": described["preprocessor"]["problem"],
            "columns": [
                column["name"]
                for column in described["preprocessor"]["schema"]["columns"]
                if column["kind"] != "dropped"
            ],
        }
        marks = preprocessing.marks(
            Schema.from_json(described["preprocessor"]["schema"]), Problem.from_json(about["problem"])
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{shown}: not a model's description ({_short(error)}); give a model of Hone's") from None
    tensors, _ = _tensors(folder / WEIGHTS, str(folder / WEIGHTS))
    weights = {name.removeprefix("0."): tensor for name, tensor in tensors.items() if name.startswith("0.")}
    if not weights:
        raise UserError(f"{folder / WEIGHTS}: holds no network number 0; give a model of Hone's")
    return _packed(weights, _of_rows(folder / ROWS, marks) if (folder / ROWS).is_file() else (), about)


def _packed(weights: Mapping[str, Tensor], known: Sequence[Seen], about: Mapping[str, Any]) -> bytes:
    """Return a file of weights, of what is known of their model, and of the rows that it was trained on."""
    arrays, marks = packed(known, SEEN)
    about = {**about, **({"seen": marks} if marks else {})}
    tensors = {**weights, **{name: torch.from_numpy(array) for name, array in arrays.items()}}
    return safetensors.torch.save(tensors, metadata={"hone": json.dumps(about, sort_keys=True)} if about else None)


def _of_rows(path: Path, marks: Marks) -> tuple[Seen, ...]:
    """Return the rows that a model, whose marks these are, and what it started from, was trained on."""
    tensors, about = _tensors(path, str(path))
    own = {f"{SEEN}0": tensor for name, tensor in tensors.items() if name == "seen"}
    known = (
        _seen(own, [marks.to_json()], SEEN, str(path)),
        _seen(tensors, about.get("former", ()), "former.", str(path)),
    )
    return merged(chain(*known))


def _seen(tensors: Mapping[str, Tensor], marks: Sequence[Any], prefix: str, shown: str) -> tuple[Seen, ...]:
    try:
        return unpacked(
            {name: each.numpy() for name, each in tensors.items() if name.startswith(prefix)}, marks, prefix
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{shown}: the rows trained on cannot be read ({_short(error)}); copy it anew") from None


def _tensors(path: Path, shown: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (no dict)
            about = json.loads((opened.metadata() or {}).get("hone", "{}"))
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"{shown}: not a file of safetensors ({_short(error)}); write a state dict with safetensors.torch.save_file"
        ) from None
    if not tensors:
        raise UserError(f"{shown}: holds no weights")
    for name, tensor in tensors.items():
        if tensor.is_complex():
            raise UserError(f"{shown}: {name} is of type {tensor.dtype}; weights are real numbers")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor.float()).all()):
            raise UserError(f"{shown}: {name} holds numbers that are not finite; take another state of the network")
    return tensors, about if isinstance(about, dict) else {}


def look(
    given: Former, source: str, family: str, config: Config, data: TrainingData, columns: tuple[str, ...]
) -> tuple[str, str | None]:
    """Return which weights networks take over and which not, and what speaks against it, if anything does.

    source: what params call the file. config: one of the family, such as the default. columns: the raw ones that the
    network sees. Raises UserError if nothing fits.
    """
    loaded = load(models.build(family, config, data.inputs, seed=0), given, data.problem)
    left = _listed(f"{name} ({why})" for name, why in loaded.left.items())
    if not loaded.names:
        raise UserError(f"{KEY}: {source}: nothing in it fits a network of {family} on this table; not taken: {left}")
    over = _listed(name for name in given.weights if name not in loaded.names and name not in loaded.left)
    said = f"{source}: networks start from {_listed(loaded.names)}"
    said += f"; they start afresh in {left}" if left else ""
    said += f"; they have no {over}" if over else ""
    return said, _doubt(source, given, columns)


def _doubt(source: str, given: Former, columns: tuple[str, ...]) -> str | None:
    """Return a sentence if the former model read other columns than these, or in another order; else None."""
    if not given.columns or given.columns == columns:
        return None
    new = _listed(name for name in columns if name not in given.columns)
    gone = _listed(name for name in given.columns if name not in columns)
    how = f"new: {new or 'none'}; gone: {gone or 'none'}" if new or gone else "in another order"
    return f"{source}: it was trained on other columns ({how}); what its first layers know may not hold for these"


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(found[:SHOWN]) + more


def _short(error: Exception) -> str:
    return shorten(f"{type(error).__name__}: {error}", 120, placeholder="…")
