"""Plots as HTML and SVG that need no script: they fit any width, print, and take their colours from the page's style.

Marks lie in an SVG of 1,000 by 1,000 units that is stretched to the place it has, with strokes that keep their width.
Labels are HTML beside it, placed by percentages, and so keep their size on a phone. A library that draws in the
browser would weigh more than the page may, and would have to draw again for dark mode and for paper.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

Tick = tuple[float, str]
SIDE = 1000
"""Units of a plot's side."""
NEAR = 0.02
"""Share of the width from its ends within which labels are moved inwards."""


@dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high`, with labelled ticks."""

    label: str
    low: float
    high: float
    ticks: Sequence[Tick] = ()

    def at(self, value: float) -> float:
        """Return where a value lies: from 0 to 1 on the axis, below or above beyond its ends, within one length."""
        return min(2.0, max(-1.0, (value - self.low) / (self.high - self.low)))

    @property
    def shown(self) -> list[Tick]:
        """Return the ticks on the axis, each by its share of the axis."""
        slack = 1e-9 * (self.high - self.low)
        return [(self.at(at), text) for at, text in self.ticks if self.low - slack <= at <= self.high + slack]


def axis(label: str, low: float, high: float, n: int = 6, whole: bool = False) -> Axis:
    """Return an axis of numbers with about `n` round ticks; whole: at whole numbers only."""
    if not high > low:
        margin = max(0.5, 1e-6 * abs(low))  # half a unit is lost beside a large number
        low, high = low - margin, low + margin
    return Axis(label, low, high, numbers(low, high, n, whole))


def names(texts: Sequence[str]) -> Axis:
    """Return an axis with a place for each text, the first one at the top."""
    return Axis("", -0.5, len(texts) - 0.5, [(len(texts) - 1 - index, text) for index, text in enumerate(texts)])


def numbers(low: float, high: float, n: int = 6, whole: bool = False) -> list[Tick]:
    """Return about `n` round numbers from `low` to `high` as ticks: multiples of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / max(1, n)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    step = max(step, 1.0) if whole else step
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(index * step, _number(index * step, places)) for index in range(first, last + 1)]


@dataclass(frozen=True)
class Parallel:
    """Parallel coordinates. axes: label and ticks by their share of the axis, from the top down.

    lines: where each crosses each axis (None: nowhere), its class of colour, what it says when it is pointed at; later
    ones lie above earlier ones.
    """

    axes: Sequence[tuple[str, Sequence[Tick]]]
    lines: Sequence[tuple[Sequence[float], str, str]]

    @property
    def html(self) -> Markup:
        """Return the axes, each across the page and so with room for its labels on a phone, and the lines, as HTML."""
        heights = [SIDE * (index + 0.5) / len(self.axes) for index in range(len(self.axes))]
        lines = Markup("").join(
            Markup('<path class="{}" d="M{}"><title>{}</title></path>').format(
                colour, "L".join(f"{_units(x)} {y:.0f}" for x, y in zip(places, heights, strict=True)), title
            )
            for places, colour, title in self.lines
        )
        grid = "".join(f"M0 {y:.0f}H{SIDE}" for y in heights)
        texts = Markup("").join(
            Markup('<div class="axis"><b>{}</b>{}</div>').format(
                label, Markup("").join(_placed(at, text) for at, text in ticks)
            )
            for label, ticks in self.axes
        )
        return Markup(
            '<div class="parallel" style="--axes:{}"><svg viewBox="0 0 {} {}" preserveAspectRatio="none" '
            'aria-hidden="true"><g class="line">{}</g><path class="axes" d="{}"/></svg>{}</div>'
        ).format(len(self.axes), SIDE, SIDE, lines, grid, texts)


def _placed(share: float, text: str) -> Markup:
    """Return a label at a share of the width, centred there; those near the ends stay within it."""
    nearest = min(max(share, 0.0), 1.0)
    by = nearest / NEAR / 2 if nearest < NEAR else 1 - (1 - nearest) / NEAR / 2 if nearest > 1 - NEAR else 0.5
    shift = "" if by == 0.5 else f";--by:{by:.2g}"
    return Markup('<span style="--at:{:.4g}{}">{}</span>').format(share, shift, text)


def _number(value: float, places: int) -> str:
    big = abs(value) >= 1e6
    text = f"{value:.3g}" if big or places > 6 else f"{value:,.{places}f}"
    return text.replace("-", "−") if float(text.replace(",", "")) else text.replace("-", "")


@dataclass
class Plot:
    """A plot that grows by marks: later ones lie above earlier ones.

    height: of the area of the marks, in pixels. legend: (kind of mark, class of colour, text). by_name: the y axis
    names things: no grid there, and room for long names.
    """

    x: Axis
    y: Axis
    height: int = 320
    by_name: bool = False
    marks: list[Markup] = field(default_factory=list)
    legend: list[tuple[str, str, str]] = field(default_factory=list)

    def dots(
        self, points: Iterable[tuple[float, float]], colour: str, titles: Sequence[str] | None = None, kind: str = "dot"
    ) -> None:
        """Add dots; titles: what each says when it is pointed at."""
        places = [f"M{self._x(x)} {self._y(y)}h0" for x, y in points]
        self._add(places, f"{kind} {colour}", titles)

    def edge(self, xs: Iterable[float], colour: str, top: bool, titles: Sequence[str]) -> None:
        """Add short lines at the upper or lower edge, for what lies beyond it."""
        places = [f"M{self._x(x)} {0 if top else SIDE}v{'' if top else '-'}26" for x in xs]
        self._add(places, f"edge {colour}", titles)

    def line(self, points: Iterable[tuple[float, float]], colour: str, kind: str = "line", title: str = "") -> None:
        """Add a line through points."""
        places = [f"{self._x(x)} {self._y(y)}" for x, y in points]
        if places:
            self._add([f"M{'L'.join(places)}"], f"{kind} {colour}", [title] if title else None)

    def bar(self, x: tuple[float, float], y: tuple[float, float], colour: str, title: str = "") -> None:
        """Add a rectangle between two values of each axis."""
        left, right, low, high = self._x(x[0]), self._x(x[1]), self._y(y[0]), self._y(y[1])
        self._add([f"M{left} {low}H{right}V{high}H{left}z"], f"bar {colour}", [title] if title else None)

    @property
    def html(self) -> Markup:
        """Return the plot as HTML."""
        rows, columns = self.y.shown, self.x.shown
        grid = [f"M{_units(place)} 0V{SIDE}" for place, _ in columns]
        grid += [] if self.by_name else [f"M0 {_units(1 - place)}H{SIDE}" for place, _ in rows]
        widest = max((len(text) for _, text in rows), default=0)
        width = f"min({widest + 1}ch, 40%)" if self.by_name else f"{max(2, widest) + 0.6:g}ch"
        legend = Markup("").join(
            Markup('<span class="key"><i class="{} {}"></i>{}</span>').format(*key) for key in self.legend
        )
        y_ticks = Markup("").join(
            Markup('<span style="bottom:{:.2f}%">{}</span>').format(100 * place, text) for place, text in rows
        )
        x_ticks = Markup("").join(_placed(place, text) for place, text in columns)
        return Markup(
            '<div class="plot" style="--height:{}px;--labels:{}"><div class="head"><span class="title">{}</span>{}'
            '</div><div class="y{}">{}</div><div class="area"><svg viewBox="0 0 {} {}" preserveAspectRatio="none" '
            'aria-hidden="true"><path class="grid" d="{}"/>{}</svg></div><div class="x">{}</div>'
            '<div class="title below">{}</div></div>'
        ).format(
            *(self.height, width, self.y.label, legend, " by-name" if self.by_name else "", y_ticks, SIDE, SIDE),
            *("".join(grid), Markup("").join(self.marks), x_ticks, self.x.label),
        )

    def _add(self, places: Sequence[str], kind: str, titles: Sequence[str] | None) -> None:
        """Add marks: one path for all, or one for each where they have titles."""
        if not places:
            return
        if titles is None:
            self.marks.append(Markup('<path class="{}" d="{}"/>').format(kind, "".join(places)))
            return
        paths = Markup("").join(
            Markup('<path d="{}"><title>{}</title></path>').format(place, escape(title))
            for place, title in zip(places, titles, strict=True)
        )
        self.marks.append(Markup('<g class="{}">{}</g>').format(kind, paths))

    def _x(self, value: float) -> str:
        return _units(self.x.at(value))

    def _y(self, value: float) -> str:
        return _units(1 - self.y.at(value))


def _units(share: float) -> str:
    return f"{SIDE * share:.1f}".removesuffix(".0")
