"""How good the network is that Hone makes of a table in a given time, beside what else people would try.

    python -m benchmarks.tables TABLE --target COLUMN [--drop ...] [--families auto mlp] [--limit 2m] [--seeds 5]

Each run is the whole of `hone tune` in a project of its own, one after the other, with all cores: the seed decides
the sealed rows (a fifth), the validation rows (another) and everything else. Printed are, on the sealed rows, the tuned
network, its family's defaults and scikit-learn's default gradient boosting trained on the same rows, and how they
differ: the mean over seeds, and an interval of it (Student's t, 95 %).
"""

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from scipy import stats

ROOT = Path(__file__).parents[1]
PARTS = (
    "custom",
    "hone",
    "tasks",
    "flows",
    ".dvc/config",
    ".dvc/.gitignore",
    "dvc.yaml",
    "params.yaml",
    "prefect.toml",
)
PARTS += ("requirements.lock", ".gitignore", ".dvcignore", "data/raw/README.md", "data/warm_start", "data/start_from")
BETTER = {"rmse": -1, "mae": -1, "log_loss": -1}  # the sign of a gain; 1 for all others


@dataclass(frozen=True)
class Run:
    """What one run said of the sealed rows. chosen: the winner's family. seconds: of the whole command."""

    metric: str
    tuned: float
    defaults: float
    boosting: float
    chosen: str
    seconds: float


class RefusedError(Exception):
    """What Hone would not do, in its own words: a limit that is too short, for one."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--target", required=True)
    parser.add_argument("--drop", nargs="*", default=[])
    parser.add_argument("--families", nargs="+", default=["auto", "mlp"])
    parser.add_argument("--limit", default="2m")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="further params, e.g. train.epochs=27"
    )
    chosen = parser.parse_args()
    changes = {
        "data.source": f"data/raw/{chosen.table.name}",
        "data.target": chosen.target,
        "data.drop": chosen.drop,
        "budget.time_limit": chosen.limit,
        "tracking.trials": False,
        **{key: yaml.safe_load(value) for key, _, value in (pair.partition("=") for pair in chosen.set)},
    }
    with tempfile.TemporaryDirectory() as folder:
        for family in chosen.families:
            runs = []
            for seed in range(chosen.seeds):
                place = Path(folder) / f"{family}-{seed}"
                try:
                    one = run(place, chosen.table, {**changes, "model.family": family, "seed": seed})
                except RefusedError as refused:
                    print(f"{family}, seed {seed}: {refused}", flush=True)
                    continue
                finally:
                    shutil.rmtree(place)
                runs.append(one)
                print(
                    f"{family}, seed {seed}: {one.metric} {one.tuned:.5g} ({one.chosen}), defaults {one.defaults:.5g},"
                    f" boosting {one.boosting:.5g}, {one.seconds:.0f} s",
                    flush=True,
                )
            if runs:
                print(summary(family, chosen.limit, runs), flush=True)
    return 0


def run(place: Path, table: Path, changes: dict[str, Any]) -> Run:
    """Return what `hone tune` finds in a new project; RefusedError if it says why not."""
    prepare(place, table, changes)
    # Prefect's database is made once on a machine, and takes its time.
    environment = {**os.environ, "PREFECT_HOME": str(place.parent / "prefect"), "DO_NOT_TRACK": "1"}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "flows.tune"], cwd=place, env=environment, capture_output=True, text=True
    )
    seconds = time.perf_counter() - started
    if done.returncode == 2:
        raise RefusedError(done.stderr.strip().splitlines()[-1])
    if done.returncode:
        raise SystemExit(f"hone tune ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    found = json.loads((place / "artifacts" / "evaluate" / "evaluation.json").read_text())
    winner = json.loads((place / "artifacts" / "search_hyperband" / "winner.json").read_text())
    metric = winner["metric"]
    return Run(
        metric=metric,
        tuned=found["tuned"][metric],
        defaults=found["defaults"][metric],
        boosting=found["boosting"][metric],
        chosen=winner["config"].get("family", winner["family"]),
        seconds=seconds,
    )


def prepare(place: Path, table: Path, changes: dict[str, Any]) -> None:
    """Make a project of this checkout's code, with a table in it and params changed by dotted key."""
    for part in PARTS:
        source, target = ROOT / part, place / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    shutil.copyfile(table, place / "data" / "raw" / table.name)
    content = yaml.safe_load((place / "params.yaml").read_text())
    for key, value in changes.items():
        *sections, last = key.split(".")
        section = content
        for name in sections:
            section = section[name]
        section[last] = value
    (place / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    for command in (["git", "init", "-q"], ["dvc", "add", "-q", f"data/raw/{table.name}"], ["git", "add", "-A"]):
        subprocess.run(command, cwd=place, check=True, capture_output=True)
    who = ["-c", "user.name=benchmark", "-c", "user.email=benchmark@example.com"]
    subprocess.run(["git", *who, "commit", "-qm", "a project"], cwd=place, check=True, capture_output=True)


def summary(family: str, limit: str, runs: Sequence[Run]) -> str:
    """Return a line: means, gains over the defaults and over boosting with intervals, and which families won."""
    metric, sign = runs[0].metric, BETTER.get(runs[0].metric, 1)
    over_defaults = interval([sign * (one.tuned - one.defaults) for one in runs])
    over_boosting = interval([sign * (one.tuned - one.boosting) for one in runs])
    means = {name: statistics.fmean(getattr(one, name) for one in runs) for name in ("tuned", "defaults", "boosting")}
    won = {name: sum(one.chosen == name for one in runs) for name in sorted({one.chosen for one in runs})}
    return (
        f"| {family} | {limit} | {metric} {means['tuned']:.5g} | {means['defaults']:.5g} | {over_defaults} |"
        f" {means['boosting']:.5g} | {over_boosting} | {', '.join(f'{name} {n}' for name, n in won.items())} |"
        f" {statistics.fmean(one.seconds for one in runs):.0f} s |"
    )


def interval(differences: Sequence[float]) -> str:
    """Return the mean and its 95 % interval, by Student's t."""
    mean = statistics.fmean(differences)
    if len(differences) < 2:
        return f"{mean:+.4g}"
    half = stats.t.ppf(0.975, len(differences) - 1) * statistics.stdev(differences) / math.sqrt(len(differences))
    return f"{mean:+.4g} [{mean - half:+.4g}, {mean + half:+.4g}]"


if __name__ == "__main__":
    sys.exit(main())
