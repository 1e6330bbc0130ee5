"""What a tracking server that is away costs: the whole of `hone tune`, beside one that tracks nothing.

    python -m benchmarks.tracking [--epochs 600] [--repeats 3] [--cases none "nobody listens" ...]

In each round the same pipeline (scikit-learn's digits, a budget of so many epochs) runs once with `tracking.uri: none`,
once with the address of a server where nobody listens, once with one that takes connections and never answers, and once
with the default, a SQLite database. They take turns, in every second round the other way round. A run without tracking
comes before all, not counted, so that Prefect's database is there. At the end: how many entries wait for `hone sync`.
"""

import argparse
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from tasks import tracking

ROOT = Path(__file__).parents[1]
COPIED = ("custom", "flows", "hone", "tasks", "dvc.yaml", "params.yaml", "prefect.toml", "requirements.lock")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=float, default=600)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cases", nargs="+", default=["none", "nobody listens", "never answers", "SQLite"])
    chosen = parser.parse_args()
    with socket.socket() as closed, socket.socket() as silent, tempfile.TemporaryDirectory() as folder:
        for each in (closed, silent):
            each.bind(("127.0.0.1", 0))
        silent.listen(128)
        uris = {
            "none": "none",
            "nobody listens": f"http://127.0.0.1:{closed.getsockname()[1]}",
            "never answers": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "SQLite": None,
        }
        seconds: dict[str, list[float]] = {name: [] for name in chosen.cases}
        run(Path(folder) / "first", "none", chosen.epochs)
        for number in range(chosen.repeats):
            for name in chosen.cases[:: -1 if number % 2 else 1]:
                root = Path(folder) / f"{number}-{name.replace(' ', '-')}"
                seconds[name].append(run(root, uris[name], chosen.epochs))
                waiting = sum(tracking.waiting(root).values())
                print(f"round {number + 1}, {name}: {seconds[name][-1]:.1f} s, {waiting} entries wait", flush=True)
                shutil.rmtree(root)
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    for name in list(medians)[1:]:
        ratios = [a / b for a, b in zip(seconds[name], seconds["none"], strict=True)]
        print(f"{name} / none: {medians[name] / medians['none']:.3f} ({', '.join(f'{ratio:.3f}' for ratio in ratios)})")
    return 0


def run(root: Path, uri: str | None, epochs: float) -> float:
    """Return the seconds that a new project's pipeline took."""
    root.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, root / name)
    for name in ("raw", "warm_start", "start_from"):
        shutil.copytree(ROOT / "data" / name, root / "data" / name, ignore=shutil.ignore_patterns("ingested"))
    (root / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc" / "config", root / ".dvc" / "config")
    content = yaml.safe_load((root / "params.yaml").read_text())
    content["tracking"]["uri"], content["budget"]["epochs"] = uri, epochs
    (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "flows.tune"], cwd=root, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
