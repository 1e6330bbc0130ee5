"""The report's figures: tables in, plots out. Nothing here reads a file or decides what is said."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from hone.evaluation.importance import Importance
from hone.metrics import METRICS
from hone.metrics import value as metric_value
from hone.space import Categorical, Domain, Float, Int, SearchSpace
from hone.trial import Result, State
from tasks.report_plot import Axis, Parallel, Plot, Tick, axis, names, numbers
from tasks.wording import label, number

PHASES = ("search_random", "search_bayes", "search_hyperband")
PHASE_NAMES = {study: study.removeprefix("search_") for study in PHASES}
BEST = ((0.03, 3), (0.1, 8), (0.25, 0), (0.5, 0))
"""Trials in each class of colour and in those above it, the best first: a share of all, and a count that is enough."""
MOST_POINTS = 2000  # of a cloud
REACH = 5  # how far an axis goes beyond the best quarter of the trials, as a multiple of its width
NONE = 0.0  # where parallel coordinates put what a config does not have
START = 0.08  # where the axis begins then
LONGEST = 28  # characters of a label
SMALLEST, CHARACTER, GAP = 193.0, 7.6, 6.0
"""In pixels: the narrowest small plot (see figure.grid in `report_page`), a character of a label, and between labels.

Of the plot's 205 pixels, what lies between its labels of the y axis and its marks is left out.
"""


def search(results: Sequence[Result], metric: str) -> tuple[Plot, int]:
    """Return the metric of every trial against the budget spent, with the best so far, and how many are off the axis.

    results: of all phases, in the order they ran. Trials so bad that they would press the good ones together are
    short lines at the edge.
    """
    table = pd.DataFrame(
        {
            "study": [result.trial.study for result in results],
            "spent": np.cumsum([result.cost for result in results]),
            "value": _values(results, metric),
            "text": [_title(result, metric) for result in results],
        }
    )
    complete = table[table["value"].notna()]
    larger_is_better = METRICS[metric].larger_is_better
    low, high = _focused(complete["value"], larger_is_better)
    beyond = complete["value"] < low if larger_is_better else complete["value"] > high
    end = float(table["spent"].max()) if len(table) else 1.0
    x = Axis(
        "budget spent, in epochs of the default config", -0.01 * end, 1.01 * end, numbers(0, end, 6, whole=end > 1)
    )
    plot = Plot(x, axis(label(metric), low, high), height=380)
    for spent in list(table.groupby("study", sort=False)["spent"].max())[:-1]:
        plot.line([(spent, low), (spent, high)], "c-soft", "dotted")
    best = (complete["value"].cummax() if larger_is_better else complete["value"].cummin()).tolist()
    for study, name in PHASE_NAMES.items():
        part = complete[(complete["study"] == study) & ~beyond]
        titled = len(complete) <= MOST_POINTS
        plot.dots(
            zip(part["spent"], part["value"], strict=True), f"c-{name}", part["text"].tolist() if titled else None
        )
        off = complete[(complete["study"] == study) & beyond]
        plot.edge(off["spent"], f"c-{name}", not larger_is_better, off["text"].tolist())
        plot.legend.append(("dot", f"c-{name}", name))
    if best:
        plot.line([*_steps(complete["spent"].tolist(), best), (end, best[-1])], "c-ink", "best")
        plot.legend.append(("line", "c-ink", "best so far"))
    return plot, int(beyond.sum())


def learning_curves(curves: Sequence[tuple[str, Sequence[float]]], metric: str) -> Plot:
    """Return the validation metric by epoch, a line per trial, best first; that named "defaults" is drawn in grey."""
    larger_is_better = METRICS[metric].larger_is_better
    values = pd.Series([value for _, curve in curves for value in curve], dtype=float)
    low, high = _focused(values, larger_is_better)
    # Every curve is seen at its best.
    if larger_is_better:
        low = min([low, *(max(curve) - 0.1 * (high - low) for _, curve in curves if len(curve))])
    else:
        high = max([high, *(min(curve) + 0.1 * (high - low) for _, curve in curves if len(curve))])
    last = max([1, *(len(curve) for _, curve in curves)])
    plot = Plot(axis("epoch", 0, last, whole=True), axis(label(metric), low, high), height=330)
    best_first = [curve for curve in curves if curve[0] != "defaults"]
    ranked = [("c-tuned" if rank == 0 else "c-pale", *curve) for rank, curve in enumerate(best_first)]
    grey = [("c-defaults", *curve) for curve in curves if curve[0] == "defaults"]
    for colour, name, curve in [*ranked[:0:-1], *grey, *ranked[:1]]:
        kind = "thin" if colour == "c-pale" else "dashed" if colour == "c-defaults" else "line"
        plot.line(list(enumerate(curve, 1)), colour, kind, f"{name}, {len(curve)} epochs")
        if len(curve) == 1:
            plot.dots([(1, curve[0])], colour)
    plot.legend += [("line", "c-tuned", name) for name, _ in best_first[:1]]
    plot.legend += [("line", "c-pale", f"the next {len(best_first) - 1}")] if len(best_first) > 1 else []
    plot.legend += [("line", "c-defaults", "defaults")] if grey else []
    return plot


def importance(ranking: Sequence[Importance]) -> Plot:
    """Return a bar for each hyperparameter, the most important on top, with its deviation over the folds."""
    shown = [(one.name, max(one.value, 0.0), one.deviation) for one in list(ranking)[:12]]
    return bars(shown, "share of the ranking's variance lost when shuffled, on unseen trials")


def bars(rows: Sequence[tuple[str, float, float]], unit: str) -> Plot:
    """Return a bar for each row, the first on top, with its deviation. rows: name, value, deviation."""
    ends = [
        0.0,
        *(value + deviation for _, value, deviation in rows),
        *(value - d for _, value, d in rows if value < 0),
    ]
    low, high = min(ends), max(ends)
    pad = 0.03 * (high - low) or 0.5
    x = axis(unit, low - pad if low < 0 else 0.0, high + pad, 5)
    plot = Plot(x, names([short(name) for name, *_ in rows]), height=10 + 27 * len(rows), by_name=True)
    for index, (name, value, deviation) in enumerate(rows):
        y = len(rows) - 1 - index
        plot.bar((min(0.0, value), max(0.0, value)), (y - 0.31, y + 0.31), "c-tuned", f"{name}: {number(value)}")
        plot.line([(max(x.low, value - deviation), y), (value + deviation, y)], "c-ink", "thin")
    return plot


def slices(results: Sequence[Result], hyperparameters: Sequence[str], space: SearchSpace, metric: str) -> list[Plot]:
    """Return a plot of the metric against each hyperparameter; configs that lack one are left out of it.

    space: the one that was searched.
    """
    complete = [result for result in results if result.state is State.COMPLETE]
    low, high = _focused(pd.Series(_values(complete, metric), dtype=float), METRICS[metric].larger_is_better)
    plots = []
    for name in hyperparameters:
        domain = space.domains[name]
        y = axis(label(metric), low, high, 5)
        room = SMALLEST - CHARACTER * max((len(text) for _, text in y.shown), default=0)
        plot = Plot(Axis(name, -0.06, 1.06, apart(ticks(domain), room / 1.12)), y, height=210)
        for study, phase in PHASE_NAMES.items():
            part = [r for r in complete if r.trial.study == study and name in r.trial.config][-MOST_POINTS:]
            xs = [domain.encode(r.trial.config[name]) + _jitter(domain, index) for index, r in enumerate(part)]
            values = _values(part, metric)
            plot.dots([(x, y) for x, y in zip(xs, values, strict=True) if low <= y <= high], f"c-{phase}", kind="small")
        plots.append(plot)
    return plots


def parallel(results: Sequence[Result], hyperparameters: Sequence[str], space: SearchSpace, metric: str) -> Parallel:
    """Return parallel coordinates of the trials over hyperparameters and the metric.

    A hyperparameter that a config does not have is drawn at the left end, at "none". space: as of `slices`.
    """
    complete = [result for result in results if result.state is State.COMPLETE][-MOST_POINTS:]
    larger_is_better = METRICS[metric].larger_is_better
    values = pd.Series(_values(complete, metric), dtype=float)
    low, high = _focused(values, larger_is_better)
    scale = axis(label(metric), low, high)
    places, axes = [], []
    for name in hyperparameters:
        domain, configs = space.domains[name], [result.trial.config for result in complete]
        begin = START if any(name not in config for config in configs) else 0.0
        places.append(
            [begin + (1 - begin) * domain.encode(config[name]) if name in config else NONE for config in configs]
        )
        lacking: list[Tick] = [(NONE, "none")] if begin else []
        axes.append((name, [*lacking, *((begin + (1 - begin) * at, text) for at, text in ticks(domain))]))
    axes.append((label(metric), scale.shown))
    places.append([min(1.0, max(0.0, scale.at(value))) for value in values])
    # The best few matter: colour by rank, not by value, or one bad trial paints the rest alike.
    order = values.sort_values(ascending=larger_is_better, kind="stable").index
    lines = [
        (
            [crossings[index] for crossings in places],
            f"r{_strength(place, len(order))}",
            _title(complete[index], metric),
        )
        for place, index in enumerate(order)
    ]
    return Parallel(axes, lines)


def dots(rows: Sequence[tuple[str, float, float | None]], metric: str) -> Plot:
    """Return a dot for each model, the first on top, with its deviation where there is one. rows: name, value, std."""
    ends = [value + sign * (std or 0.0) for _, value, std in rows for sign in (-1, 1)]
    pad = 0.06 * (max(ends) - min(ends)) or 0.05 * max(abs(max(ends)), 1e-6)
    x = axis(label(metric), min(ends) - pad, max(ends) + pad, 5)
    plot = Plot(x, names([name for name, *_ in rows]), height=12 + 34 * len(rows), by_name=True)
    for index, (name, value, std) in enumerate(rows):
        colour = "c-defaults" if "default" in name else "c-tuned" if name.startswith("network") else "c-soft"
        y = len(rows) - 1 - index
        if std:
            plot.line([(value - std, y), (value + std, y)], colour, "thin")
        plot.dots([(value, y)], colour, [f"{name}: {number(value)}"], kind="big")
    return plot


def curve(table: pd.DataFrame, x: str, y: str, *, diagonal: bool, ours: str = "tuned") -> Plot:
    """Return lines of `y` over `x`, one for each value of column `curve`, on the unit square.

    ours: what the delivered model is called, which the table calls "tuned".
    """
    plot = Plot(_shares(x.replace("_", " ")), _shares(y.replace("_", " ")), height=310)
    if diagonal:
        plot.line([(0, 0), (1, 1)], "c-soft", "dotted")
    for index, (name, part) in reversed(list(enumerate(table.groupby("curve", sort=False)))):
        text = ours if name == "tuned" else short(name)
        points = list(zip(part[x].tolist(), part[y].tolist(), strict=True))
        plot.line(points, _series(str(name), index), "line" if name == "tuned" else "thin", text)
        plot.legend.insert(0, ("line", _series(str(name), index), text))
    return plot


def calibration(table: pd.DataFrame, ours: str = "tuned") -> Plot:
    """Return observed against predicted frequency, a line for each model; table: columns of plots/calibration.csv.

    ours: what the delivered model is called, which the table calls "tuned".
    """
    low = min(0.9, max(0.0, float(np.floor(10 * table[["predicted", "observed"]].min().min()) / 10)))
    plot = Plot(_shares("predicted probability", low), _shares("observed frequency", low), height=310)
    plot.line([(low, low), (1, 1)], "c-soft", "dotted")
    for index, (name, part) in reversed(list(enumerate(table.groupby("curve", sort=False)))):  # the first on top
        colour = _series(str(name), index)
        model = ours if name == "tuned" else short(name)
        points = list(zip(part["predicted"].tolist(), part["observed"].tolist(), strict=True))
        texts = [
            f"{model}: predicted {number(x, 3)}, observed {number(y, 3)}, {n} rows"
            for (x, y), n in zip(points, part["n_rows"], strict=True)
        ]
        plot.line(points, colour, "thin")
        plot.dots(points, colour, texts)
        plot.legend.insert(0, ("line", colour, model))
    return plot


def residuals(table: pd.DataFrame, target: str) -> tuple[Plot, Plot]:
    """Return predicted against actual values, and the residuals' histogram; table: columns of plots/residuals.csv."""
    shown = table.iloc[np.linspace(0, len(table) - 1, min(len(table), MOST_POINTS)).astype(int)]
    low = float(min(shown["actual"].min(), shown["predicted"].min()))
    high = float(max(shown["actual"].max(), shown["predicted"].max()))
    pad = 0.02 * (high - low) or 0.5
    x, y = (axis(f"{what} {short(target)}", low - pad, high + pad, 5) for what in ("actual", "predicted"))
    scatter = Plot(x, y, height=310)
    scatter.line([(low, low), (high, high)], "c-soft", "dotted")
    scatter.dots(zip(shown["actual"].tolist(), shown["predicted"].tolist(), strict=True), "c-tuned", kind="small")
    counts, edges = np.histogram(table["residual"], bins=min(40, max(8, round(math.sqrt(len(table))))))
    most = 1.05 * float(counts.max())
    x = axis("residual (actual minus predicted)", float(edges[0]), float(edges[-1]), 5)
    histogram = Plot(x, axis("rows", 0, most, 5, whole=True), height=310)
    for count, left, right in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if count:
            gap = 0.04 * (right - left)
            text = f"from {number(left)} to {number(right)}: {count} rows"
            histogram.bar((left + gap, right - gap), (0, count), "c-pale", text)
    histogram.line([(0, 0), (0, most)], "c-ink", "thin")
    return scatter, histogram


def ticks(domain: Domain) -> list[Tick]:
    """Return rising positions on the unit scale with labels: powers of ten, each choice, or a few values."""
    if isinstance(domain, Categorical):
        return sorted((domain.encode(choice), short(choice)) for choice in domain.choices)
    if not isinstance(domain, Float | Int):
        return [(0.5, short(domain.value))]
    values = _tick_values(float(domain.low), float(domain.high), domain.log, isinstance(domain, Int))
    typed = [int(value) if isinstance(domain, Int) else value for value in values]
    return [(domain.encode(value), short(value)) for value in typed]


def apart(ticks: Sequence[Tick], room: float) -> list[Tick]:
    """Return every tick, or every second, third and so on, so that no labels touch where a unit has `room` pixels.

    Before names are left out, they are cut, but to no less than 5 characters.
    """

    def touch(kept: Sequence[Tick]) -> bool:
        return any(
            room * (at - before) < CHARACTER * (len(text) + len(former)) / 2 + GAP
            for (before, former), (at, text) in pairwise(kept)
        )

    cut = list(ticks)
    for most in range(LONGEST, 4, -1):
        cut = [(at, text if _is_number(text) else short(text, most)) for at, text in ticks]
        if not touch(cut):
            return cut
    return next((kept for step in range(2, len(cut)) if not touch(kept := cut[::step])), cut[:1])


def short(value: object, most: int = LONGEST) -> str:
    """Return a value as a label: few digits, at most so many characters."""
    if isinstance(value, float):
        return f"{value:.3g}"
    text = str(value)
    return text if len(text) <= most else text[: most - 1] + "…"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shares(text: str, low: float = 0.0) -> Axis:
    pad = 0.015 * (1 - low)
    return Axis(text, low - pad, 1 + pad, numbers(low, 1, 5))


def _steps(xs: Sequence[float], ys: Sequence[float]) -> list[tuple[float, float]]:
    """Return the corners of a line that changes its height only where a point is."""
    corners: list[tuple[float, float]] = []
    for x, y in zip(xs, ys, strict=True):
        if corners and y == corners[-1][1]:
            continue
        corners += [(x, corners[-1][1])] if corners else []
        corners.append((x, y))
    return corners


def _jitter(domain: Domain, index: int) -> float:
    """Return a small shift, the same at every call, that keeps the dots of one choice apart."""
    if not isinstance(domain, Categorical):
        return 0.0
    return 0.45 / len(domain.choices) * ((index * 0.618034) % 1 - 0.5)


def _tick_values(low: float, high: float, log: bool, whole: bool) -> list[float]:
    """Return round values within the bounds: powers of ten or two, or multiples of 1, 2 or 5 times a power of ten."""
    if high <= low:
        return [low]
    if log:
        base, within = (2.0, (1.0,)) if whole else (10.0, (1.0,) if high / low >= 100 else (1.0, 2.0, 5.0))
        powers = range(math.floor(math.log(low, base) + 1e-9), math.floor(math.log(high, base) + 1e-9) + 1)
        values = [step * base**power for power in powers for step in within]
        values = [value for value in values if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
        return values[:: 1 + len(values) // 7] if len(values) > 1 else [low, high]
    return [at for at, _ in numbers(low, high, 5, whole)]


def _values(results: Sequence[Result], metric: str) -> list[float]:
    return [metric_value(metric, r.objective) if r.state is State.COMPLETE else math.nan for r in results]


def _title(result: Result, metric: str) -> str:
    """Return what a trial's mark says when it is pointed at."""
    trial = result.trial
    share = "" if trial.rows == 1 else f" on {trial.rows:.0%} of the rows"
    score = number(metric_value(metric, result.objective)) if result.state is State.COMPLETE else str(result.state)
    phase = PHASE_NAMES.get(trial.study, trial.study)
    return f"{phase} {trial.number} ({trial.origin}), {trial.resource} epochs{share}: {score}"


def _strength(place: int, n: int) -> int:
    """Return the class of colour of one of `n` trials by its place from the worst, 0: from 0 to 4, the strongest."""
    behind = n - 1 - place
    return sum(behind < max(share * n, enough) for share, enough in BEST)


def _series(name: str, index: int) -> str:
    """Return the class of colour of a model, or of one of up to ten curves."""
    return {"tuned": "c-tuned", "defaults": "c-defaults"}.get(name, f"s{index % 10}")


def _focused(values: "pd.Series[float]", larger_is_better: bool) -> tuple[float, float]:
    """Return an axis on which the better trials can be told apart, worse ones left out if they are far off."""
    finite = values[np.isfinite(values)].to_numpy(dtype=float)
    if not len(finite):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    good = float(np.quantile(finite, 0.75 if larger_is_better else 0.25))
    reach = REACH * abs((high if larger_is_better else low) - good)
    if reach and larger_is_better:
        low = max(low, high - reach)
    elif reach:
        high = min(high, low + reach)
    pad = 0.05 * (high - low) or 0.05 * max(abs(high), 1e-6)
    return low - pad, high + pad
