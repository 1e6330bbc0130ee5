"""Tunes on a schedule: serves the flow, one run at a time, from a Prefect server of its own if there is no other."""

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from flows import processes, server
from hone.errors import UserError
from tasks import project
from tasks.params import Schedule, load_params

LOCK = ".work/serve.lock"
NAME = "scheduled"
TIDY = 20.0
"""Seconds between two looks at runs that were skipped."""


def serve(root: Path, *, port: int | None = None) -> None:
    """Tune whenever params.yaml's schedule says so, until this process is ended.

    A run that comes due while another one is at work is skipped, and leaves no row in Prefect's pages. One that a
    person starts then is cancelled, with the reason. Nothing of it outlives this process, however that ends.

    Raises UserError if the schedule is none, the port is taken, or this project is served already.
    """
    schedule = load_params(root).schedule
    check_schedule(schedule)
    # What served runs print is what this terminal shows; of Prefect's own lines, those that say that one failed.
    os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "ERROR"
    with _alone(root), server.api(root, port=port, lasting=True) as api:
        try:
            _serve(root, schedule, api)
        finally:
            processes.end_children(but=api.pid)  # which the runs still tell how they ended


def check_schedule(schedule: Schedule) -> None:
    """Raise UserError if the cron expression or the time zone is none, or if the time never comes."""
    cron, timezone = schedule.cron, schedule.timezone
    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        raise UserError(
            f"params.yaml: schedule.timezone: {timezone!r} is no time zone; use e.g. UTC or Europe/Paris"
        ) from None
    try:
        if len(cron.split()) != 5 or {"h", "r"} & set(cron.casefold().split()):
            raise ValueError("it must be five fields of numbers")
        _prefects_croniter().croniter(cron, datetime.now(UTC)).get_next()
    except (ValueError, KeyError, AttributeError) as error:
        why = " ".join(str(error).split())
        raise UserError(
            f"params.yaml: schedule.cron: {cron!r} is no schedule ({why}); "
            'use five fields, e.g. "0 2 * * *" (every night at two) or "*/15 * * * *"'
        ) from None


def _prefects_croniter() -> Any:
    """Return the module that Prefect fires by, so that what passes here is what it takes; it publishes no types.

    It is read from its file, since importing Prefect makes a folder in the project, which `hone check` must not.
    """
    prefect = find_spec("prefect")
    assert prefect is not None
    assert prefect.origin is not None
    path = Path(prefect.origin).parent / "_vendor" / "croniter" / "croniter.py"
    spec = spec_from_file_location("prefects_croniter", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _serve(root: Path, schedule: Schedule, api: server.Api) -> None:
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.runner import Runner
    from prefect.schedules import Cron
    from prefect.types.entrypoint import EntrypointType

    from flows import leftovers
    from flows.tune import tune

    leftovers.mark_crashed(root)
    runner = Runner(name=f"hone, process {os.getpid()}", limit=1)

    async def run() -> None:
        deployment = await runner.aadd_flow(
            tune,
            name=NAME,
            schedule=Cron(schedule.cron, timezone=schedule.timezone),
            parameters={"root": str(root)},
            concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        if api.pid is not None:  # others' runs may be at work on any API but our own
            leftovers.clear(root, deployment)
        print(f"serving {root.name}: {schedule.cron} ({schedule.timezone}); Ctrl-C ends it", flush=True)
        print(f"runs and their stages: {api.url.removesuffix('/api')}/deployments/deployment/{deployment}", flush=True)
        os.environ[project.SERVED_BY] = str(os.getpid())
        serving = asyncio.ensure_future(runner.start())
        tidying = asyncio.ensure_future(_forget_skipped(deployment))
        await asyncio.sleep(0)
        ended = asyncio.Event()

        def terminate() -> None:
            ended.set()
            processes.ask_children_to_end(but=api.pid)
            serving.cancel()

        # In place of Prefect's own, just installed, which ends the loop from within with a traceback.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
        try:
            await serving
        except asyncio.CancelledError:
            if not ended.is_set():  # but Ctrl-C pressed
                raise
        finally:
            tidying.cancel()

    asyncio.run(run())


async def _forget_skipped(deployment: UUID) -> None:
    """Delete runs that were skipped, now and then, for ever."""
    from flows import leftovers

    while True:
        await asyncio.sleep(TIDY)
        with contextlib.suppress(Exception):  # an API that does not answer is asked again
            await asyncio.to_thread(leftovers.forget_skipped, deployment)


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    path = root / LOCK
    path.parent.mkdir(exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise UserError(f"this project is served already, by process {file.read()}; end that one first") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


if __name__ == "__main__":
    from flows import cli

    cli.run(["serve", *sys.argv[1:]])
