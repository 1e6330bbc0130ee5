"""Earlier studies that a search starts from: trials' tables in data/warm_start/, which params name.

Only what lies there may be named. It is a dependency of the stages that search, so what they start from is versioned
with the project: an artifacts folder or a run in MLflow may change or go, and `hone warm-start` copies from either.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

import pyarrow as pa

from hone.errors import UserError
from hone.space import SearchSpace
from hone.trial import Result, State
from tasks import trials

if TYPE_CHECKING:
    from hone.search.transfer import Study

FOLDER = Path("data") / "warm_start"
KEY = "search.warm_start"
STAGES = ("search_random", "search_bayes", "search_hyperband")


def check_place(source: str) -> str:
    """Return a source that params name, spelt in one way; ValueError if it is not a table in data/warm_start/."""
    if Path(source).parent == FOLDER and Path(source).suffix == ".parquet":
        return Path(source).as_posix()
    raise ValueError(
        f"must be a table in {FOLDER.as_posix()}/, which the stages depend on;"
        f" `hone warm-start {source}` copies the trials there"
    )


def check_different(sources: list[str]) -> list[str]:
    """Return the sources that params name; ValueError if one is there twice, and so would count twice."""
    for i, source in enumerate(sources):
        if source in sources[:i]:
            raise ValueError(f"names {source} twice; take one of them off the list")
    return sources


def studies(
    root: Path, sources: Sequence[str], space: SearchSpace, *, passed_over: Callable[[str], None] | None = None
) -> "tuple[Study, ...]":
    """Return the earlier studies that params name, with what lies in a space.

    passed_over: told of each study without a complete trial in the space, which is left out then.
    Raises UserError for a source that is missing or no table of trials, and for such a study without `passed_over`.
    """
    if not sources:
        return ()
    from hone.search.transfer import Study  # the search takes seconds to import

    found = []
    for source in sources:
        _, results = read(root / source, f"{KEY}: {source}")
        study = Study(source, tuple(results))
        within = study.within(space)
        if not any(result.state is State.COMPLETE for result in within):
            if passed_over is not None:
                passed_over(f"{source}: no complete trial shares a hyperparameter that matters here; it is passed over")
                continue
            names = ", ".join(dict.fromkeys(name for result in study.results for name in result.trial.config))
            raise UserError(
                f"{KEY}: {source}: none of its {len(study.results)} trials is complete and within search.space"
                f" (its hyperparameters: {names or 'none'}); take it off the list"
            )
        found.append(Study(Path(source).stem, tuple(within)))
    return tuple(found)


def read(path: Path, shown: str) -> tuple[pa.Table, list[Result]]:
    """Return a table that a search stage wrote, and its trials. shown: what an error calls it.

    Raises UserError if it is missing, or no search stage can have written it.
    """
    try:
        if not path.is_file():
            near = sorted((FOLDER / file.name).as_posix() for file in path.parent.glob("*.parquet"))
            there = f"there are {', '.join(near)}; " if near else ""
            raise UserError(
                f"{shown}: there is no such file; {there}`hone warm-start FOLDER` copies an earlier study there"
            )
        return trials.foreign(path)
    except UserError:
        raise
    # Arrow's errors are Python's, too; NotImplementedError is for what parquet can hold and Arrow cannot.
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError) as error:
        raise UserError(
            f"{shown}: not a table of trials ({shorten(str(error), 120, placeholder='…')});"
            " take a trials.parquet of one of Hone's search stages"
        ) from None


def tables_in(folder: Path) -> list[Path]:
    """Return the tables of an earlier pipeline's trials, phase by phase. folder: its artifacts, or its project.

    Raises UserError if there is none.
    """
    for place in (folder, folder / "artifacts"):
        tables = [place / name / "trials.parquet" for name in STAGES]
        if found := [table for table in tables if table.is_file()]:
            return found
    raise UserError(f"{folder}: there is no {STAGES[0]}/trials.parquet in it; give an artifacts folder, or a table")
