"""Raw rows by fingerprint: whether a row is the same row as one of another table, whatever its columns' types."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hone.data import cells, images
from hone.data.images import Shape
from hone.data.schema import describe
from hone.errors import UserError

N_BYTES = 8
PIECE = 50_000  # rows at a time: as text they take ten times their memory


@dataclass(frozen=True)
class Marks:
    """What a model knows rows by. names: columns of its table. image, shape: of pictures, as the model sees them."""

    names: tuple[str, ...]
    image: str | None = None
    shape: Shape | None = None

    def of(self, frame: pd.DataFrame) -> NDArray[np.uint64]:
        """Return the fingerprints of raw rows; a column that the marks do not name does not count.

        Raises UserError for a table that lacks a column, and for pictures of another size, or kept without colours
        that the model sees.
        """
        if lacking := [name for name in self.names if name not in frame.columns]:
            raise UserError(f"the table lacks {describe(lacking)}, by which the rows are known that a model has seen")
        if self.image is not None and self.shape is not None and len(frame):
            first = bytes(frame[self.image].iloc[0])
            side = images.opened(first).height
            if side != self.shape[1]:
                raise UserError(f"pictures of {side} pixels are other rows than those of {self.shape[1]}")
            if self.shape[0] == 3 and images.is_kept_grey(first):
                raise UserError("pictures that were kept in grey are other rows than those in colour")
            frame = frame.assign(**{self.image: images.kept(frame[self.image], self.shape)})
        return fingerprints(frame[list(self.names)])

    def to_json(self) -> dict[str, Any]:
        """Return the marks as JSON values."""
        return {"names": list(self.names), "image": self.image, "shape": self.shape and list(self.shape)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the marks that `to_json` wrote."""
        names, image, shape = tuple(map(str, values["names"])), values["image"], values["shape"]
        if image is None or shape is None:
            return cls(names)
        channels, height, width = map(int, shape)
        return cls(names, str(image), (channels, height, width))


@dataclass(frozen=True)
class Seen:
    """Rows that a model was trained on: their fingerprints by its marks, sorted, each once."""

    marks: Marks
    digests: NDArray[np.uint64]

    def knows(self, frame: pd.DataFrame) -> NDArray[np.bool_]:
        """Return which raw rows are among them, [n]; UserError as `Marks.of`."""
        return np.isin(self.marks.of(frame), self.digests)


def merged(seen: Iterable[Seen]) -> tuple[Seen, ...]:
    """Return the same rows, those of equal marks together; nothing of none."""
    found: dict[Marks, list[NDArray[np.uint64]]] = {}
    for one in seen:
        found.setdefault(one.marks, []).append(one.digests)
    together = [Seen(marks, np.unique(np.concatenate(digests))) for marks, digests in found.items()]
    return tuple(one for one in together if len(one.digests))


def packed(seen: Sequence[Seen], prefix: str) -> tuple[dict[str, NDArray[np.int64]], list[dict[str, Any]]]:
    """Return rows as named arrays, and as JSON values what they are known by. As int64, which every reader knows."""
    arrays = {f"{prefix}{number}": one.digests.view(np.int64) for number, one in enumerate(seen)}
    return arrays, [one.marks.to_json() for one in seen]


def unpacked(arrays: Mapping[str, NDArray[Any]], marks: Sequence[Any], prefix: str) -> tuple[Seen, ...]:
    """Return the rows that `packed` gave; KeyError, TypeError or ValueError for what it cannot have given."""
    found = []
    for number, values in enumerate(marks):
        digests = arrays[f"{prefix}{number}"]
        if digests.dtype != np.int64 or digests.ndim != 1:
            raise ValueError(f"{prefix}{number} is {digests.dtype} {digests.shape}")
        found.append(Seen(Marks.from_json(values), digests.view(np.uint64)))
    return tuple(found)


def fingerprints(frame: pd.DataFrame) -> NDArray[np.uint64]:
    """Return a number for each raw row, shape ``[n]``: equal for equal rows, and by all odds for no others.

    All columns count, in the order of their names; a number is the same number as int, float or text, and blank
    text is a missing value. The same in any process and on any platform. The names themselves do not count.
    """
    order = sorted(range(frame.shape[1]), key=lambda position: str(frame.columns[position]))
    ordered = frame.iloc[:, order]
    pieces = [_digests(ordered.iloc[start : start + PIECE]) for start in range(0, len(frame), PIECE)]
    return np.frombuffer(b"".join(pieces), dtype="<u8").astype(np.uint64)


def _digests(frame: pd.DataFrame) -> bytes:
    """Return the hashes of rows, one behind the other."""
    columns = [_canonical(frame.iloc[:, position]) for position in range(frame.shape[1])]
    rows = zip(*columns, strict=True) if columns else [()] * len(frame)
    return b"".join(hashlib.blake2b(json.dumps(row).encode(), digest_size=N_BYTES).digest() for row in rows)


def _canonical(column: "pd.Series[Any]") -> list[str | None]:
    """Return a column's cells as text, each number as float64 shows it: a gap makes whole numbers floats.

    Bytes (of pictures) are represented by their hash.
    """
    if len(column) and all(isinstance(cell, bytes) for cell in column):
        return list(images.digests(column.tolist()))
    texts = cells.texts(column)
    if pd.api.types.is_float_dtype(column.dtype):
        return texts.tolist()
    numbers = cells.texts(cells.numbers(texts))
    return [text if number is None else number for text, number in zip(texts, numbers, strict=True)]
