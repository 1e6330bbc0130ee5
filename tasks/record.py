"""What a run leaves behind so that anybody can do it again and compare: hashes of its outs, its data's version, the
machine and the packages. A pipeline's run in MLflow carries it as facts, one of an earlier version as tags."""

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import yaml

from hone.errors import UserError, shortened
from tasks import pipeline
from tasks.pipeline import Spec

if TYPE_CHECKING:
    from tasks.params import Params

BUDGET_LOCK = "budget.lock"
OUTS, DATA, PACKAGES = "hone.outs.", "hone.data", "hone.packages"
PROCESSOR, VECTOR, DEVICE = "hone.processor", "hone.vector", "hone.device"
NUMERICAL = ("torch", "numpy", "scikit-learn", "optuna")
"""Packages whose version may show in a result's last bits."""
DATA_KEYS = ("path", "md5", "hash", "size", "nfiles", "isexec")
"""What of a .dvc file's outs brings their version back."""
HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")
VECTORS = (("avx512f", "AVX-512"), ("avx2", "AVX2"), ("avx", "AVX"), ("sve", "SVE"), ("asimd", "NEON"))
"""Flags of processors, the most capable first: libraries choose by them how they add up."""


@dataclass(frozen=True)
class Machine:
    """What the last bits of a sum may depend on. device: what params ask for, and which one that is."""

    processor: str
    vector: str
    device: str

    def __str__(self) -> str:
        parts = [self.processor, self.vector, "" if self.device == "cpu" else self.device]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True, kw_only=True)
class Record:
    """What to compare with. name: as people call it. outs: of each stage, by path, the hash that DVC would give.

    machine and packages: None and empty where nobody wrote them down. data: by the path of a .dvc file, its outs.
    edited: what is not as it was when the hashes were written.
    """

    name: str
    outs: Mapping[str, Mapping[str, str]]
    machine: Machine | None = None
    packages: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    edited: tuple[str, ...] = ()


def surroundings(root: Path, params: "Params") -> dict[str, Any]:
    """Return facts of a pipeline's run: the data's version in DVC, the packages, the machine, threads and the seed."""
    machine = this_machine(params.train.device)
    return {
        DATA: tracked(root, params),
        PACKAGES: installed(),
        PROCESSOR: machine.processor,
        VECTOR: machine.vector,
        DEVICE: machine.device,
        "hone.cores": str(os.cpu_count()),
        "hone.threads": "1",  # of each training; see tasks/executors.py
        "hone.seed": str(params.seed),
    }


def outs(root: Path, name: str) -> dict[str, dict[str, str]]:
    """Return facts of a pipeline's run when a stage has ended: hashes of its outs, and of all stages above it.

    A stage that was restored from a cache logs nothing; a later stage also records its hashes.
    """
    facts = {}
    for spec in _down_to(pipeline.specs(root), name):
        hashes = {out: hashed for out in spec.outs if (hashed := md5(root / out)) is not None}
        if len(hashes) == len(spec.outs):
            facts[OUTS + spec.name] = hashes
    return facts


def parse(name: str, tags: Mapping[str, str]) -> Record:
    """Return what the tags of a pipeline's run record, its facts among them.

    Raises UserError if they hold no hashes, or what no record of Hone's holds: anybody may set a tag, and the paths in
    these are written to.
    """
    try:
        found = {key.removeprefix(OUTS): json.loads(text) for key, text in tags.items() if key.startswith(OUTS)}
        data, packages = (json.loads(tags.get(key, "{}")) for key in (DATA, PACKAGES))
    except ValueError:
        raise UserError(f"{name}: its record is cut off; `hone reproduce` of the git revision compares too") from None
    if not found:
        raise UserError(
            f"{name}: recorded no hashes: no stage has ended, or the folder of its files is gone; "
            "`hone reproduce` of a git revision compares with its dvc.lock"
        )
    _check(name, found, data, packages)
    machine = Machine(tags[PROCESSOR], tags.get(VECTOR, ""), tags.get(DEVICE, "cpu")) if PROCESSOR in tags else None
    return Record(name=name, outs=found, machine=machine, packages=packages, data=data)


def _check(name: str, outs: dict[str, Any], data: object, packages: object) -> None:
    """Raise UserError unless this is what `outs` and `surroundings` write."""

    def refuse(tag: str, what: object) -> UserError:
        return UserError(
            f"{name}: its tag {tag} holds {shortened(repr(what), 80)}, which Hone never wrote there; "
            "`hone reproduce` of the git revision goes without tags"
        )

    for stage, hashes in outs.items():
        for path, hashed in hashes.items() if isinstance(hashes, dict) else [(None, hashes)]:
            if not _is_inside(path) or not isinstance(hashed, str) or not HASH.fullmatch(hashed):
                raise refuse(OUTS + stage, {path: hashed})
    if not isinstance(data, dict):
        raise refuse(DATA, data)
    for path, entries in data.items():
        for entry in entries if isinstance(entries, list) and entries else [None]:
            if not _is_inside(path) or not _is_out(entry) or not _is_own(path, entry):
                raise refuse(DATA, {path: entry})
    if not isinstance(packages, dict) or not all(isinstance(version, str) for version in packages.values()):
        raise refuse(PACKAGES, packages)


def _is_out(entry: object) -> bool:
    if not isinstance(entry, dict) or not entry.keys() <= set(DATA_KEYS) or not _is_inside(entry.get("path")):
        return False
    numbers = (entry.get(key, 0) for key in ("size", "nfiles"))
    return (
        bool(HASH.fullmatch(str(entry.get("md5"))))
        and entry.get("hash", "md5") == "md5"
        and isinstance(entry.get("isexec", False), bool)
        and all(type(number) is int and number >= 0 for number in numbers)
    )


def _is_own(file: str, out: Any) -> bool:
    """Return whether a .dvc file's out is what `dvc add` writes there: NAME, which lies beside NAME.dvc."""
    name = PurePosixPath(file).name
    return name not in (".dvc", "..dvc", "...dvc") and name == f"{out['path']}.dvc"


def _is_inside(path: object) -> bool:
    """Return whether a path is relative, and leads nowhere but down."""
    return (
        isinstance(path, str) and path.isprintable() and bool(path) and path[0] != "/" and ".." not in path.split("/")
    )


def named(params: "Params") -> list[str]:
    """Return the paths of all inputs that params name: the data, earlier studies, former weights."""
    source = [] if params.data.source.startswith("sklearn:") else [params.data.source]
    former = [] if params.model.start_from is None else [params.model.start_from]
    return [*source, *params.search.warm_start, *former]


def tracked(root: Path, params: "Params") -> dict[str, list[dict[str, Any]]]:
    """Return the outs of the .dvc files that track what params name, by the path of each.

    What cannot be read is left out, and what is not as `dvc add` writes it.
    """
    found = {}
    for path in named(params):
        for place in (Path(path), *Path(path).parents):
            file = place.parent / f"{place.name}.dvc"
            if place.name and (root / file).is_file():
                with suppress(OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
                    entries = yaml.safe_load((root / file).read_text(encoding="utf-8"))["outs"]
                    if all(_is_own(file.as_posix(), out) for out in entries):
                        found[file.as_posix()] = [
                            {key: value for key, value in out.items() if key in DATA_KEYS} for out in entries
                        ]
                break
    return found


def installed() -> dict[str, str]:
    """Return the versions of the packages that compute, of those that are there."""
    versions = {}
    for name in NUMERICAL:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


@cache
def this_machine(device: str) -> Machine:
    """Return what this machine is. device: as params have it."""
    about = _cpuinfo()
    flags = (about.get("flags") or about.get("Features") or "").split()
    name = about.get("model name") or _macs_processor() or platform.processor() or platform.machine()
    # Clouds give many processors one name.
    numbers = [f"{key} {about[key]}" for key in ("cpu family", "model") if key in about]
    return Machine(
        processor=f"{name} ({', '.join(numbers)})" if numbers else name,
        vector=next((shown for flag, shown in VECTORS if flag in flags), ""),
        device="cpu" if device == "cpu" else _accelerator(device),
    )


def md5(path: Path) -> str | None:
    """Return the hash by which DVC knows a file or a folder, or None if it is not there.

    DVC's own function takes a second to import, in the process of every stage; a test compares the two.
    """
    if path.is_file():
        return _md5(path, path.stat().st_mtime_ns, path.stat().st_size)
    if not path.is_dir():
        return None
    below = {p.relative_to(path).as_posix(): md5(p) for p in path.rglob("*") if p.is_file()}
    listing = [{"md5": below[name], "relpath": name} for name in sorted(below)]
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


@cache
def _md5(path: Path, modified_ns: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _down_to(stages: Mapping[str, Spec], name: str) -> Iterator[Spec]:
    """Yield a stage and all that it depends on, in the pipeline's order."""
    needed: set[str] = set()
    waiting = [name]
    while waiting:
        if (current := waiting.pop()) not in needed:
            needed.add(current)
            deps = stages[current].deps
            waiting += [s.name for s in stages.values() if any(overlap(o, d) for o in s.outs for d in deps)]
    yield from (spec for spec in stages.values() if spec.name in needed)


def overlap(one: str, other: str) -> bool:
    """Return whether two paths are the same, or one lies in the other."""
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _cpuinfo() -> dict[str, str]:
    """Return what Linux says of the first processor."""
    with suppress(OSError):
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
        return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
    return {}


def _macs_processor() -> str:
    return _output("sysctl", "-n", "machdep.cpu.brand_string") if platform.system() == "Darwin" else ""


def _accelerator(device: str) -> str:
    """Return the device, and the name of the GPU where there is one; torch would take seconds and memory to say it."""
    name = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").partition("\n")[0]
    return re.sub(r"\s+", " ", f"{device} ({name})") if name else device


def _output(*command: str) -> str:
    """Return what a command prints, nothing if it fails or is not there."""
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    return ""
