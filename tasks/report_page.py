"""The report's page: sections of blocks in, one HTML document out that needs nothing else. All text is escaped."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import plotly.graph_objects as go
import plotly.io
from jinja2 import Environment
from markupsafe import Markup
from plotly.offline import get_plotlyjs

Tone = Literal["plain", "good", "bad"]


@dataclass(frozen=True)
class Text:
    """A paragraph; a warning is framed."""

    text: str
    warning: bool = False
    kind: Literal["text"] = "text"


@dataclass(frozen=True)
class Card:
    """One big number."""

    label: str
    value: str
    detail: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Cards:
    """Big numbers in a row."""

    cards: Sequence[Card]
    kind: Literal["cards"] = "cards"


@dataclass(frozen=True)
class Table:
    """A table: the first column to the left, and all others too if `prose`. strong: the row to stress, if any."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    strong: int | None = None
    prose: bool = False
    kind: Literal["table"] = "table"


@dataclass(frozen=True)
class Figure:
    """A figure with a caption, under an id that is unique on the page."""

    id: str
    figure: go.Figure
    caption: str = ""
    kind: Literal["figure"] = "figure"

    @property
    def html(self) -> Markup:
        """Return the figure as HTML; plotly escapes what could end a script."""
        config = {"displaylogo": False, "displayModeBar": False, "responsive": True}
        text = plotly.io.to_html(
            self.figure, full_html=False, include_plotlyjs=False, div_id=f"figure-{self.id}", config=config
        )
        return Markup(text)


@dataclass(frozen=True)
class Pair:
    """Two blocks side by side."""

    blocks: Sequence[Figure | Table]
    kind: Literal["pair"] = "pair"


@dataclass(frozen=True)
class Fold:
    """Preformatted text behind a line to click on."""

    summary: str
    text: str
    kind: Literal["fold"] = "fold"


Block = Text | Cards | Table | Figure | Pair | Fold


@dataclass(frozen=True)
class Section:
    """A part of the page. lead: what it says in a sentence or two."""

    id: str
    title: str
    lead: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Headline:
    """The answer in words."""

    text: str
    tone: Tone = "plain"


def render(title: str, facts: Sequence[str], headline: Headline, sections: Sequence[Section]) -> str:
    """Return the page. facts: short texts under the title."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(PAGE).render(
        title=title,
        facts=facts,
        headline=headline,
        sections=sections,
        style=Markup(STYLE),
        plotly=Markup(get_plotlyjs()),
    )


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>{{ style }}</style>
<script>{{ plotly }}</script>
</head>
<body>
{% macro show(one) %}
{% if one.kind == "text" %}
<p class="{{ 'warning' if one.warning else 'text' }}">{{ one.text }}</p>
{% elif one.kind == "cards" %}
<div class="cards">
{% for card in one.cards %}
<div class="card {{ card.tone }}"><div class="label">{{ card.label }}</div>
<div class="value">{{ card.value }}</div><div class="detail">{{ card.detail }}</div></div>
{% endfor %}
</div>
{% elif one.kind == "table" %}
<div class="scroll"><table class="{{ 'prose' if one.prose else 'numbers' }}{{ ' small' if one.columns | length < 4 }}">
{% if one.caption %}<caption>{{ one.caption }}</caption>{% endif %}
<thead><tr>{% for column in one.columns %}<th scope="col">{{ column }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in one.rows %}
<tr{% if loop.index0 == one.strong %} class="strong"{% endif %}>
{%- for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody></table></div>
{% elif one.kind == "figure" %}
<figure>{{ one.html }}{% if one.caption %}<figcaption>{{ one.caption }}</figcaption>{% endif %}</figure>
{% elif one.kind == "pair" %}
<div class="pair">{% for inner in one.blocks %}<div>{{ show(inner) }}</div>{% endfor %}</div>
{% elif one.kind == "fold" %}
<details><summary>{{ one.summary }}</summary><pre>{{ one.text }}</pre></details>
{% endif %}
{% endmacro %}
<nav aria-label="Sections"><div class="brand">Hone</div>
{% for section in sections %}
<a href="#{{ section.id }}">{{ section.title }}</a>
{% endfor %}
</nav>
<main>
<header>
<h1>{{ title }}</h1>
<ul class="facts">{% for fact in facts %}<li>{{ fact }}</li>{% endfor %}</ul>
<p class="headline {{ headline.tone }}">{{ headline.text }}</p>
</header>
{% for section in sections %}
<section id="{{ section.id }}">
<h2>{{ section.title }}</h2>
{% if section.lead %}<p class="lead">{{ section.lead }}</p>{% endif %}
{% for one in section.blocks %}
{{ show(one) }}
{% endfor %}
</section>
{% endfor %}
</main>
</body>
</html>
"""

STYLE = """
:root { --ink: #1e293b; --soft: #5b6b80; --line: #e3e8ee; --paper: #ffffff; --ground: #f4f6f8; --accent: #0f766e;
  --good: #0f766e; --bad: #b42318; --font: Inter, 'Segoe UI', system-ui, -apple-system, 'Helvetica Neue', Arial,
  sans-serif; --mono: ui-monospace, 'SF Mono', 'Cascadia Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace; }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
body { margin: 0; display: grid; grid-template-columns: 208px minmax(0, 1fr); background: var(--ground);
  color: var(--ink); font: 15px/1.55 var(--font); }
nav { position: sticky; top: 0; height: 100vh; padding: 26px 14px; background: var(--paper);
  border-right: 1px solid var(--line); overflow-y: auto; }
nav .brand { margin: 0 10px 18px; font-weight: 700; letter-spacing: .01em; color: var(--accent); font-size: 18px; }
nav a { display: block; padding: 6px 10px; border-radius: 6px; color: var(--soft); text-decoration: none;
  font-size: 13.5px; }
nav a:hover, nav a:focus-visible { background: var(--ground); color: var(--ink); }
main { width: 100%; max-width: 1120px; margin: 0 auto; padding: 34px 36px 80px; }
h1 { margin: 0 0 8px; font-size: 27px; line-height: 1.25; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { margin: 0 0 6px; font-size: 19px; line-height: 1.3; letter-spacing: -.005em; }
.facts { display: flex; flex-wrap: wrap; gap: 4px 0; margin: 0 0 18px; padding: 0; list-style: none;
  color: var(--soft); font-size: 13.5px; }
.facts li { overflow-wrap: anywhere; }
.facts li + li::before { content: '·'; margin: 0 9px; color: #a9b4c2; }
.headline { margin: 0 0 22px; padding: 16px 20px; background: #e9edf2; border-left: 4px solid #64748b;
  border-radius: 0 8px 8px 0; font-size: 18px; line-height: 1.45; }
.headline.good { background: #e6f3f1; border-color: var(--good); }
.headline.bad { background: #fbebe9; border-color: var(--bad); }
section { margin: 0 0 22px; padding: 24px 28px; background: var(--paper); border: 1px solid var(--line);
  border-radius: 10px; scroll-margin-top: 14px; }
.lead { margin: 0 0 16px; max-width: 96ch; color: var(--soft); }
.text { margin: 12px 0; max-width: 96ch; }
.warning { margin: 12px 0; padding: 9px 14px; background: #fef6e7; border-left: 3px solid #d98a0b;
  border-radius: 0 6px 6px 0; max-width: 104ch; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)); gap: 14px; margin: 4px 0 18px; }
.card { padding: 14px 18px; border: 1px solid var(--line); border-radius: 8px; background: #fbfcfd; }
.card .label { color: var(--soft); font-size: 12.5px; }
.card .value { margin: 2px 0; font-size: 27px; font-weight: 650; letter-spacing: -.015em;
  font-variant-numeric: tabular-nums; }
.card .detail { color: var(--soft); font-size: 12.5px; font-variant-numeric: tabular-nums; }
.card.good .value { color: var(--good); }
.card.bad .value { color: var(--bad); }
.scroll { overflow-x: auto; margin: 14px 0; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 0 0 6px; color: var(--soft); font-size: 13px; }
th { padding: 7px 12px; border-bottom: 1.5px solid #cfd7e1; color: var(--soft); font-weight: 600; font-size: 12.5px;
  text-align: left; white-space: nowrap; }
td { padding: 6.5px 12px; border-bottom: 1px solid var(--line); vertical-align: top; }
tbody tr:last-child td { border-bottom: 0; }
.numbers td:not(:first-child), .numbers th:not(:first-child) { text-align: right; white-space: nowrap; }
table.small { width: auto; min-width: 460px; }
.prose td { overflow-wrap: anywhere; }
.prose td:first-child { white-space: nowrap; }
tr.strong td { font-weight: 650; background: #f1f8f7; }
figure { margin: 14px 0 4px; }
figcaption { margin-top: 4px; color: var(--soft); font-size: 13px; max-width: 104ch; }
.pair { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 26px; }
details { margin: 12px 0; }
summary { cursor: pointer; color: var(--accent); font-size: 13.5px; }
pre { margin: 10px 0 0; padding: 14px 16px; background: var(--ground); border-radius: 8px; overflow-x: auto;
  font: 12.5px/1.5 var(--mono); }
@media (max-width: 980px) { body { display: block; } nav { display: none; } .pair { grid-template-columns: 1fr; }
  main { padding: 22px 16px 60px; } section { padding: 18px; } }
@media print { nav { display: none; } body { display: block; background: white; }
  section { break-inside: avoid; border: 0; padding: 0; } }
"""
