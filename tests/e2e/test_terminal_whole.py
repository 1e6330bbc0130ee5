"""What a person is left with in a terminal, after the whole flow and after one stage."""

import itertools
import re

import pytest

from benchmarks.screens import Watched, watched
from tasks.wording import NEXT
from tests.e2e.conftest import Project

pytestmark = pytest.mark.e2e

STAGES = (
    "ingest",
    "split",
    "budget",
    "baseline",
    "search_random",
    "search_bayes",
    "search_hyperband",
    "retrain",
    "evaluate",
    "report",
)
FOREIGN = re.compile(
    r"Collecting|hashes|checkout|Committing|file/s|B/s|\d%\||it/s|INFO|WARNING|Warning:|Traceback|alembic|mlflow\.|"
    r"prefect\.|[Ff]low run|uvicorn|site-packages|LightGBM|Fontconfig",
)
"""What other tools write: bars, loggers, warnings."""
LIVE = re.compile(r"[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]|\d used")


def check_tidy(seen: Watched) -> None:
    """Fail if anything of other tools or of the live line was left, or a line was wider than the terminal."""
    left = seen.left()
    assert seen.code == 0, "\n".join(left)
    assert [line for line in left if FOREIGN.search(line)] == []
    assert [line for line in left if LIVE.search(line)] == []
    assert seen.widest() <= seen.columns
    assert not any(one == two == "" for one, two in itertools.pairwise(left))


def check_table_last(seen: Watched) -> None:
    """Fail unless verdict, table and where to look next are the last lines of the last screen."""
    screen = seen.last_screen()
    title = next(i for i, line in enumerate(screen) if line.startswith("Sealed test rows (36), 95 % intervals"))
    metric, defaults, ours, gain = screen[title + 1].split()
    assert (metric, defaults, gain) == ("metric", "defaults", "gain")
    assert ours in ("tuned", "delivered")
    assert screen[title + 3].split()[0] == "accuracy"
    assert " ".join(" ".join(screen[title:]).split()).endswith(NEXT)
    before = " ".join(screen[:title])
    assert re.search(r"accuracy .*95 % interval", before), "the verdict is not above the table"
    whole = "\n".join(seen.left())
    assert whole.count("Sealed test rows (36)") == whole.count("Validation rows, accuracy") == 1


@pytest.fixture(scope="module")
def project(make_project) -> Project:
    return make_project(name="terminal")


def test_a_run_leaves_a_few_lines_a_stage_and_the_final_table_last(project: Project) -> None:
    seen = watched(["python", "-m", "flows.tune"], project.root, project.environment, 80)
    check_tidy(seen)
    check_table_last(seen)
    left = seen.left()
    ends = [next(i for i, line in enumerate(left) if line.startswith(f"✓ {stage} ")) for stage in STAGES]
    assert ends == sorted(ends)
    assert len(left) < 110
    assert re.search(rb"search_bayes  \d+ trials  accuracy \d\.\d{4}  \d+:\d\d used", seen.written)  # the live line

    again = watched(["python", "-m", "flows.tune"], project.root, project.environment, 80)
    check_tidy(again)
    check_table_last(again)
    assert [line.split()[1] for line in again.left() if line.startswith("· ")] == list(STAGES)
    assert any("nothing to do" in line for line in again.left())

    stage = watched(["python", "-m", "tasks.run", "evaluate"], project.root, project.environment, 80)
    check_tidy(stage)
    check_table_last(stage)


@pytest.mark.parametrize("command", [["--help"], ["tune", "--help"], ["check"], ["plan"]])
def test_other_commands_fit_into_80_columns(project: Project, command: list[str]) -> None:
    check_tidy(watched(["python", "-m", "flows.cli", *command], project.root, project.environment, 80))
