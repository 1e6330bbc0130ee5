"""Tables with the traps of well-known data sets, small and seeded: each would mislead whoever does not notice."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Trap:
    """A table, its target, and for each trap a kind of finding and the columns that it must name.

    remedies: lines of params.yaml that messages must hold. params: what to set once the traps are known.
    """

    make: Callable[[], pd.DataFrame]
    target: str
    findings: tuple[tuple[str, str, tuple[str, ...]], ...]
    remedies: tuple[str, ...]


def titanic() -> pd.DataFrame:
    """`boat` and `body` were filled in after the sinking; `cabin` is missing for most, a little more for the dead."""
    n, rng = 700, np.random.default_rng(1)
    pclass, female = rng.choice([1, 2, 3], n, p=[0.25, 0.2, 0.55]), rng.random(n) < 0.36
    survived = rng.random(n) < 1 / (1 + np.exp(-(2.3 * female - 1.3 * (pclass - 2) - 0.9)))
    boat = rng.choice(["1", "2", "5", "13", "15", "A", "C", "D"], n)
    filled = np.where(survived, rng.random(n) < 0.96, rng.random(n) < 0.01)
    cabin = [
        f"{letter}{number}" for letter, number in zip(rng.choice(list("ABCDE"), n), rng.integers(1, 60, n), strict=True)
    ]
    return pd.DataFrame(
        {
            "pclass": pclass,
            "survived": survived.astype(int),
            "name": [f"Passenger {i:04d}" for i in rng.permutation(n)],
            "sex": np.where(female, "female", "male"),
            "age": np.where(rng.random(n) < 0.2, np.nan, rng.normal(30, 13, n).clip(1, 75).round()),
            "sibsp": rng.poisson(0.5, n),
            "fare": (rng.lognormal(2, 0.6, n) * 4 / pclass).round(2),
            "cabin": np.where(rng.random(n) < np.where(pclass == 1, 0.75, 0.05), cabin, None),
            "embarked": rng.choice(["S", "C", "Q"], n, p=[0.7, 0.2, 0.1]),
            "boat": np.where(filled, boat, None),
            "body": np.where(~survived & (rng.random(n) < 0.25), rng.integers(1, 330, n), np.nan),
        }
    )


def ames() -> pd.DataFrame:
    """`Order` numbers the rows, and a missing quality means that there is none: no pool, no alley."""
    n, rng = 700, np.random.default_rng(2)
    quality, area, built = (
        rng.integers(3, 10, n),
        rng.normal(1500, 450, n).clip(400).round(),
        rng.integers(1900, 2010, n),
    )
    grades = np.array(["Ex", "Gd", "TA", "Fa"])

    def mostly_none(share: float) -> np.ndarray:
        return np.where(rng.random(n) < share, grades[rng.integers(0, 4, n)], None)

    fireplace = rng.random(n) < np.where(area > 1500, 0.8, 0.3)
    price = 25_000 * quality + 60 * area + 300 * (built - 1900) + rng.normal(0, 20_000, n)
    return pd.DataFrame(
        {
            "Order": np.arange(1, n + 1),
            "MS Zoning": rng.choice(["RL", "RM", "FV"], n, p=[0.8, 0.15, 0.05]),
            "Lot Area": rng.lognormal(9.1, 0.4, n).round(),
            "Overall Qual": quality,
            "Gr Liv Area": area,
            "Year Built": built,
            "Alley": mostly_none(0.07),
            "Pool QC": mostly_none(0.05),
            "Fence": mostly_none(0.2),
            "Fireplace Qu": np.where(fireplace, grades[rng.integers(0, 4, n)], None),
            "SalePrice": (price + 30_000 * fireplace).clip(20_000).round(-2),
        }
    )


def bike() -> pd.DataFrame:
    """`casual` and `registered` add up to `cnt`; rows are in order of their date, and rentals grow."""
    n, rng = 700, np.random.default_rng(3)
    day = np.arange(n)
    temperature = 15 - 12 * np.cos(2 * np.pi * day / 365) + rng.normal(0, 3, n)
    working = (day % 7 < 5).astype(int)
    casual = (40 * temperature.clip(1) * (2 - working) * rng.lognormal(0, 0.4, n)).round()
    registered = ((800 + 3 * day + 60 * temperature) * rng.lognormal(0, 0.2, n)).clip(20).round()
    return pd.DataFrame(
        {
            "instant": day + 1,
            "dteday": (pd.Timestamp("2011-01-01") + pd.to_timedelta(day, unit="D")).strftime("%Y-%m-%d"),
            "workingday": working,
            "weathersit": rng.choice([1, 2, 3], n, p=[0.65, 0.3, 0.05]),
            "temp": temperature.round(2),
            "hum": rng.normal(0.6, 0.14, n).round(3),
            "casual": casual.astype(int),
            "registered": registered.astype(int),
            "cnt": (casual + registered).astype(int),
        }
    )


def parkinsons() -> pd.DataFrame:
    """Patients have many rows each, which are alike; one score is most of the other."""
    n_subjects, n_rows, rng = 40, 20, np.random.default_rng(4)
    subject = np.repeat(np.arange(1, n_subjects + 1), n_rows)
    n = len(subject)

    def own(mean: float, spread: float) -> np.ndarray:
        return rng.normal(mean, spread, n_subjects)[subject - 1]

    time = rng.uniform(0, 180, n)
    motor = own(21, 8) + own(0.0, 0.01) * time + rng.normal(0, 0.6, n)
    total = motor + own(8, 3) + rng.normal(0, 0.8, n)
    voice = {name: (own(0, 1) + rng.normal(0, 0.9, n)).round(4) for name in ("jitter", "shimmer", "NHR", "HNR", "DFA")}
    return pd.DataFrame(
        {
            "subject#": subject,
            "age": own(65, 9).round().astype(int),
            "sex": (own(0, 1) > 0.5).astype(int),
            "test_time": time.round(3),
            "motor_UPDRS": motor.round(3),
            "total_UPDRS": total.round(3),
            **voice,
        }
    )


def electricity() -> pd.DataFrame:
    """Half-hours in a row, without a date: prices wander, and whether they rise depends on when it is."""
    n, rng = 1200, np.random.default_rng(5)
    half_hour = np.arange(n)
    slow = np.cumsum(rng.normal(0, 0.05, n))
    mood = np.zeros(n)
    for i in range(1, n):
        mood[i] = 0.95 * mood[i - 1] + rng.normal(0, 0.4)
    return pd.DataFrame(
        {
            "period": (half_hour % 48) / 47,
            "nswprice": (0.06 + 0.01 * slow + 0.005 * mood + rng.normal(0, 0.01, n)).round(6),
            "nswdemand": (0.45 + 0.1 * np.sin(half_hour * 2 * np.pi / 48) + 0.02 * slow + rng.normal(0, 0.05, n)).round(
                6
            ),
            "transfer": (0.5 - 0.03 * slow + rng.normal(0, 0.08, n)).round(6),
            "class": np.where(mood + rng.normal(0, 0.6, n) > 0, "UP", "DOWN"),
        }
    )


TRAPS = {
    "titanic": Trap(
        titanic,
        "survived",
        (("leak_missing", "warning", ("boat", "body")), ("missing_tells", "info", ("cabin",))),
        ("data.drop: [boat, body]",),
    ),
    "ames": Trap(
        ames,
        "SalePrice",
        (("id", "warning", ("Order",)), ("mostly_missing", "info", ("Pool QC", "Alley", "Fence"))),
        ("data.drop: [Order]", "Where missing means none, keep them"),
    ),
    "bike": Trap(
        bike,
        "cnt",
        (
            ("leak_formula", "warning", ("casual", "registered")),
            ("id", "warning", ("instant",)),
            ("time_order", "warning", ("dteday",)),
        ),
        ("data.drop: [casual, registered]", "data.drop: [instant]", "split.method: time, split.time: dteday"),
    ),
    "parkinsons": Trap(
        parkinsons,
        "total_UPDRS",
        (("group", "warning", ("subject#",)), ("dominant", "info", ("motor_UPDRS",))),
        ("split.method: grouped, split.group: 'subject#'", "data.drop: [motor_UPDRS]"),
    ),
    "electricity": Trap(
        electricity,
        "class",
        (("time_order", "info", ()),),
        ("split.method: time, split.time: row, data.drop: [row]",),
    ),
}
