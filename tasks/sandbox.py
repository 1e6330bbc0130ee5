"""A throw-away checkout of a project: what was done is done there again, outside of DVC, and the project goes on
meanwhile."""

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from ruamel.yaml.error import YAMLError

from hone.errors import UserError
from tasks import environment, files, versioning
from tasks.params_file import set_params
from tasks.versioning import Planned

FOLDER = Path(".work") / "reproduce"
DATA = "data"
LOCK = "lock"
"""Held by whoever works in a throw-away checkout; one that has none was to be kept."""
GONE = "the checkout is removed, and the same command begins anew"
Start = Callable[..., contextlib.AbstractContextManager["subprocess.Popen[bytes]"]]
"""Starts a process that ends with this one; takes what Popen takes."""
SHELL = re.compile(r"[^\w\s./:,@%+-]")
"""What only a shell understands. Without it, the command takes the shell's place, and is ended as one process."""


@dataclass
class Sandbox:
    """A folder for one checkout. source: the project, in the git repository `above`.

    root: the project in the checkout, once that is there.
    """

    source: Path
    above: Path
    folder: Path
    start: Start
    python: Path = Path(sys.executable)

    @property
    def root(self) -> Path:
        """The project in the checkout."""
        return self.folder / "checkout" / self.source.relative_to(self.above)

    @property
    def shown(self) -> str:
        """The checkout's place, from the project."""
        return self.folder.relative_to(self.source).as_posix()

    def check_out(self, commit: str) -> None:
        """Make the checkout that of a commit. Raises UserError if git cannot."""
        self._clone()
        git(self.folder / "checkout", "checkout", "--quiet", "--detach", commit)
        if not (self.root / "params.yaml").is_file() or not (self.root / "dvc.yaml").is_file():
            raise UserError(f"{commit[:12]}: has no params.yaml and dvc.yaml at {self.source.name}/; no project there")

    def copy_tree(self, inputs: Sequence[str]) -> None:
        """Make the checkout the working tree as it is: all that git tracks or would, and inputs, whoever keeps them.

        inputs: paths in the project; those of .dvc files are copied without being named.
        """
        self._clone()
        above = self.above
        listed = git(above, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        work = (self.source / FOLDER.parts[0]).relative_to(above).as_posix()
        for name in dict.fromkeys(name for name in listed.split("\0") if name and not name.startswith(f"{work}/")):
            _copy(above / name, self.folder / "checkout" / name, above)
        for name in dict.fromkeys([*inputs, *versioning.tracked(self.root)]):
            _copy((self.source / name).resolve(), self.root / name, above)

    def put_data(
        self, recorded: Mapping[str, Sequence[Mapping[str, Any]]], needed: Sequence[str], source: str = ""
    ) -> None:
        """Bring the data that .dvc files track, in the versions that were recorded, where any were.

        needed: texts in the checkout's params; paths are among them. source: what they name as the data. A version of
        anything but these is passed over, and so is any outside of data/ but the source's: what is brought there could
        be run. Raises UserError if what is needed cannot be brought, or would take the place of what git tracks.
        """
        for name, outs in recorded.items():
            path, place = self.root / name, name.removesuffix(".dvc")
            if not any(_holds(place, one) for one in needed if one == source or _holds(DATA, one)):
                continue
            if git(self.root, "ls-files", "--", f":(literal){place}"):
                raise UserError(
                    f"{place}: git tracks it at that commit, and what {name} is recorded to track would replace it; "
                    "`hone reproduce` of the git revision goes without what was recorded"
                )
            try:
                content = (yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None) or {}
            except (ValueError, yaml.YAMLError) as error:
                raise UserError(f"{name}: cannot be read ({' '.join(str(error).split())[:200]})") from None
            files.write_text(path, yaml.safe_dump({**content, "outs": [dict(out) for out in outs]}, sort_keys=False))
        versioning.bring(self.root, self.source, needed)

    def settle_params(self) -> dict[str, Any]:
        """Return the checkout's params, after turning tracking off in them: what happens here is nobody's run."""
        path = self.root / "params.yaml"
        try:
            params: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
            tracking, workers = params.get("tracking") or {}, (params.get("execution") or {}).get("workers")
            off = {"tensorboard": False, "wandb": None}
            set_params(path, {"uri": "none", **{key: off[key] for key in off if key in tracking}}, "tracking")
            if isinstance(workers, int) and workers > (os.cpu_count() or 1):  # of a bigger machine
                set_params(path, {"workers": "auto"}, "execution")
        except (ValueError, AttributeError, yaml.YAMLError, YAMLError) as error:
            raise UserError(f"params.yaml: cannot be read ({' '.join(str(error).split())[:200]})") from None
        return params

    def provenance(self) -> dict[str, str] | None:
        """Return the tags that a run here would carry, and as "pipeline" its key, by the checkout's own code.

        None if that is from before it could say so.
        """
        try:
            printed = self.call([str(self.python), "-m", "tasks.provenance"]).splitlines()
            found: dict[str, str] = json.loads(next(line for line in reversed(printed) if line.startswith("{")))
        except (UserError, ValueError, StopIteration):
            return None
        return found

    def build_environment(self, python: str | None) -> None:
        """Run stages with the packages that the checkout's lock file pins, in an environment of their own."""
        self.python = environment.build(self.root, self.folder / "venv", python, self.call)

    def run_stage(self, stage: Planned) -> None:
        """Run what dvc.yaml states. Raises UserError if it fails, or does not write its outs."""
        for out in stage.outs:
            _remove(self.root / out)
        log = self.folder / f"{stage.name}.log"
        for command in stage.commands:
            simple = f"exec {command}" if not SHELL.search(command) else command
            code = self._run(["/bin/sh", "-c", simple], stage.folder, log)
            if code:
                raise UserError(
                    f"{stage.name}: `{command}` ended with {code} in the checkout ({_last_line(log)}); "
                    "--keep keeps the checkout, and beside it what was printed"
                )
        if missing := [out for out in stage.outs if not (self.root / out).exists()]:
            raise UserError(f"{stage.name}: did not write {', '.join(missing)}")

    def call(self, command: Sequence[str]) -> str:
        """Return what a command prints; UserError, with its last line, if it fails."""
        log = self.folder / "command.log"
        log.unlink(missing_ok=True)
        if code := self._run(command, self.root, log):
            words = " ".join(Path(word).name if word.startswith("/") else word for word in command)
            raise UserError(f"`{words}` ended with {code} in the checkout ({_last_line(log)})")
        return log.read_text(encoding="utf-8", errors="replace")

    def _run(self, command: Sequence[str], folder: Path, log: Path) -> int:
        """Return the exit code of a command, which ends with this process."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HONE_", "DVC_", "GIT_"))}
        kept.pop("PYTHONSAFEPATH", None)  # the checkout's code is found by the working directory
        bin_folder = self.python.parent  # a stage's command is spelt `python`
        paths = {"PATH": f"{bin_folder}{os.pathsep}{kept.get('PATH', '')}", "VIRTUAL_ENV": str(bin_folder.parent)}
        with (
            log.open("ab") as output,
            self.start(
                list(command),
                cwd=folder,
                env={**kept, **paths},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            ) as process,
        ):
            return process.wait()

    def _clone(self) -> None:
        git(self.source, "clone", "--quiet", "--shared", "--no-checkout", str(self.above), self._checkout)

    @property
    def _checkout(self) -> str:
        return str(self.folder / "checkout")


def _holds(place: str, path: str) -> bool:
    """Return whether a path in a project is a place in it, or lies below."""
    return PurePosixPath(path).is_relative_to(place)


@contextlib.contextmanager
def opened(source: Path, start: Start, *, keep: bool = False) -> Iterator[Sandbox]:
    """Yield a folder for a throw-away checkout of a project, which is removed at the end, or by the next to come.

    keep: leave it.
    """
    above = toplevel(source)
    place = source / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    sweep(place)
    folder = Path(tempfile.mkdtemp(dir=place, prefix=""))
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield Sandbox(source, above, folder, start)
        except KeyboardInterrupt as interrupt:
            kept = f"the checkout stays in {place.name}/{folder.name}, and the same command makes another"
            interrupt.args = interrupt.args or (kept if keep else GONE,)
            raise
        finally:
            if keep:
                (folder / LOCK).unlink()
            else:
                shutil.rmtree(folder, ignore_errors=True)


def sweep(place: Path) -> None:
    """Remove the checkouts that killed processes left."""
    for folder in place.iterdir():
        with contextlib.suppress(OSError), (folder / LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


def toplevel(root: Path) -> Path:
    """Return the folder of the git repository that a project is in; UserError if it is in none."""
    try:
        return Path(git(root, "rev-parse", "--show-toplevel"))
    except UserError as error:
        raise UserError(f"{error}; what is to be run again must be in git") from None


def commit_of(root: Path, name: str) -> str | None:
    """Return the commit that a name of git's is for, or None if it is for none."""
    with contextlib.suppress(UserError):
        return git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    return None


def git(folder: Path, *arguments: str) -> str:
    """Return what git prints; UserError, with the last line it says, if it fails."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, env=kept, capture_output=True, check=False)
    except OSError as error:
        raise UserError(f"git: cannot be run ({error.strerror})") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"ended with {done.returncode}"]
        raise UserError(f"git {arguments[0]}: {said[-1].removeprefix('fatal: ')}")
    return os.fsdecode(done.stdout).rstrip("\n")


def _copy(source: Path, place: Path, above: Path) -> None:
    """Copy a file, a link or a folder of a repository, if it is there and its place is free."""
    if place.exists() or place.is_symlink():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink() and not source.resolve().is_relative_to(above):
        place.symlink_to(source.resolve())  # a relative link would lead elsewhere from here
    elif source.is_symlink() or source.is_file():
        shutil.copy2(source, place, follow_symlinks=False)
    elif source.is_dir():
        shutil.copytree(source, place, symlinks=True, ignore=shutil.ignore_patterns(".git"))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it printed nothing"]
    errors = [line for line in lines if line.lower().startswith("error")]
    return " ".join((errors or lines)[-1].split())[:300]
