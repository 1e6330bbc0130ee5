"""Pictures from a folder, a zip or an .npz: found, named by class, and decoded once."""

import contextlib
import math
import os
import stat
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import PIL
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hone.data import images
from hone.data.images import IMAGE, LABEL, UnreadableError
from hone.errors import UserError
from tasks import files, pipeline, sources

ARCHIVES = (".zip", ".npz")
PATH, REASON = "path", "reason"
FOLDER = (".work", "pictures")
LARGEST = 1 << 28
"""Bytes of a file beyond which it is no picture to learn from; what a zip says it unpacks to is checked too."""
MOST_INFLATED, INFLATES_FREELY = 200, 1 << 18
"""Times that an archive may grow when it is unpacked, beyond some bytes: blank pictures grow by a hundred."""
SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation"}
X_NAMES = ("x", "images", "image", "pictures", "data")
Y_NAMES = ("y", "labels", "label", "classes", "class", "targets", "target")
SHOWN = 8

Label = str | int | float | None
Read = Callable[[int], bytes]


@dataclass(frozen=True)
class Entry:
    """A picture that was found. read: returns the picture of that size as it is kept, or raises UnreadableError."""

    path: str
    label: Label
    read: Read


@dataclass(frozen=True)
class Listing:
    """What a source holds. passed_over: files that are no pictures by their names, or lie in no class's folder."""

    entries: Sequence[Entry]
    passed_over: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pictures:
    """Pictures as a table. frame: columns image and class. corrupt: (path, reason) of files that cannot be read."""

    frame: pd.DataFrame
    corrupt: tuple[tuple[str, str], ...]
    passed_over: tuple[str, ...]


def are_at(path: Path) -> bool:
    """Return whether a source is one of pictures: a folder or an archive, unless it holds tables and no pictures."""
    archive = path.name.lower().endswith(ARCHIVES)
    return (path.is_dir() or archive) and not sources.holds_tables(path)


def read(root: Path, source: str, path: Path, size: int, corrupt: float) -> Pictures:
    """Return the pictures of a source, in the order of their paths, size × size.

    They are decoded once: a copy of what came out is kept in .work/, for as long as neither data, size nor code
    change. corrupt: the largest share of files that may be unreadable. Raises UserError for more, and as `listing`.
    """
    cache = root.joinpath(*FOLDER, f"{_key(path, size)}.parquet")
    if not cache.is_file():
        with listing(path, f"data.source: {source}") as found:
            _write(cache, found, size)
        for other in cache.parent.glob("*.parquet"):
            if other != cache:
                other.unlink(missing_ok=True)
    table = pq.read_table(cache)
    frame = table.to_pandas()
    check_classes(frame[LABEL].tolist(), f"data.source: {source}")
    bad = frame[IMAGE].isna().to_numpy()
    unreadable = tuple(zip(frame[PATH][bad].tolist(), frame[REASON][bad].tolist(), strict=True))
    if len(unreadable) > corrupt * len(frame):
        raise UserError(
            f"data.source: {source}: {corrupt_sentence(unreadable, len(frame))}, more than the share of {corrupt:g} "
            "that data.images.corrupt allows; mend or remove them, or raise it"
        )
    passed_over = tuple(table.schema.metadata[b"passed_over"].decode().splitlines())
    return Pictures(frame.loc[~bad, [IMAGE, LABEL]].reset_index(drop=True), unreadable, passed_over)


@contextlib.contextmanager
def listing(path: Path, name: str) -> Iterator[Listing]:
    """Yield what a source holds, in the order of paths, to be read within the block. Nothing is written anywhere.

    name: what messages call the source. A label is the name of a picture's folder (the topmost, unless all pictures
    lie in the same), or stands beside it in an .npz; None if there is none. Raises UserError for a source that
    cannot be opened or holds no pictures, and for a zip with a path that leads out of it.
    """
    if path.is_dir():
        yield _listed(_in_folder(path), name)
        return
    if not path.is_file():
        raise UserError(f"{name}: there is no such file; add it with `hone add FILE`, or mend the path")
    if path.name.lower().endswith(".npz"):
        yield _of_arrays(path, name)
        return
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise UserError(f"{name} is no zip that can be read ({error}); pack the pictures again") from error
    with archive:
        yield _listed(_in_zip(archive, name), name)


def check_classes(labels: Sequence[Label], name: str) -> int:
    """Return how many classes there are; UserError for fewer than two."""
    found = {str(label) for label in labels if label is not None}
    if len(found) < 2:
        what = f"one class only, {next(iter(found))!r}" if found else "no classes"
        raise UserError(f"{name} has {what}; give each class's pictures a folder of its own, named like the class")
    return len(found)


def pieces(path: Path, size: int, rows: int, corrupt: Callable[[str, str], None]) -> Iterator[pd.DataFrame]:
    """Yield a source's pictures piece by piece, as tables of path, class and image, and never hold more than one.

    corrupt: told the path of each file that is left out because it cannot be read, and why.
    """
    held: list[tuple[str, Label, bytes]] = []
    with listing(path, str(path)) as found:
        for entry in found.entries:
            try:
                held.append((entry.path, entry.label, entry.read(size)))
            except UnreadableError as error:
                corrupt(entry.path, str(error))
            if len(held) == rows:
                yield pd.DataFrame(held, columns=[PATH, LABEL, IMAGE])
                held = []
    if held:
        yield pd.DataFrame(held, columns=[PATH, LABEL, IMAGE])


def corrupt_sentence(unreadable: Sequence[tuple[str, str]], total: int) -> str:
    """Return a phrase that names files that cannot be read."""
    named = ", ".join(f"{path} ({reason})" for path, reason in unreadable[:SHOWN])
    more = f" and {len(unreadable) - SHOWN} more" if len(unreadable) > SHOWN else ""
    return f"{len(unreadable)} of {total} pictures cannot be read: {named}{more}"


def _key(path: Path, size: int) -> str:
    """Return a hash of all that decoded pictures depend on."""
    code = [pipeline.hash_path(Path(str(file))) for file in (images.__file__, __file__)]
    return pipeline.hash_json([pipeline.hash_path(path), path.name, size, PIL.__version__, *code])[:32]


def _write(cache: Path, found: Listing, size: int) -> None:
    """Write all pictures of a listing as a table; those that cannot be read have a reason and no image."""
    rows: dict[str, list[Any]] = {PATH: [], LABEL: [], IMAGE: [], REASON: []}
    for entry in found.entries:
        content, reason = None, None
        try:
            content = entry.read(size)
        except UnreadableError as error:
            reason = str(error)
        for name, value in zip(rows, (entry.path, entry.label, content, reason), strict=True):
            rows[name].append(value)
    types = {PATH: pa.string(), LABEL: None, IMAGE: pa.large_binary(), REASON: pa.string()}
    table = pa.table({name: pa.array(values, types[name]) for name, values in rows.items()})
    files.write_parquet(cache, table.replace_schema_metadata({"passed_over": "\n".join(found.passed_over)}))


def _listed(found: Mapping[str, Read], name: str) -> Listing:
    """Return the pictures among files, by the files' names."""
    visible = sorted(place for place in found if not _is_hidden(place))
    pictures = [place for place in visible if place.lower().endswith(images.ENDINGS)]
    if not pictures:
        endings = ", ".join(images.ENDINGS)
        raise UserError(f"{name} holds no pictures ({endings}); name a table, or a folder, zip or .npz of pictures")
    labels = _labels(pictures, name)
    entries = [Entry(place, labels[place], found[place]) for place in pictures if place in labels]
    return Listing(entries, tuple(place for place in visible if place not in labels))


def _in_folder(path: Path) -> dict[str, Read]:
    files_there = [Path(folder) / name for folder, _, names in os.walk(path) for name in names]
    for file in files_there:
        try:
            str(file).encode()
        except UnicodeEncodeError:
            raise UserError(f"{file}: the name is not UTF-8; rename it") from None
    return {file.relative_to(path).as_posix(): partial(_read_file, file) for file in files_there}


def _read_file(path: Path, size: int) -> bytes:
    try:
        there = path.stat()
        if not stat.S_ISREG(there.st_mode):
            raise UnreadableError("it is no regular file")
        _check_length(there.st_size)
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error
    return images.normalised(content, size)


def _in_zip(archive: zipfile.ZipFile, name: str) -> dict[str, Read]:
    found: dict[str, Read] = {}
    members = archive.infolist()
    _check_inflation(sum(one.file_size for one in members), sum(one.compress_size for one in members), name)
    for member in members:
        place = PurePosixPath(member.filename.replace("\\", "/"))
        if place.is_absolute() or ".." in place.parts or (place.parts and place.parts[0].endswith(":")):
            raise UserError(f"{name}: {member.filename!r} leads out of the archive; pack the pictures again")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise UserError(f"{name}: {member.filename!r} is a link; pack the pictures themselves")
        if member.flag_bits & 1:
            raise UserError(f"{name}: {member.filename!r} is encrypted; pack the pictures without a password")
        if not member.is_dir():
            found[place.as_posix()] = partial(_read_member, archive, member)
    return found


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, size: int) -> bytes:
    _check_length(member.file_size)
    try:
        with archive.open(member) as file:
            content = file.read(LARGEST)  # no more, if the size was forged
    except Exception as error:  # of any type: packing may be broken in many ways
        raise UnreadableError(" ".join(str(error).split())[:120] or type(error).__name__) from error
    return images.normalised(content, size)


def _check_inflation(unpacked: int, packed: int, name: str) -> None:
    """Raise UserError for an archive made to fill a memory or a disk: pictures are packed already."""
    if unpacked > MOST_INFLATED * max(packed, INFLATES_FREELY):
        raise UserError(f"{name} unpacks to {unpacked >> 20} MB of {packed >> 20} MB; pack the pictures themselves")


def _check_length(n_bytes: int) -> None:
    if n_bytes > LARGEST:
        raise UnreadableError(f"it has more than {LARGEST >> 20} MB")


def _is_hidden(place: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in place.split("/"))


def _labels(places: Sequence[str], name: str) -> dict[str, str | None]:
    """Return a label for each picture that is to be learnt from or predicted, by its path."""
    parts = {place: place.split("/") for place in places}
    while len({found[0] for found in parts.values()}) == 1 and any(len(found) > 2 for found in parts.values()):
        parts = {place: found[1:] for place, found in parts.items()}
    inside = {place: found[0] for place, found in parts.items() if len(found) > 1}
    if not inside:  # all side by side: to be predicted
        return dict.fromkeys(places)
    tops = set(inside.values())
    if len(tops) > 1 and {top.lower() for top in tops} <= SPLITS:
        raise UserError(
            f"{name} is split already ({', '.join(sorted(tops))}); Hone splits by itself: put all pictures of a class "
            "into one folder"
        )
    return dict(inside)


def _of_arrays(path: Path, name: str) -> Listing:
    """Return the pictures in an .npz."""
    arrays = _load(path, name)
    there = ", ".join(arrays) or "nothing"
    x_name = next((key for key in X_NAMES if key in arrays), None)
    y_name = next((key for key in Y_NAMES if key in arrays), None)
    if x_name is None:
        raise UserError(f"{name} holds {there}; save all pictures as `x`, and their classes as `y`")
    x = _as_pixels(arrays[x_name], f"{name}: {x_name}")
    labels: list[Label] = [None] * len(x)
    if y_name is not None:
        y = arrays[y_name]
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        if y.shape != (len(x),):
            raise UserError(
                f"{name}: {y_name} has the shape {arrays[y_name].shape}, and there are {len(x)} pictures; "
                "save one class for each"
            )
        if y.dtype.kind not in "biufUS":
            raise UserError(f"{name}: {y_name} is of type {y.dtype}; save the classes as numbers or text")
        labels = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in y.tolist()]
    width = len(str(max(0, len(x) - 1)))
    return Listing(
        [Entry(f"{x_name}[{row:0{width}}]", label, partial(_read_row, x[row])) for row, label in enumerate(labels)],
        tuple(key for key in arrays if key not in (x_name, y_name)),
    )


def _read_row(values: NDArray[Any], size: int) -> bytes:
    if values.dtype != np.uint8:
        if not np.isfinite(values).all():
            raise UnreadableError("it has pixels that are not finite")
        values = np.floor(values + 0.5).astype(np.uint8)
    return images.from_pixels(values, size)


def _load(path: Path, name: str) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as packed:
            members = packed.infolist()
            _check_inflation(sum(one.file_size for one in members), sum(one.compress_size for one in members), name)
            for member in members:
                _check_header(packed, member)
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except UserError:
        raise
    except Exception as error:  # of any type: numpy's reader raises what its parts raise
        words = " ".join(str(error).split())[:120]
        raise UserError(f"{name} is no .npz that can be read ({words}); write it with np.savez, as numbers") from error


def _check_header(packed: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Raise ValueError for an array that says that it is larger than its bytes: numpy makes room for it first."""
    with packed.open(member) as file:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
        if read is None:
            raise ValueError(f"{member.filename} is of a version that is not read")
        shape, _, kind = read(file)
    if not kind.hasobject and math.prod(shape) * kind.itemsize > member.file_size:
        raise ValueError(f"{member.filename} is cut short, or says that it is larger than it is")


def _as_pixels(x: NDArray[Any], name: str) -> NDArray[Any]:
    """Return pictures as [n, h, w] or [n, h, w, c], in 0..255; UserError for an array that does not hold any."""
    if x.ndim == 4 and x.shape[3] not in (1, 3, 4) and x.shape[1] in (1, 3, 4):
        x = x.transpose(0, 2, 3, 1)
    if x.ndim not in (3, 4) or (x.ndim == 4 and x.shape[3] not in (1, 3, 4)) or 0 in x.shape:
        raise UserError(
            f"{name} has the shape {x.shape}; save pictures as [n, height, width] or [n, height, width, channels]"
        )
    if x.dtype == np.uint8:
        return x
    if x.dtype == np.bool_:
        return x.astype(np.uint8) * np.uint8(255)
    if x.dtype.kind not in "iuf":
        raise UserError(f"{name} is of type {x.dtype}; save pixels as uint8")
    finite = x[np.isfinite(x)] if x.dtype.kind == "f" else x
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if low < 0 or high > 255:
        raise UserError(f"{name} has values from {low:g} to {high:g}; save pixels as uint8, or scale them to 0..1")
    return x.astype(np.float32) * (255 if x.dtype.kind == "f" and high <= 1 else 1)
