"""The `hone` command. Every subcommand is also a module: `python -m flows.tune` is `hone tune`."""

import contextlib
import importlib
import os
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from hone.errors import UserError, of_the_machine
from tasks import project, sources
from tasks.reporting import Reporter
from tasks.terminal import doing, guarded, hush_warnings, leave, open_reporter, report_unexpected

# What a command needs is imported inside it: `hone --help` must not wait for torch, DVC and Prefect.
app = typer.Typer(
    name="hone",
    add_completion=False,
    rich_markup_mode=None,  # its pages cost a quarter of a second more
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Tune a neural network reproducibly: from a data file to a retrained model with an honest held-out score.

    A first session:

    \b
      hone add FILE --target COLUMN   your table; else scikit-learn's digits
      hone check                      mistakes in params.yaml, leaks in the data
      hone plan                       what would a run cost?
      hone tune                       do it; again after an interruption, to go on
      hone ui                         look at every trial
      hone predict FILE               predict new rows

    Everything a person may change is in params.yaml. `dvc repro` does the same work as `hone tune`, stage for stage,
    and each finds nothing to do after the other.
    """,
)
FIRST = {
    "tune": "looking for what is stale",
    "serve": "starting Prefect's server",
    "plan": "checking params and data",
    "predict": "loading the model",
    "warm-start": "reading the earlier study",
    "start-from": "reading the former weights",
    "reproduce": "looking up what the run recorded",
    "verify": "looking for what is stale",
    "sync": "looking for what waits",
    "ui": "starting MLflow's pages",
}
"""What each command says first that takes seconds to import what it needs, before it does."""
Work = Callable[[Path], int | None]
"""What a command does in the project at a path; what it returns is the exit code. Typer only reads the command line: it
would swallow Ctrl-C."""


def _show_version(asked: bool) -> None:
    if asked:
        print(f"hone {metadata.version('hone-tuning')}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version, and exit.")
    ] = False,
) -> None:
    """Take what stands before the command's name."""


Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Port on 127.0.0.1. Left out: a free one.")]

Source = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help=f"A table: {sources.READ}; a folder of parts of one; an https:// or s3:// address of it; or pictures: a "
        "folder, .zip or .npz.",
        show_default=False,
    ),
]


@app.command()
def tune(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> Work:
    """Run every stage that is stale, from raw data to the report.

    A stage is stale if its data, its code or its part of params.yaml has changed; the others are left alone. A run
    that was interrupted, even by `kill -9`, goes on where it stopped, and its results are the same bits. With the
    same inputs, any number of workers gives the same results.
    """

    def work(root: Path) -> None:
        with project.lock(root, "hone tune"):
            with open_reporter(quiet=quiet) as reporter:
                doing(reporter, FIRST["tune"])
                from flows.fresh import up_to_date

                if up_to_date(root, reporter):
                    return
            run(root)

    def run(root: Path) -> None:
        from flows.server import api

        def meanwhile() -> None:  # a server takes as long to start as all of this
            from flows.check import refuse_bad_input

            refuse_bad_input(root)
            importlib.import_module("flows.tune")

        with contextlib.ExitStack() as until_it_runs:
            # In a pipe there is nothing to keep alive.
            reporter = until_it_runs.enter_context(open_reporter(quiet=quiet or not sys.stdout.isatty()))
            doing(reporter, "starting Prefect")
            with api(root, meanwhile=meanwhile):
                from flows.tune import to_the_end

                until_it_runs.close()  # the flow opens a live line of its own, and two must not overlap
                to_the_end(root, quiet=quiet).result()

    return work


@app.command()
def serve(port: Port = None) -> Work:
    """Tune on the schedule in params.yaml, until Ctrl-C.

    Each time, stages whose data, code and params are unchanged are left alone; if all are, the run ends at once and
    is called UpToDate. One run at a time: one that comes due meanwhile is cancelled and says why. Where no
    PREFECT_API_URL is set, a Prefect server of this project's own is started on 127.0.0.1, with its pages.
    """

    def work(root: Path) -> None:
        with open_reporter() as reporter:
            doing(reporter, FIRST["serve"])
            from flows.serve import serve as run

        run(root, port=port)

    return work


@app.command()
def check() -> Work:
    """Look for mistakes in params and data, and for leaks.

    Shows what Hone makes of them: the task, the metric, the rows of each part, the kinds of columns, and what an audit
    of the training rows finds. Warnings leave the exit code at 0. Runs no stage, and writes nothing but a copy of
    decoded pictures.
    """

    def work(root: Path) -> None:
        from flows.check import check as run

        with open_reporter() as reporter:
            run(root, reporter)

    return work


@app.command()
def plan() -> Work:
    """Say what a run would cost, before it is spent.

    Trials, epochs, rungs and time, phase by phase. The searches are rehearsed without training, so the numbers are
    their own. For the time, a few configs are trained for a few epochs. Early stopping makes trials cheaper than
    that; within a phase, what it saves is spent on further trials.
    """

    def work(root: Path) -> None:
        with open_reporter() as reporter:
            doing(reporter, FIRST["plan"])
            from flows.check import refuse

            refuse(root)
            from flows.plan import plan as run

            run(root, reporter)

    return work


@app.command()
def add(
    table: Source,
    target: Annotated[str | None, typer.Option(help="The column to predict. Left out: the one in params.yaml.")] = None,
) -> Work:
    """Make a table, or pictures, this project's data.

    It is downloaded or copied into data/raw/, put under DVC, and named in params.yaml. To follow a table that grows,
    copy the newer version over the old one: the next run notices. Pictures lie in a folder for each class, or stand in
    an .npz as `x` and their classes as `y`.
    """
    table = _from_here(table)

    def work(root: Path) -> None:
        sources.check(table)
        from flows.add import add as run
        from flows.check import check as look

        with open_reporter() as reporter:
            place = run(root, table, target, lambda: look(root, reporter)).relative_to(root)
            reporter.message(f"{place} is this project's data now; `git add {place.parent} params.yaml`, and commit")

    return work


@app.command()
def predict(
    table: Source,
    out: Annotated[
        Path | None,
        typer.Option(help="A .csv or .parquet. Left out: NAME.predictions.csv in the current folder."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="A model's folder, or models:/NAME@ALIAS or models:/NAME/VERSION. Left out: the tuned one."),
    ] = None,
    keep: Annotated[list[str] | None, typer.Option(help="A column to write along; may be given again.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the predictions that are there.")] = False,
    trust: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PACKAGE.MODULE:NAME",
            help="Code that the model may import and run, beside this project's own model.family; may be given again.",
        ),
    ] = None,
) -> Work:
    """Predict a table with the tuned model.

    For each row, in order: the prediction, and for classes the probability of each. Rows need no target. The table is
    read piece by piece: it may be larger than the memory. Of pictures, the path stands beside each prediction.
    """
    here = Path.cwd()
    table, out = _from_here(table), Path(_from_here(str(out))) if out is not None else None
    if model is not None and not model.startswith("models:/"):
        model = str(Path(model).absolute())

    def work(root: Path) -> None:
        sources.check(table)
        with open_reporter() as reporter:
            doing(reporter, FIRST["predict"])
            from flows.predict import predict as run

            run(root, table, out, model, keep or (), reporter, overwrite=overwrite, trusted=trust or (), folder=here)

    return work


@app.command("warm-start")
def warm_start(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A trials.parquet, an earlier project or its artifacts folder, or mlflow:ID of a pipeline's run.",
            show_default=False,
        ),
    ],
    name: Annotated[str | None, typer.Option(help="Of the table. Left out: one that the source suggests.")] = None,
) -> Work:
    """Let the search learn from an earlier study.

    Its trials are copied into data/warm_start/ and named in params.yaml. The search tries its best configs again, and
    believes its model as far as that ranks this table's trials better than this search can by itself: an earlier
    study that misleads costs a few short trainings.
    """
    source = source if source.startswith("mlflow:") else str(Path(source).absolute())

    def work(root: Path) -> None:
        with open_reporter() as reporter:
            doing(reporter, FIRST["warm-start"])
            from flows.warm_start import copy as run

            place = run(root, source, name, reporter).relative_to(root)
            reporter.message(f"the search learns from {place} now; commit it and params.yaml to git")

    return work


@app.command("start-from")
def start_from(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A model's folder, an earlier project, models:/NAME@ALIAS, or a state dict in safetensors.",
            show_default=False,
        ),
    ],
    name: Annotated[str | None, typer.Option(help="Of the file. Left out: one that the source suggests.")] = None,
) -> Work:
    """Let networks start from former weights.

    They are copied into data/start_from/ and named in params.yaml. Each network takes over what fits by name and
    shape; `hone check` says what does. Whether to start from them, how fast what was taken over learns, and for how
    many epochs it rests, are hyperparameters like any other.
    """
    source = source if source.startswith("models:/") else str(Path(source).absolute())

    def work(root: Path) -> None:
        with open_reporter() as reporter:
            doing(reporter, FIRST["start-from"])
            from flows.start_from import copy as run

            place = run(root, source, name, reporter).relative_to(root)
            reporter.message(f"networks start from {place} now; commit it and params.yaml to git")

    return work


Until = Annotated[str | None, typer.Option(metavar="STAGE", help="Look at no stage after this one. Left out: all.")]
Keep = Annotated[bool, typer.Option("--keep", help="Leave the checkout, and what its stages printed; say where.")]


@app.command()
def reproduce(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="The id of a run in MLflow (of a pipeline, a stage or a trial), or a git revision.",
            show_default=False,
        ),
    ],
    until: Until = None,
    keep: Keep = False,
) -> Work:
    """Do a past run again, and say whether it gives the same.

    Its commit, its version of the data and its budget.lock are checked out beside this project, which may go on
    meanwhile. The stages run there without any cache, with the packages of its requirements.lock, and their outs are
    compared with the hashes that the run recorded; of a git revision, with its dvc.lock. At the first stage that
    differs it stops, and says in what: an out's hash, the first trial whose config or curve differs, versions, the
    processor. On another processor it goes on to the end and compares the final metrics.

    Exit code 0: equal, 1: differs, 2: cannot be done, and why.
    """

    def work(root: Path) -> int:
        def again(reporter: Reporter) -> int:
            doing(reporter, FIRST["reproduce"])
            from flows.reproduce import reproduce as start

            return start(root, run, reporter, until=until, keep=keep)

        return _answered(again)

    return work


@app.command()
def verify(until: Until = None, keep: Keep = False) -> Work:
    """Run the pipeline again, and say whether the outs that are here come out the same.

    The working tree, uncommitted changes included, is copied aside and its stages run there without any cache; the
    project may go on meanwhile. All stages must be up to date: `hone tune` comes first.

    Exit code 0: equal, 1: differs, 2: cannot be done, and why.
    """

    def work(root: Path) -> int:
        def again(reporter: Reporter) -> int:
            doing(reporter, FIRST["verify"])
            from flows.verify import verify as start

            return start(root, reporter, until=until, keep=keep)

        return _answered(again)

    return work


@app.command()
def sync() -> Work:
    """Send what the trackers have not taken yet.

    A tracking server that is away holds nothing up: what it was to be told waits in .work, and the next run, or this
    command, sends it, each record once. Ends with exit code 2 if something still waits.
    """

    def work(root: Path) -> None:
        with open_reporter() as reporter:
            doing(reporter, FIRST["sync"])
            from flows.sync import sync as run

            run(root, reporter)

    return work


@app.command()
def champion(
    choose: Annotated[
        str | None, typer.Option("--set", metavar="VERSION", help="Make this version the champion.")
    ] = None,
    retire: Annotated[
        bool,
        typer.Option("--retire", help="Leave no champion: the next model of a line without one becomes champion."),
    ] = False,
) -> Work:
    """Show the registered models, and which is champion.

    For each version: its score on the sealed rows, its line and what became of it. Only models of one line are
    compared: those with the same features, target, classes, positive class and metric.
    """

    def work(root: Path) -> None:
        from flows.champion import champion as run

        with open_reporter() as reporter:
            run(root, reporter, choose=choose, retire=retire)

    return work


@app.command()
def ui(port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 5000) -> Work:
    """Open MLflow's pages on this project's runs, until Ctrl-C."""

    def work(root: Path) -> None:
        with open_reporter() as reporter:
            doing(reporter, FIRST["ui"])
            from flows.ui import ui as run

        run(root, port)

    return work


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return its exit code."""
    return guarded(lambda: _invoke(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str] | None = None) -> NoReturn:
    """Run a command, and end the process with its exit code."""
    hush_warnings()
    leave(main(arguments))


def _invoke(arguments: list[str]) -> int | None:
    # Typer has its own copy of click in newer versions; the class is reached through what Typer exports in all.
    usage_error: Any = typer.BadParameter.__mro__[1]
    if not arguments:
        arguments = ["--help"]
    try:
        chosen = typer.main.get_command(app).main(args=arguments, prog_name="hone", standalone_mode=False)
    except usage_error as error:
        context = getattr(error, "ctx", None)
        where = context.command_path if context is not None else "hone"
        raise UserError(f"{error.format_message().rstrip('.')}; `{where} --help` explains") from None
    if callable(chosen):  # not so after --help
        code: int | None = chosen(_enter())
        return code
    return None


def _from_here(source: str) -> str:
    """Return a source that stays the same in the project's root: an address, or a path.

    In the root, the path is as it was typed, so that messages show it so; below the root, it is an absolute one.
    """
    path = Path(source)
    if sources.is_address(source) or path.name in ("", ".."):  # a folder's own name is needed
        return source if sources.is_address(source) else str(path.resolve())
    with contextlib.suppress(UserError):  # outside of a project: it is said later
        if project.find_root() == Path.cwd():
            return str(path)
    # links are not followed in the last part: DVC may keep the file itself in its cache, under another name
    return str(path.parent.resolve() / path.name)


def _answered(answer: Callable[[Reporter], int]) -> int:
    """Return the exit code of a command whose 1 is an answer: a fault of Hone's is none, and ends with 2."""
    with open_reporter() as reporter:
        try:
            return answer(reporter)
        except UserError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and of_the_machine(error) is not None:
                raise
            report_unexpected(error)
            return 2


def _enter() -> Path:
    """Go to the project's root, where Prefect and DVC look for their settings; return it."""
    root = project.find_root()
    os.chdir(root)
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))  # a network of a person's own is importable, as it is with `python -m`
    os.environ.setdefault("PREFECT_HOME", str(root / ".prefect"))
    if (root / ".work" / "overrides" / "during.yaml").exists():  # of a killed run: params.yaml has its overrides
        from tasks import params_file

        with open_reporter() as reporter:
            params_file.restore_if_free(root, reporter.warning)
    return root


if __name__ == "__main__":
    run()
