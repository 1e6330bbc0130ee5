"""Honest tables of many shapes: an audit that warns of a leak in one of them is wrong."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

Made = tuple[pd.DataFrame, dict[str, Any]]
Maker = Callable[[np.random.Generator], Made]


def _labels(score: np.ndarray, rng: np.random.Generator, noise: float = 1.0) -> np.ndarray:
    noisy = score / score.std() + rng.normal(0, noise, len(score))
    return np.where(noisy > np.median(noisy), "yes", "no")


def small_binary(rng: np.random.Generator) -> Made:
    x = rng.normal(size=(60, 5))
    return pd.DataFrame(x, columns=list("abcde")).assign(target=_labels(x[:, 0] + x[:, 1], rng)), {}


def small_regression(rng: np.random.Generator) -> Made:
    x = rng.normal(size=(60, 8))
    return pd.DataFrame(x, columns=list("abcdefgh")).assign(target=x[:, 0] + rng.normal(size=60)), {}


def strong_linear(rng: np.random.Generator) -> Made:
    """R2 0.95, spread over six columns."""
    x = rng.normal(size=(1000, 6))
    signal = x @ np.array([1.0, -1, 2, 0.5, 1.5, -1])
    noise = signal.std() * np.sqrt(0.05 / 0.95)
    return pd.DataFrame(x, columns=list("abcdef")).assign(target=signal + noise * rng.normal(size=1000)), {}


def strong_classes(rng: np.random.Generator) -> Made:
    centres = rng.normal(size=(4, 6)) * 3
    code = rng.integers(0, 4, 1200)
    frame = pd.DataFrame(centres[code] + rng.normal(size=(1200, 6)), columns=list("abcdef"))
    return frame.assign(target=np.array(list("wxyz"))[code]), {}


def dominant(rng: np.random.Generator) -> Made:
    """One honest column tells nine tenths."""
    x = rng.normal(size=(1500, 5))
    noise = np.sqrt(0.1 / 0.9)
    return pd.DataFrame(x, columns=list("abcde")).assign(target=x[:, 0] + noise * rng.normal(size=1500)), {}


def integers(rng: np.random.Generator) -> Made:
    """Ages, counts and codes: many levels, several rows each."""
    n = 2000
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 90, n),
            "visits": rng.poisson(4, n),
            "code": rng.integers(1, 200, n),
            "hour": rng.integers(0, 24, n),
        }
    )
    return frame.assign(target=_labels(frame["age"].to_numpy() + 4.0 * frame["visits"], rng)), {}


def categories(rng: np.random.Generator) -> Made:
    """Places with effects of their own; a region belongs to each."""
    n = 2500
    place = rng.integers(0, 30, n)
    effect = rng.normal(size=30)[place]
    frame = pd.DataFrame(
        {
            "place": np.array([f"place {i}" for i in range(30)])[place],
            "region": np.array(["north", "south", "east", "west"])[place % 4],
            "size": rng.lognormal(0, 0.5, n),
            "kind": rng.choice(["flat", "house"], n),
        }
    )
    return frame.assign(target=2 * effect + frame["size"] + rng.normal(size=n)), {}


def missing_at_random(rng: np.random.Generator) -> Made:
    x = rng.normal(size=(1200, 6))
    frame = pd.DataFrame(x, columns=list("abcdef")).assign(target=_labels(x[:, 0] - x[:, 1], rng))
    for column, share in zip("abcdef", (0.02, 0.1, 0.3, 0.5, 0.7, 0.95), strict=True):
        frame.loc[rng.random(1200) < share, column] = np.nan
    return frame, {}


def missing_for_a_reason(rng: np.random.Generator) -> Made:
    """A value is asked of some only, and they have a higher target: known in time, and weak."""
    n = 1500
    x = rng.normal(size=(n, 3))
    asked = rng.random(n) < 0.4
    frame = pd.DataFrame(x, columns=list("abc")).assign(extra=np.where(asked, rng.normal(size=n), np.nan))
    return frame.assign(target=x[:, 0] + 0.8 * asked + rng.normal(size=n)), {}


def coarse(rng: np.random.Generator) -> Made:
    """Few distinct values, so that many rows are equal by chance."""
    n = 1500
    frame = pd.DataFrame({name: rng.integers(0, 4, n) for name in "abcd"})
    frame["e"] = rng.choice(["x", "y"], n)
    return frame.assign(target=_labels(frame["a"].to_numpy() + 1.0 * frame["b"].to_numpy(), rng)), {}


def coarse_and_related(rng: np.random.Generator) -> Made:
    """As `coarse`, with columns that depend on one another and a common value in each."""
    n = 3000
    kind = rng.choice(4, n, p=[0.6, 0.2, 0.15, 0.05])
    frame = pd.DataFrame({name: np.where(rng.random(n) < 0.75, kind, rng.integers(0, 5, n)) for name in "abcdef"})
    return frame.assign(target=_labels(kind + 0.2 * frame["a"].to_numpy(), rng, noise=0.7)), {}


def dates_without_order(rng: np.random.Generator) -> Made:
    n = 1000
    days = rng.integers(0, 1500, n)
    frame = pd.DataFrame(
        {"since": pd.Timestamp("2020-01-01") + pd.to_timedelta(days, unit="D"), "a": rng.normal(size=n)}
    )
    return frame.assign(target=_labels(days / 500 + frame["a"].to_numpy(), rng)), {}


def dates_split_by_time(rng: np.random.Generator) -> Made:
    n = 1000
    frame = pd.DataFrame({"day": pd.date_range("2020-01-01", periods=n).astype(str), "a": rng.normal(size=n)})
    return frame.assign(target=frame["a"] + np.arange(n) / 300 + rng.normal(size=n)), {"time": "day"}


def groups_kept_together(rng: np.random.Generator) -> Made:
    patient = np.repeat(np.arange(50), 20)
    n = len(patient)
    frame = pd.DataFrame({"patient": patient, "age": rng.integers(20, 80, 50)[patient]})
    for name in "abc":
        frame[name] = rng.normal(size=50)[patient] + rng.normal(size=n)
    target = frame["a"] + rng.normal(size=50)[patient] + rng.normal(size=n)
    return frame.assign(target=target), {"group": "patient"}


def repeats_that_say_nothing(rng: np.random.Generator) -> Made:
    """Customers come again and again, and each time it is anybody's guess."""
    customer = rng.integers(0, 300, 2000)
    frame = pd.DataFrame({"customer": customer, "age": rng.integers(20, 80, 300)[customer], "a": rng.normal(size=2000)})
    return frame.assign(target=_labels(frame["a"].to_numpy(), rng)), {}


def imbalanced(rng: np.random.Generator) -> Made:
    x = rng.normal(size=(5000, 10))
    rare = x[:, 0] + x[:, 1] + rng.normal(size=5000) > 3.2
    return pd.DataFrame(x, columns=list("abcdefghij")).assign(target=np.where(rare, "fraud", "fine")), {}


def skewed(rng: np.random.Generator) -> Made:
    """A target whose logarithm is nearly, and not quite, a sum of logarithms."""
    x = rng.lognormal(size=(2000, 4))
    return pd.DataFrame(x, columns=list("abcd")).assign(target=x[:, 0] * x[:, 1] * rng.lognormal(0, 0.2, 2000)), {}


def wide(rng: np.random.Generator) -> Made:
    x = rng.normal(size=(300, 200))
    frame = pd.DataFrame(x, columns=[f"g{i}" for i in range(200)])
    return frame.assign(target=_labels(x[:, :10].sum(axis=1), rng)), {}


CLEAN: tuple[Maker, ...] = (
    *(small_binary, small_regression, strong_linear, strong_classes, dominant, integers, categories),
    *(missing_at_random, missing_for_a_reason, coarse, coarse_and_related, dates_without_order, dates_split_by_time),
    *(groups_kept_together, repeats_that_say_nothing, imbalanced, skewed, wide),
)
"""With scikit-learn's four sets, 22 tables."""
