"""The searches that the benchmark of resampling puts together: what they see, what they pay, what they end with."""

import pytest

from benchmarks import resampling
from benchmarks.resampling import EPOCHS, N_FOLDS, searched


def config(level: float, folds: list[float] | None = None) -> dict[str, list[list[float]]]:
    """Return a config whose curve on each fold falls to a level, and on unseen rows to the level alone."""
    own = [level + each for each in (folds or [0.0] * N_FOLDS)]
    return {"splits": [[y + 1, *[y] * (EPOCHS - 1)] for y in own], "unseen": [[level] * EPOCHS] * 2}


VARIED = [0.0, 0.2, 0.1, 0.3, 0.15]
GOOD, BAD = config(0.5, VARIED), config(2.0, VARIED)
LUCKY = config(0.6, [-0.5, 0.3, 0.3, 0.3, 0.3])  # on the first fold it looks better than GOOD


def test_folds_are_not_taken_in_by_one_of_them_and_leave_off_what_is_beaten() -> None:
    configs = [LUCKY, GOOD, BAD, BAD]
    for seed in range(20):
        unseen, n_tried, n_left_off = searched(configs, "folds", 80, seed)
        assert unseen == {"alone": 0.5, "finalists": 0.5}
        assert n_tried == 4
        assert n_left_off == 2
    fooled = [searched(configs, "holdout", 80, seed)[0] for seed in range(20)]
    assert {unseen["alone"] for unseen in fooled} == {0.5, 0.6}
    assert {unseen["finalists"] for unseen in fooled} == {0.5}


@pytest.mark.parametrize(("method", "n"), [("holdout", 10), ("folds", 2)])
def test_all_methods_have_the_same_epochs(method: str, n: int) -> None:
    assert searched([GOOD] * 30, method, 10, 0)[1] == n


def test_the_report_says_what_each_method_brings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "N_SEARCHES", 20)
    sets = [{"set": name, "rows": 160, "task": "regression", "configs": [LUCKY, GOOD, BAD, BAD]} for name in ("a", "b")]
    lines = resampling.report(sets)
    assert lines[0].startswith("160 rows of 2 sets (a, b), 20 searches each")
    folds = next(line for line in lines if line.startswith(f"| 80×{EPOCHS} | folds"))
    assert "(2 of 2) | +0.0 ± 0.0 (0 of 2) |" in folds
