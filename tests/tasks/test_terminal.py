"""What people see: reporters on a terminal and off it, and how commands end."""

import gc
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.screens import Watched
from hone.errors import UserError
from tasks import terminal
from tasks.reporting import GenerationInfo, NullReporter, PlainReporter, Reporter, duration, plain_table
from tasks.terminal import RichReporter, TimeLeft, guarded, open_reporter


def info(index: int = 2, best: float | None = 0.98765, n_failed: int = 0) -> GenerationInfo:
    return GenerationInfo(
        stage="search_bayes",
        index=index,
        n_trials=8,
        best=best,
        metric="accuracy",
        spent=120,
        budget=750,
        n_failed=n_failed,
    )


def rich(width: int = 80) -> tuple[RichReporter, io.StringIO]:
    stream = io.StringIO()
    return RichReporter(Console(file=stream, force_terminal=True, width=width, color_system=None)), stream


class Screen(Watched):
    """What is left in a terminal of what a console wrote; rich ends lines as files do."""

    def __init__(self, text: str, columns: int) -> None:
        super().__init__(0, text.replace("\n", "\r\n").encode(), columns)


def everything(reporter: Reporter) -> None:
    reporter.stage_skipped("ingest")
    reporter.stage_started("search_bayes")
    reporter.generation(info())
    reporter.generation(info(3, None, 8))
    reporter.message("[bold] is not markup")
    reporter.warning("search.space.x.high: the best value is at the bound [0.1]")
    reporter.stage_finished("search_bayes", 75, "32 trials")
    reporter.table("Held-out rows", ["", "accuracy"], [["defaults", "0.94"], ["tuned [x]", "0.97"]])
    reporter.close()
    reporter.close()


def test_the_live_line_says_what_goes_on_after_a_stage() -> None:
    reporter, stream = rich()
    reporter.stage_started("split")
    reporter.stage_finished("split", 3.0)
    reporter._live.refresh()
    assert "finishing split" in stream.getvalue().rpartition("3.0 s")[2]
    reporter.close()
    assert not any("finishing" in line for line in Screen(stream.getvalue(), 80).left())


EXPECTED = [
    "ingest",
    "up to date",
    "[bold] is not markup",
    "bound [0.1]",
    "1 min 15 s",
    "32 trials",
    "Held-out rows",
    "tuned [x]",
]


def test_the_terminal_shows_everything_and_markup_in_names_is_text() -> None:
    reporter, stream = rich(200)
    everything(reporter)
    shown = stream.getvalue()
    assert [text for text in EXPECTED if text not in shown] == []


def test_plain_lines_show_everything_and_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    everything(PlainReporter())
    shown = capsys.readouterr().out
    assert [text for text in EXPECTED if text not in shown] == []
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert "search_bayes: generation 3, best accuracy 0.9877, 120 of 750 epochs\n" in shown
    assert "search_bayes: generation 4, none complete yet, 120 of 750 epochs, 8 of 8 trials failed\n" in shown


def test_the_silent_reporter_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    everything(NullReporter())
    assert capsys.readouterr() == ("", "")


def live(reporter: RichReporter) -> str:
    return reporter._line().plain


def search(n: int, done: float | None, until: float | None = None) -> GenerationInfo:
    return GenerationInfo(
        stage="search_hyperband",
        index=n,
        n_trials=8 * (n + 1),
        best=0.98765,
        metric="balanced_accuracy",
        spent=400.0 * n,
        budget=1200,
        n_failed=3,
        done=done,
        until=until,
    )


def test_the_live_line_shows_phase_trials_best_score_time_used_and_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [terminal.BEGAN + 725.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    reporter, stream = rich(80)
    reporter.stage_started("search_hyperband")
    assert live(reporter)[2:] == "search_hyperband  12:05 used"
    reporter.generation(search(0, 0.5))
    said = "search_hyperband  8 trials  balanced_accuracy 0.9877  12:05 used"
    assert live(reporter)[2:] == f"{said}  3 failed"
    now[0] += 60  # a tenth of the budget took a minute, so the other four tenths take four
    reporter.generation(search(1, 0.6))
    assert live(reporter)[2:].endswith("13:05 used  ~4:00 left  3 failed")
    now[0] += 15
    assert "~3:45 left" in live(reporter)
    reporter.close()
    shown = Screen(stream.getvalue(), 80)
    assert shown.left() == []  # nothing of it stays
    assert shown.widest() <= 80


def test_time_left_comes_from_the_limit_where_there_is_one_and_else_from_trained_generations() -> None:
    left = TimeLeft()
    assert left.left(0.0) is None
    left.heard(search(0, 0.1), 10.0)
    left.heard(search(1, 0.4), 10.05)  # read from a journal after a kill: it took no time
    assert left.left(11.0) is None
    left.heard(search(2, 0.5), 40.05)
    assert left.left(40.05) == "~2:30"
    left.heard(search(3, None), 50.0)  # replays come after the search
    assert left.left(50.0) is None
    left.heard(search(0, 0.1, until=100.0), 60.0)
    assert left.left(70.0) == "0:30"
    assert left.left(200.0) == "0:00"


def test_what_the_reporter_prints_stays_above_the_live_line_and_no_part_of_the_line_is_left() -> None:
    reporter, stream = rich(80)
    for name in ("ingest", "split"):
        reporter.stage_started(name)
        reporter.message(f"of {name}")
        reporter.stage_finished(name, 1.0)
    reporter.close()
    assert [line.split()[:2] for line in Screen(stream.getvalue(), 80).left()] == [
        ["of", "ingest"],
        ["✓", "ingest"],
        ["of", "split"],
        ["✓", "split"],
    ]


INTERVALS = (
    ("metric", "defaults", "tuned", "gain"),
    [
        ("accuracy", "0.986 [0.972, 0.997]", "0.992 [0.983, 1.000]", "+0.006 [−0.006, +0.019]"),
        ("balanced accuracy", "0.986 [0.972, 0.997]", "0.992 [0.981, 1.000]", "+0.006 [−0.007, +0.018]"),
        ("RMSE", "32,114 [28,402, 36,518]", "28,515 [25,001, 32,290]", "+3,599 [+1,203, +6,102]"),
    ],
)
CLASSES = (
    ("part", "rows", *(f"Iris-virginica-number-{i}" for i in range(12))),
    [(part, "1234567", *(f"{10 ** (i % 7 + 1)}" for i in range(12))) for part in ("train", "test (sealed)")],
)
LONG = (("class", "precision"), [("x" * 300, "0.1234567"), ("two words", "12,345.6789")])
DEVIATION = (("model", *"abcdefgh"), [("network, defaults (mean of 3)", *["0.931 ± 0.020"] * 7, "1 min 05 s")])


@pytest.mark.parametrize("table", [INTERVALS, CLASSES, LONG, DEVIATION])
@pytest.mark.parametrize("width", [40, 80, 120])
def test_tables_fit_and_no_number_is_cut(
    table: tuple[tuple[str, ...], list[tuple[str, ...]]],
    width: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    title = "Sealed test rows, accuracy, against models that were fitted to training and validation rows"
    PlainReporter().table(title, *table)
    reporter, stream = rich(width)
    reporter.table(title, *table)
    for shown in (capsys.readouterr().out, "\n".join(Screen(stream.getvalue(), width).left())):
        assert max(map(len, shown.split("\n"))) <= width
        for row in table[1]:
            for cell in row[1:]:
                for number in re.findall(r"\[[^]]*\]|[\d.,]+ ± [\d.]+|[+−]?[\d.,]+(?= \[)", cell) or cell.split("  "):
                    assert number in shown
        letters = "".join(character for character in shown if character.isalnum())
        assert all("".join(filter(str.isalnum, word)) in letters for cell in table[0] for word in re.split(r"\W", cell))
    assert Screen(stream.getvalue(), width).widest() <= width


def test_a_secret_is_hidden_where_its_cell_its_title_or_its_message_is_wrapped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    address = "postgresql://user:averylongsecretpasswordindeed@host/db"
    reporter, stream = rich(40)
    for each in (PlainReporter(), reporter):
        each.table(f"Rows of {address}", ("name", "b", "c"), [(address, "1", "2"), ("two\nlines", "3", "4")])
        each.message(f"read from {address}")
        each.warning(f"cannot read from {address}")
    for shown in (capsys.readouterr().out, "\n".join(Screen(stream.getvalue(), 40).left())):
        letters = "".join(shown.split())
        assert letters.count("postgresql://***@host/db") == 4
        assert not any(part in shown for part in ("avery", "long", "secret", "passw", "indeed"))


def test_off_a_terminal_lines_are_plain_and_quiet_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_reporter() as reporter:
        assert isinstance(reporter, PlainReporter)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with open_reporter() as reporter:
        assert isinstance(reporter, RichReporter)
    with open_reporter(quiet=True) as reporter:
        assert isinstance(reporter, NullReporter)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599.6, "1 h 00 min"),
        (8000, "2 h 13 min"),
    ],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_table_lines_its_columns_up() -> None:
    assert plain_table("T", ["model", "rmse"], [["tuned", "1.5"], ["a", "10.25"]]).split("\n") == [
        "T",
        "model   rmse",
        "-----  -----",
        "tuned    1.5",
        "a      10.25",
    ]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text("seed: 0\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_users_error_is_its_text_and_code_2(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise UserError("split.test: 2 is not below 1; a share such as 0.2")

    assert guarded(work) == 2
    assert capsys.readouterr().err == "error: split.test: 2 is not below 1; a share such as 0.2\n"
    assert sorted(project.iterdir()) == [project / "params.yaml"]


def test_an_unexpected_error_is_one_line_and_its_traceback_is_in_a_file(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded(lambda: 1 // 0) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "ZeroDivisionError" in said
    log = project / ".work" / "error.log"
    assert str(log) in said
    assert "1 // 0" in log.read_text()


def test_where_the_file_of_tracebacks_cannot_be_written_there_is_still_one_line(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    (project / ".work" / "error.log").mkdir(parents=True)
    assert guarded(lambda: 1 // 0) == 1
    assert str(elsewhere / "hone-error.log") in capsys.readouterr().err
    monkeypatch.setattr(tempfile, "tempdir", str(project / "params.yaml"))
    assert guarded(lambda: 1 // 0) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "no file could be written" in said


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_unwinds_the_stack_and_says_how_to_go_on(number: signal.Signals, code: int, project: Path) -> None:
    program = (
        "import signal, sys, time\n"
        # A shell that starts this in its background has it ignore SIGINT.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from tasks.terminal import guarded\n"
        "def work():\n"
        "    try:\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(30)\n"
        "    finally:\n"
        "        print('tidied', flush=True)\n"
        "sys.exit(guarded(work))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(number)
    out, said = child.communicate(timeout=60)
    assert out == "tidied\n"
    assert said.endswith("run the same command to go on where it stopped\n")
    assert child.returncode == code


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_that_comes_where_python_drops_exceptions_is_heard_all_the_same(number: int, code: int) -> None:
    program = (
        "import os, signal, sys, time\n"
        "from tasks.terminal import guarded\n"
        "class Gone:\n"
        "    def __del__(self):\n"
        f"        os.kill(os.getpid(), {int(number)})\n"
        "def work():\n"
        "    Gone()\n"
        "    os.write(1, b'goes on\\n')\n"  # in one piece: the signal may come in the midst of a print
        "    time.sleep(30)\n"
        "sys.exit(guarded(work))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert done.stdout == "goes on\n"
    assert done.returncode == code


def test_work_that_succeeds_ends_with_code_0() -> None:
    assert guarded(lambda: "anything") == 0
    assert guarded(lambda: 1) == 1  # unless 1 is what it answers


def test_what_the_system_forbids_is_the_persons_to_mend(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        (project / "folder").mkdir(exist_ok=True)
        (project / "folder").write_text("x")

    assert guarded(work) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{project / 'folder'}: Is a directory" in said


def test_where_nobody_reads_any_more_a_command_ends_without_a_word(project: Path) -> None:
    script = (
        "from tasks.terminal import guarded, leave\n"
        "def work():\n"
        "    for _ in range(100_000): print('a line', flush=True)\n"
        "leave(guarded(work))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"a line\n"
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_what_a_ctrl_c_leaves_half_made_says_nothing_when_it_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    class Half:
        def __del__(self) -> None:
            raise AttributeError("no attribute 'postfix'")  # DVC's bar, interrupted while it is made

    def work() -> None:
        half = Half()
        assert half
        raise KeyboardInterrupt

    hook = sys.unraisablehook
    assert guarded(work) == 130
    gc.collect()
    assert capfd.readouterr().err == "interrupted; run the same command to go on where it stopped\n"
    assert sys.unraisablehook is hook


def test_an_address_is_one_piece_for_a_terminal_and_words_are_wrapped_between() -> None:
    written = io.StringIO()
    reporter = RichReporter(Console(file=written, width=40))
    address = "http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning"
    reporter.message(f"MLflow:\n  pipelines  {address}")
    reporter.message("a word and another and one more and the last of them")
    lines = written.getvalue().splitlines()
    assert f"  pipelines  {address}" in lines
    assert all(len(line) <= 40 for line in lines if address not in line)
