"""Earlier studies that a search starts from: trials' tables in data/warm_start/, which params name.

Only what lies there may be named. It is a dependency of the stages that search, so what they start from is versioned
with the project: an artifacts folder or a run in MLflow may change or go, and `hone warm-start` copies from either.
"""

from collections.abc import Sequence
from pathlib import Path

from hone.errors import UserError
from hone.search.transfer import Study
from hone.space import SearchSpace
from hone.trial import Result, State
from tasks import trials

FOLDER = Path("data") / "warm_start"
KEY = "search.warm_start"
STAGES = ("search_random", "search_bayes", "search_hyperband")


def check_place(source: str) -> str:
    """Return a source that params name; ValueError if it is not a table in data/warm_start/."""
    if Path(source).parent == FOLDER and Path(source).suffix == ".parquet":
        return source
    raise ValueError(
        f"must be a table in {FOLDER.as_posix()}/, which the stages depend on;"
        f" `hone warm-start {source}` copies the trials there"
    )


def studies(root: Path, sources: Sequence[str], space: SearchSpace) -> tuple[Study, ...]:
    """Return the earlier studies that params name, with what lies in a space.

    Raises UserError for a source that is missing, no table of trials, or without a trial in the space.
    """
    found = []
    for source in sources:
        study = Study(source, tuple(read(root / source, f"{KEY}: {source}")))
        within = study.within(space)
        if not any(result.state is State.COMPLETE for result in within):
            names = ", ".join(dict.fromkeys(name for result in study.results for name in result.trial.config))
            raise UserError(
                f"{KEY}: {source}: none of its {len(study.results)} trials is complete and within search.space"
                f" (its hyperparameters: {names or 'none'}); take it off the list"
            )
        found.append(Study(Path(source).stem, tuple(within)))
    return tuple(found)


def read(path: Path, shown: str) -> list[Result]:
    """Return the trials of a table that a search stage wrote. shown: what an error calls it."""
    if not path.is_file():
        near = sorted(file.stem for file in path.parent.glob("*.parquet")) if path.parent.is_dir() else []
        hint = f"; there are {', '.join(near)}" if near else "; `hone warm-start FOLDER` copies an earlier study there"
        raise UserError(f"{shown}: there is no such file{hint}")
    try:
        return trials.read(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{shown}: not a table of trials ({' '.join(str(error).split())[:80]});"
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
