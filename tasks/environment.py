"""The packages that a lock file asks for: are they the ones that are here, and if not, an environment of them."""

import importlib.metadata
import platform
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name, canonicalize_version
from packaging.version import InvalidVersion, Version

from hone.errors import UserError

Run = Callable[[Sequence[str]], str]
"""Runs a command in the checkout; returns what it printed, raises UserError where it fails."""


def pins(lock: str) -> dict[str, str]:
    """Return the version of each package that a lock file pins for this machine, by its canonical name."""
    found: dict[str, str] = {}
    for line in lock.splitlines():
        try:
            required = Requirement(line.partition("#")[0].strip().rstrip("\\").strip())
        except InvalidRequirement:
            continue  # empty, a comment, an option of pip's
        exact = [each.version for each in required.specifier if each.operator == "=="]
        if exact and (required.marker is None or required.marker.evaluate()):
            found[canonicalize_name(required.name)] = exact[0]
    return found


def differences(wanted: Mapping[str, str], installed: Mapping[str, str]) -> list[str]:
    """Return, for each package that is installed in another version than wanted, a few words.

    What is not installed is not needed here. A build's own suffix (+cpu) makes no other version.
    """
    return [
        f"{name} {version} (here {installed[name]})"
        for name, version in sorted(wanted.items())
        if name in installed and public(version) != public(installed[name])
    ]


def installed() -> dict[str, str]:
    """Return the versions of all packages of this environment, by their canonical names."""
    found = ((each.metadata["Name"], each.version) for each in importlib.metadata.distributions())
    return {canonicalize_name(name): version for name, version in found if name}


def differs(lock: Path, python: str | None) -> list[str]:
    """Return why this environment is not the one that a lock file and a Python's version ask for; nothing if it is.

    python: such as 3.11.4; None is any.
    """
    wanted = pins(lock.read_text(encoding="utf-8")) if lock.is_file() else {}
    here = platform.python_version()
    other = [f"Python {python} (here {here})"] if python is not None and _minor(python) != _minor(here) else []
    return [*other, *differences(wanted, installed())]


def build(checkout: Path, folder: Path, python: str | None, run: Run) -> Path:
    """Return the python of a new environment in a folder, with the packages that a checkout's lock file pins.

    Raises UserError if there is no such Python, or pip fails.
    """
    version = _minor(python or platform.python_version())
    base = sys.executable if version == _minor(platform.python_version()) else shutil.which(f"python{version}")
    if base is None:
        raise UserError(f"Python {version}: the run was made with it, and there is no python{version} on PATH")
    run([base, "-m", "venv", str(folder)])
    made = folder / "bin" / "python"
    pip = [str(made), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    run([*pip, *(["-c", "requirements.lock"] if (checkout / "requirements.lock").is_file() else []), "-e", "."])
    return made


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def public(version: str) -> str:
    """Return a version without the suffix of a build, as +cpu, and zeros at its end: equal for what is the same."""
    try:
        return canonicalize_version(Version(version).public)
    except InvalidVersion:
        return version
