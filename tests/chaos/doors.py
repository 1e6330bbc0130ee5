"""The ways to have stages run, each a command as people know it, and whether all is up to date."""

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from tasks import pipeline, project, run, terminal, versioning


def stages(root: Path, names: Sequence[str]) -> int:
    """Do what `python -m tasks.run` does for some stages; return the exit code. Their outs go first, as with DVC."""

    def work() -> None:
        specs = pipeline.specs(root)
        with (
            project.lock(root, "chaos"),
            terminal.open_reporter() as reporter,
            run.surroundings(root, reporter) as (tracker, executor),
        ):
            for name in names:
                for out in specs[name].outs:
                    remove(root / out)
                run.run_stage(root, name, reporter=reporter, tracker=tracker, executor=executor)

    return terminal.guarded(work)


def walk(root: Path, names: Sequence[str]) -> int:
    """Do what the flow does for some stages, without Prefect around it; return the exit code."""
    from flows import processes, tune

    # A task of Prefect's outside of a flow would look for a server.
    tune._generation = lambda name, work: work()  # type: ignore[assignment]

    def work() -> None:
        with (
            project.lock(root, "chaos"),
            terminal.open_reporter() as reporter,
            ExitStack() as stack,
        ):
            versioning.refresh(root)
            surroundings = cache(lambda: stack.enter_context(run.surroundings(root, reporter)))
            specs, began = pipeline.specs(root), processes.began()
            for name in names:
                code = pipeline.code(root, specs[name])
                tune._bring_up_to_date(root, name, reporter, surroundings, [], began, code)

    return terminal.guarded(work)


def flow(root: Path, names: Sequence[str]) -> int:
    """Run `hone tune`; return the exit code. It brings all stages up to date, whichever are named."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows import cli

    # Prefect has read the environment when it was imported, before this process began.
    with temporary_settings({PREFECT_API_URL: os.environ["PREFECT_API_URL"]}):
        return cli.main(["tune"])


def sync(root: Path) -> int:
    """Run `hone sync`; return the exit code."""
    from flows import cli

    return cli.main(["sync"])


DOORS: dict[str, Callable[[Path, Sequence[str]], int]] = {"stages": stages, "walk": walk, "flow": flow}


def stale(root: Path, names: Sequence[str], environment: dict[str, str]) -> None:
    """Raise AssertionError if DVC finds that a stage is not up to date."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(root)
    found = {name: versioning.stale(root, name) for name in names}
    assert not any(found.values()), f"DVC: {found}"


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
