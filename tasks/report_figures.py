"""The report's figures: tables in, plotly figures out. Nothing here reads a file or decides what is said."""

import html
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hone.evaluation.importance import Importance
from hone.metrics import METRICS
from hone.metrics import value as metric_value
from hone.space import Categorical, Domain, Float, Int, SearchSpace
from hone.trial import Result, State
from tasks.wording import label

PHASES = {"search_random": "#8fa3bf", "search_bayes": "#e08a1e", "search_hyperband": "#1f5fa8"}
PHASE_NAMES = {"search_random": "random", "search_bayes": "bayes", "search_hyperband": "hyperband"}
TUNED, DEFAULTS, INK, GRID = "#0f766e", "#94a3b8", "#1e293b", "#e7ebf0"
SERIES = ("#0f766e", "#1f5fa8", "#e08a1e", "#b4436c", "#6d5bd0", "#5b8c2a", "#a16207", "#0891b2", "#c2410c", "#64748b")
FONT = "Inter, 'Segoe UI', system-ui, -apple-system, 'Helvetica Neue', Arial, sans-serif"
MOST_POINTS = 2000  # of a cloud
REACH = 5  # how far an axis goes beyond the best quarter of the trials, as a multiple of its width
BELOW = -0.18  # where parallel coordinates put what a config does not have


def search(results: Sequence[Result], metric: str) -> tuple[go.Figure, int]:
    """Return the metric of every trial against the epochs spent, with the best so far, and how many are off the axis.

    results: of all phases, in the order they ran. Trials so bad that they would press the good ones together are
    drawn as open triangles at the edge.
    """
    table = pd.DataFrame(
        {
            "study": [result.trial.study for result in results],
            "spent": np.cumsum([result.cost for result in results]),
            "value": _values(results, metric),
            "text": [_hover(result) for result in results],
        }
    )
    complete = table[table["value"].notna()]
    larger_is_better = METRICS[metric].larger_is_better
    axis = _focused(complete["value"], larger_is_better)
    beyond = complete["value"] < axis[0] if larger_is_better else complete["value"] > axis[1]
    edge = axis[0] + 0.02 * (axis[1] - axis[0]) if larger_is_better else axis[1] - 0.02 * (axis[1] - axis[0])
    triangle = "triangle-down-open" if larger_is_better else "triangle-up-open"
    figure = _figure(height=430)
    for end in list(table.groupby("study", sort=False)["spent"].max())[:-1]:
        figure.add_vline(end, line={"color": "#cbd5e1", "width": 1, "dash": "dot"})
    for study, color in PHASES.items():
        for off in (False, True):
            part = complete[(complete["study"] == study) & (beyond == off)]
            marker = {"color": color, "size": 7, "opacity": 0.8, "line": {"width": 0.5, "color": "white"}}
            figure.add_scatter(
                x=part["spent"].tolist(),
                y=[edge] * len(part) if off else part["value"].tolist(),
                mode="markers",
                name=PHASE_NAMES[study],
                showlegend=not off,
                legendgroup=study,
                marker={"color": color, "size": 6, "symbol": triangle} if off else marker,
                text=part["text"].tolist(),
                customdata=part["value"].tolist(),
                hovertemplate="%{text}<br>%{customdata:.4g}<extra></extra>",
            )
    best = complete["value"].cummax() if larger_is_better else complete["value"].cummin()
    figure.add_scatter(
        x=complete["spent"].tolist(),
        y=best.tolist(),
        mode="lines",
        name="best so far",
        line={"color": INK, "width": 2, "shape": "hv"},
        hovertemplate="best so far %{y:.4g}<extra></extra>",
    )
    figure.update_xaxes(title_text="epochs spent, over all training rows", rangemode="tozero")
    figure.update_yaxes(title_text=label(metric), range=axis)
    return figure, int(beyond.sum())


def learning_curves(curves: Sequence[tuple[str, Sequence[float]]], metric: str) -> go.Figure:
    """Return the validation metric by epoch, a line per trial; the curve named "defaults" is drawn in grey."""
    figure = _figure(height=380)
    best_first = [curve for curve in curves if curve[0] != "defaults"]
    ordered = [curve for curve in curves if curve[0] == "defaults"] + best_first[::-1]
    for name, curve in ordered:
        rank = next((index for index, (other, _) in enumerate(best_first) if other == name), None)
        line = {"color": DEFAULTS, "width": 2.5, "dash": "dash"}
        if rank is not None:
            line = {"color": TUNED if rank == 0 else "#9ecfc9", "width": 2.5 if rank == 0 else 1.3, "dash": "solid"}
        figure.add_scatter(
            x=list(range(1, len(curve) + 1)),
            y=list(curve),
            mode="lines",
            name=safe(name) if rank in (None, 0) else f"the next {len(best_first) - 1}",
            legendgroup="next" if rank else safe(name),
            showlegend=rank in (None, 0, 1),
            line=line,
            hovertemplate=f"{safe(name)}<br>epoch %{{x}}: %{{y:.4g}}<extra></extra>",
        )
    values = pd.Series([value for _, curve in curves for value in curve], dtype=float)
    figure.update_xaxes(title_text="epoch", rangemode="tozero")
    larger_is_better = METRICS[metric].larger_is_better
    low, high = _focused(values, larger_is_better)
    if larger_is_better:  # every curve is seen at its best
        low = min([low, *(max(curve) - 0.1 * (high - low) for _, curve in curves if len(curve))])
    else:
        high = max([high, *(min(curve) + 0.1 * (high - low) for _, curve in curves if len(curve))])
    figure.update_yaxes(title_text=label(metric), range=[low, high])
    figure.update_layout(legend={"traceorder": "reversed"})
    return figure


def importance(ranking: Sequence[Importance]) -> go.Figure:
    """Return a bar for each hyperparameter, the most important on top, with its deviation over the folds."""
    shown = list(ranking)[:12][::-1]
    figure = _figure(height=90 + 28 * len(shown), legend=False)
    figure.add_bar(
        x=[max(one.value, 0.0) for one in shown],
        y=[safe(one.name) for one in shown],
        orientation="h",
        marker={"color": TUNED},
        width=0.62,
        error_x={"array": [one.deviation for one in shown], "color": INK, "thickness": 1.2, "width": 3},
        hovertemplate="%{y}: %{x:.3f}<extra></extra>",
    )
    figure.update_xaxes(
        title_text="share of the ranking's variance lost when shuffled, on unseen trials", rangemode="tozero"
    )
    figure.update_yaxes(showgrid=False, automargin=True, type="category")
    return figure


def slices(results: Sequence[Result], names: Sequence[str], space: SearchSpace, metric: str) -> go.Figure:
    """Return the metric against each named hyperparameter, side by side; configs that lack one are left out of it."""
    figure = make_subplots(cols=len(names), shared_yaxes=True, horizontal_spacing=0.03)
    complete = [result for result in results if result.state is State.COMPLETE]
    for column, name in enumerate(names, start=1):
        domain = space.domains[name]
        for study, color in PHASES.items():
            part = [r for r in complete if r.trial.study == study and name in r.trial.config][-MOST_POINTS:]
            figure.add_scatter(
                x=[
                    domain.encode(result.trial.config[name]) + _jitter(domain, index)
                    for index, result in enumerate(part)
                ],
                y=_values(part, metric),
                mode="markers",
                name=PHASE_NAMES[study],
                legendgroup=study,
                showlegend=column == 1,
                marker={"color": color, "size": 6, "opacity": 0.75, "line": {"width": 0.5, "color": "white"}},
                text=[f"{safe(name)} {safe(short(result.trial.config[name]))}" for result in part],
                hovertemplate="%{text}<br>%{y:.4g}<extra></extra>",
                row=1,
                col=column,
            )
        positions, texts = ticks(domain)
        figure.update_xaxes(
            title_text=safe(name), tickvals=positions, ticktext=texts, range=[-0.06, 1.06], row=1, col=column
        )
    _styled(figure, height=330)
    values = pd.Series(_values(complete, metric), dtype=float)
    figure.update_yaxes(range=_focused(values, METRICS[metric].larger_is_better))
    figure.update_yaxes(title_text=label(metric), row=1, col=1)
    return figure


def parallel(results: Sequence[Result], names: Sequence[str], space: SearchSpace, metric: str) -> go.Figure:
    """Return parallel coordinates of the trials over the named hyperparameters and the metric.

    A hyperparameter that a config does not have is drawn below the axis, at "none".
    """
    complete = [result for result in results if result.state is State.COMPLETE][-MOST_POINTS:]
    larger_is_better = METRICS[metric].larger_is_better
    values = pd.Series(_values(complete, metric), dtype=float)
    low, high = _focused(values, larger_is_better)
    dimensions = []
    for name in names:
        domain = space.domains[name]
        positions, texts = ticks(domain)
        configs = [result.trial.config for result in complete]
        if any(name not in config for config in configs):
            positions, texts = [BELOW, *positions], ["none", *texts]
        dimensions.append(
            {
                "label": safe(name),
                "values": [domain.encode(config[name]) if name in config else BELOW for config in configs],
                "tickvals": positions,
                "ticktext": texts,
                "range": [min(positions[0], 0.0), 1],
            }
        )
    shown = values.clip(low, high)
    span = [float(shown.min()), float(shown.max())]
    dimensions.append({"label": label(metric), "values": shown.tolist(), "range": span, "tickformat": ".3~g"})
    # The best few matter: colour by rank, not by value, or one bad trial paints the rest alike.
    rank = values.rank(ascending=larger_is_better, pct=True)
    figure = _figure(height=420, legend=False)
    figure.add_parcoords(
        dimensions=dimensions,
        line={"color": rank.tolist(), "colorscale": [[0, "#e5e9ef"], [0.6, "#9ecfc9"], [1, "#0b5c56"]]},
        labelfont={"size": 12},
        tickfont={"size": 10},
        unselected={"line": {"color": "#e5e9ef", "opacity": 0.25}},
    )
    figure.update_layout(margin={"l": 70, "r": 60, "t": 50, "b": 24})
    return figure


def dots(rows: Sequence[tuple[str, float, float | None]], metric: str) -> go.Figure:
    """Return one dot a model, best on top as given, with its deviation where there is one. rows: name, value, std."""
    figure = _figure(height=84 + 36 * len(rows), legend=False)
    order = list(rows)[::-1]
    figure.add_scatter(
        x=[value for _, value, _ in order],
        y=[safe(name) for name, _, _ in order],
        mode="markers",
        marker={
            "size": 12,
            "color": [
                TUNED if name.startswith("tuned") else DEFAULTS if "default" in name else "#475569"
                for name, *_ in order
            ],
        },
        error_x={"array": [std or 0.0 for *_, std in order], "color": "#64748b", "thickness": 1.5, "width": 4},
        hovertemplate="%{y}: %{x:.4g}<extra></extra>",
    )
    figure.update_xaxes(title_text=label(metric))
    figure.update_yaxes(automargin=True, type="category")
    return figure


def confusion(counts: pd.DataFrame) -> go.Figure:
    """Return the confusion matrix. counts: rows actual, columns predicted, in the classes' order."""
    matrix = counts.to_numpy()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    labels = [safe(short(label)) for label in counts.index]
    figure = _figure(height=max(400, min(640, 170 + 38 * len(labels))), legend=False)
    figure.add_heatmap(
        z=shares.tolist(),
        x=labels,
        y=labels,
        text=matrix.astype(str).tolist() if len(labels) <= 20 else None,
        texttemplate="%{text}" if len(labels) <= 20 else None,
        colorscale=[[0, "#f8fafc"], [0.25, "#cfe8e5"], [1, "#0f766e"]],
        zmin=0,
        zmax=1,
        xgap=2,
        ygap=2,
        showscale=False,
        customdata=matrix.tolist(),
        hovertemplate="actual %{y}, predicted %{x}<br>%{customdata} rows, %{z:.1%} of its class<extra></extra>",
    )
    figure.update_xaxes(title_text="predicted", type="category", showgrid=False)
    figure.update_yaxes(title_text="actual", type="category", autorange="reversed", showgrid=False)
    return figure


def curve(table: pd.DataFrame, x: str, y: str, *, diagonal: bool) -> go.Figure:
    """Return lines of `y` over `x`, one for each value of column `curve`, on the unit square."""
    figure = _figure(height=400)
    if diagonal:
        figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": "#cbd5e1", "dash": "dot"}, showlegend=False)
    for index, (name, part) in enumerate(table.groupby("curve", sort=False)):
        figure.add_scatter(
            x=part[x].tolist(),
            y=part[y].tolist(),
            mode="lines",
            name=safe(short(name)),
            line={"color": _series_color(str(name), index), "width": 2.2 if name == "tuned" else 1.6},
            hovertemplate=f"{safe(short(name))}<br>(%{{x:.3f}}, %{{y:.3f}})<extra></extra>",
        )
    figure.update_xaxes(title_text=x.replace("_", " "), range=[-0.015, 1.015])
    figure.update_yaxes(title_text=y.replace("_", " "), range=[-0.015, 1.015])
    return figure


def calibration(table: pd.DataFrame) -> go.Figure:
    """Return observed against predicted frequency, a line for each model; table: columns of plots/calibration.csv."""
    figure = _figure(height=400)
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": "#cbd5e1", "dash": "dot"}, showlegend=False)
    for index, (name, part) in enumerate(table.groupby("curve", sort=False)):
        figure.add_scatter(
            x=part["predicted"].tolist(),
            y=part["observed"].tolist(),
            mode="lines+markers",
            name=safe(short(name)),
            line={"color": _series_color(str(name), index), "width": 2},
            marker={"size": 8},
            customdata=part["n_rows"].tolist(),
            hovertemplate="predicted %{x:.3f}, observed %{y:.3f}<br>%{customdata} rows<extra></extra>",
        )
    low = min(0.9, max(0.0, float(np.floor(10 * table[["predicted", "observed"]].min().min()) / 10)))
    figure.update_xaxes(title_text="predicted probability", range=[low - 0.015, 1.015])
    figure.update_yaxes(title_text="observed frequency", range=[low - 0.015, 1.015])
    return figure


def residuals(table: pd.DataFrame, target: str) -> tuple[go.Figure, go.Figure]:
    """Return predicted against actual values, and the residuals' histogram; table: columns of plots/residuals.csv."""
    shown = table.iloc[np.linspace(0, len(table) - 1, min(len(table), MOST_POINTS)).astype(int)]
    low = float(min(shown["actual"].min(), shown["predicted"].min()))
    high = float(max(shown["actual"].max(), shown["predicted"].max()))
    scatter = _figure(height=400, legend=False)
    scatter.add_scatter(x=[low, high], y=[low, high], mode="lines", line={"color": "#cbd5e1", "dash": "dot"})
    scatter.add_scatter(
        x=shown["actual"].tolist(),
        y=shown["predicted"].tolist(),
        mode="markers",
        marker={"color": TUNED, "size": 6, "opacity": 0.55},
        hovertemplate="actual %{x:.4g}, predicted %{y:.4g}<extra></extra>",
    )
    scatter.update_xaxes(title_text=f"actual {safe(short(target))}")
    scatter.update_yaxes(title_text=f"predicted {safe(short(target))}")
    counts, edges = np.histogram(table["residual"], bins=min(40, max(8, round(math.sqrt(len(table))))))
    bars = _figure(height=400, legend=False)
    bars.add_bar(
        x=((edges[:-1] + edges[1:]) / 2).tolist(),
        y=counts.tolist(),
        width=np.diff(edges).tolist(),
        marker={"color": "#9ecfc9", "line": {"color": "white", "width": 1}},
        hovertemplate="residual about %{x:.4g}: %{y} rows<extra></extra>",
    )
    bars.add_vline(0, line={"color": INK, "width": 1})
    bars.update_xaxes(title_text="residual (actual minus predicted)")
    bars.update_yaxes(title_text="rows")
    return scatter, bars


def ticks(domain: Domain) -> tuple[list[float], list[str]]:
    """Return rising positions on the unit scale and their labels: powers of ten, each choice, or a few values."""
    if isinstance(domain, Categorical):
        pairs = sorted((domain.encode(choice), short(choice)) for choice in domain.choices)
        return [position for position, _ in pairs], [safe(text) for _, text in pairs]
    if not isinstance(domain, Float | Int):
        return [0.5], [safe(short(domain.value))]
    values = _tick_values(float(domain.low), float(domain.high), domain.log, isinstance(domain, Int))
    typed = [int(value) if isinstance(domain, Int) else value for value in values]
    return [domain.encode(value) for value in typed], [short(value) for value in typed]


def short(value: object) -> str:
    """Return a value as a label: few digits, at most 28 characters."""
    if isinstance(value, float):
        return f"{value:.3g}"
    text = str(value)
    return text if len(text) <= 28 else text[:27] + "…"


def safe(text: str) -> str:
    """Return text that plotly shows as it is: plotly reads tags in labels."""
    return html.escape(text, quote=False)


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
    raw = (high - low) / 5
    step = next(unit for unit in (10.0 ** math.floor(math.log10(raw)) * m for m in (1, 2, 5, 10)) if unit >= raw)
    step = max(step, 1.0) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def _values(results: Sequence[Result], metric: str) -> list[float]:
    return [metric_value(metric, r.objective) if r.state is State.COMPLETE else math.nan for r in results]


def _hover(result: Result) -> str:
    trial = result.trial
    share = "" if trial.rows == 1 else f" on {trial.rows:.0%} of the rows"
    return f"trial {trial.number} ({trial.origin}), {trial.resource} epochs{share}"


def _series_color(name: str, index: int) -> str:
    return {"tuned": TUNED, "defaults": DEFAULTS}.get(name, SERIES[index % len(SERIES)])


def _focused(values: pd.Series, larger_is_better: bool) -> list[float]:
    """Return an axis on which the better trials can be told apart, worse ones left out if they are far off."""
    finite = values[np.isfinite(values)].to_numpy(dtype=float)
    if not len(finite):
        return [0.0, 1.0]
    low, high = float(finite.min()), float(finite.max())
    good = float(np.quantile(finite, 0.75 if larger_is_better else 0.25))
    reach = REACH * abs((high if larger_is_better else low) - good)
    if reach and larger_is_better:
        low = max(low, high - reach)
    elif reach:
        high = min(high, low + reach)
    pad = 0.05 * (high - low) or 0.05 * max(abs(high), 1e-6)
    return [low - pad, high + pad]


def _figure(height: int, legend: bool = True) -> go.Figure:
    return _styled(go.Figure(), height, legend)


def _styled(figure: go.Figure, height: int, legend: bool = True) -> go.Figure:
    figure.update_layout(
        template="none",
        height=height,
        font={"family": FONT, "size": 12.5, "color": INK},
        margin={"l": 64, "r": 16, "t": 34 if legend else 14, "b": 52},
        paper_bgcolor="white",
        plot_bgcolor="white",
        showlegend=legend,
        legend={"orientation": "h", "y": 1.02, "x": 0, "yanchor": "bottom", "xanchor": "left"},
        hoverlabel={"font": {"family": FONT, "size": 12}},
        bargap=0.05,
    )
    axes = {"gridcolor": GRID, "zeroline": False, "linecolor": "#cbd5e1", "title": {"font": {"size": 12.5}}}
    figure.update_xaxes(ticks="outside", tickcolor="#cbd5e1", **axes)
    figure.update_yaxes(automargin=True, title_standoff=14, **axes)
    return figure
