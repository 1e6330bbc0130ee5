"""A table of 2 million rows by 50 columns: peak memory and seconds of the split, and of trials on one and two workers.

    python -m benchmarks.big_table [--rows 2000000] [--epochs 2] [--workers 1 2]

The table, a parquet file, is 37 columns of numbers, 10 of text, one of dates and one true or false, a tenth of all
cells empty, and a target of two classes. Each part is what production runs, in a process of its own: `run_stage` of
ingest and of split; then for each number of workers as many trials of the default config as there are workers, at once,
as a search stage trains them, the parent's own look at the rows included. Peak memory is the largest sum of the
proportional set sizes (PSS) of that process and its children, read three times a second, so that pages that
processes share count once; or the largest resident set of any one of them, as the kernel knows it, if that is more.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from hone.trial import Result, State, Trial
from tasks import trainables
from tasks.executors import WorkerPool
from tasks.params import load_params
from tasks.reporting import NullReporter
from tasks.run import run_stage
from tasks.stage import Stage
from tasks.tracking import NullTracker

ROOT = Path(__file__).parents[1]
N_NUMBERS, N_TEXTS, MISSING = 37, 10, 0.1
PIECE = 100_000
GIB = 2**30
LIMIT = 8.0  # GiB


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--epochs", type=int, default=2, help="of each trial")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--work", nargs=2, metavar=("FOLDER", "PART"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.work:
        work(Path(chosen.work[0]), chosen.work[1], chosen.epochs)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_project(root, chosen.rows)
        size = (root / "data" / "raw" / "table.parquet").stat().st_size
        print(f"{chosen.rows:,} rows x {N_NUMBERS + N_TEXTS + 3} columns, {size / 1e6:,.0f} MB of parquet", flush=True)
        peaks = []
        for part in ("ingest", "split", *(f"trials-{workers}" for workers in chosen.workers)):
            seconds, peak = watched(root, part, chosen.epochs)
            peaks.append(peak)
            print(f"{_name(part, chosen.epochs)}: {seconds:.1f} s, at most {peak / GIB:.2f} GiB", flush=True)
    over = max(peaks) / GIB > LIMIT
    print(f"at most {max(peaks) / GIB:.2f} GiB in all, {'over' if over else 'within'} {LIMIT:g} GiB")
    return int(over)


def make_project(root: Path, rows: int) -> None:
    """Write a project with a generated table, piece by piece, so that this process stays small."""
    for name in ("params.yaml", "dvc.yaml", "requirements.lock"):
        shutil.copy(ROOT / name, root / name)
    for name in ("hone", "tasks"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    content = yaml.safe_load((root / "params.yaml").read_text())
    content["data"].update(source="data/raw/table.parquet", target="y")
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    path = root / "data" / "raw" / "table.parquet"
    path.parent.mkdir(parents=True)
    writer = None
    for number, start in enumerate(range(0, rows, PIECE)):
        piece = pa.Table.from_pandas(generated(min(PIECE, rows - start), number), preserve_index=False)
        writer = writer or pq.ParquetWriter(path, piece.schema)
        writer.write_table(piece)
    assert writer is not None
    writer.close()


def generated(rows: int, seed: int) -> pd.DataFrame:
    """Return a piece of the table."""
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(rows, N_NUMBERS))
    score = numbers[:, :8].sum(axis=1) + random.normal(size=rows)
    columns: dict[str, object] = {
        f"x{i}": np.where(_gaps(random, rows), np.nan, numbers[:, i]) for i in range(N_NUMBERS)
    }
    columns["x0"] = pd.array((numbers[:, 0] * 100).round(), dtype="Int64")
    for i in range(N_TEXTS):
        levels = np.array([f"level {level}" for level in range(3 * (i + 1) ** 2)], dtype=object)
        codes = random.integers(0, len(levels), rows)
        score += (codes % 3 == 0) * 0.5
        columns[f"c{i}"] = np.where(_gaps(random, rows), None, levels[codes])
    columns["day"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 2000, rows), unit="D")
    columns["member"] = random.random(rows) < 0.5
    return pd.DataFrame({**columns, "y": np.where(score > 2, "yes", "no")})


def _gaps(random: np.random.Generator, rows: int) -> np.ndarray:
    return random.random(rows) < MISSING


def _name(part: str, epochs: int) -> str:
    if not part.startswith("trials-"):
        return part
    workers = part.removeprefix("trials-")
    return f"{workers} trial{'s' * (workers != '1')} of {epochs} epochs on {workers} worker{'s' * (workers != '1')}"


def watched(root: Path, part: str, epochs: int) -> tuple[float, int]:
    """Return the seconds that a part took in a process of its own, and the most bytes that it and its children had."""
    command = ["-m", "benchmarks.big_table", "--work", str(root), part, "--epochs", str(epochs)]
    started, peak, pid = time.perf_counter(), 0, 0
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT)
    while not pid:
        time.sleep(0.3)
        peak = max(peak, _memory(process.pid))
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
    if status:
        sys.exit(f"{part} failed")
    return time.perf_counter() - started, max(peak, usage.ru_maxrss * 1024)


def _memory(pid: int) -> int:
    """Return the proportional set sizes of a process and all below it, in bytes."""
    total = 0
    try:
        process = psutil.Process(pid)
        for member in (process, *process.children(recursive=True)):
            total += member.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # one has just ended
        pass
    return total


def work(root: Path, part: str, epochs: int) -> None:
    """Do one part."""
    if not part.startswith("trials-"):
        pool = WorkerPool(1)
        run_stage(root, part, reporter=NullReporter(), tracker=NullTracker(), executor=pool)
        pool.shutdown()
        return
    workers = int(part.removeprefix("trials-"))
    pool = WorkerPool(workers)
    params = load_params(root)
    stage = Stage(
        name="search_random",
        root=root,
        params=params,
        fingerprint=part,
        pipeline="",
        executor=pool,
        tracker=NullTracker(),
        reporter=NullReporter(),
    )
    space = trainables.full_space(stage)
    trainable = trainables.of_stage(stage, stage.workdir / "checkpoints")
    trials = [
        Trial(study="search_random", number=number, generation=0, config=space.default, resource=epochs)
        for number in range(workers)
    ]
    results: list[Result] = list(pool.map(trainable, trials))
    pool.shutdown()
    assert all(result.state is State.COMPLETE for result in results), results


if __name__ == "__main__":
    sys.exit(main())
