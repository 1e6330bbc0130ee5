"""The report's page: sections of blocks in, one HTML document out that needs nothing else. All text is escaped.

Beside it may lie ``run.js``, which says of one run what is no function of its inputs: commit, dates and seconds.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from jinja2 import Environment
from markupsafe import Markup, escape

Tone = Literal["plain", "good", "bad"]
Scalar = str | int | float | None
RUN = "run.js"
RUN_NAME = "honeRun"


class Drawn(Protocol):
    """What can be shown as HTML."""

    @property
    def html(self) -> Markup:
        """Return HTML in which all text is escaped."""
        ...


@dataclass(frozen=True)
class Text:
    """A paragraph; a warning is framed and says that it is one."""

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
    """A figure of one or more plots with a caption, under an id that is unique on the page."""

    id: str
    plots: Sequence[Drawn]
    caption: str = ""
    kind: Literal["figure"] = "figure"


@dataclass(frozen=True)
class Matrix:
    """A square of counts: actual labels down, predicted ones across. shares: of each row's sum, for the shade."""

    id: str
    labels: Sequence[str]
    counts: Sequence[Sequence[int]]
    shares: Sequence[Sequence[float]]
    caption: str = ""
    kind: Literal["matrix"] = "matrix"


@dataclass(frozen=True)
class Pair:
    """Two blocks side by side, where there is room."""

    blocks: Sequence[Figure | Table | Matrix]
    kind: Literal["pair"] = "pair"


@dataclass(frozen=True)
class Sortable:
    """A long table that the browser shows by pages, sorts by a column, and saves as CSV. note: what it is of."""

    id: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Scalar]]
    note: str = ""
    kind: Literal["sortable"] = "sortable"

    @property
    def data(self) -> Markup:
        """Return columns and rows as JSON that nothing in it can end."""
        content = json.dumps({"columns": self.columns, "rows": self.rows}, ensure_ascii=False, separators=(",", ":"))
        return Markup(re.sub(r"[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", content))


@dataclass(frozen=True)
class Recorded:
    """What `run.js` says, if it lies beside the page and is of the same results. made_of: marks the results."""

    made_of: str
    kind: Literal["recorded"] = "recorded"


@dataclass(frozen=True)
class Fold:
    """Preformatted text behind a line to click on."""

    summary: str
    text: str
    kind: Literal["fold"] = "fold"


Block = Text | Cards | Table | Figure | Matrix | Pair | Sortable | Recorded | Fold


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
    warning: bool = False


def render(title: str, facts: Sequence[str], headline: Headline, sections: Sequence[Section]) -> str:
    """Return the page. facts: short texts under the title."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["interval"] = _interval
    return environment.from_string(PAGE).render(
        title=title, facts=facts, headline=headline, sections=sections, style=Markup(STYLE), script=Markup(SCRIPT)
    )


def made_of(hashes: Mapping[str, str]) -> str:
    """Return a mark of the results with these hashes."""
    return hashlib.sha256(json.dumps(dict(hashes), sort_keys=True).encode()).hexdigest()


def read_mark(page: str) -> str | None:
    """Return the mark of the results that a page shows; None if it has none."""
    found = re.search(r'data-made-of="([0-9a-f]{64})"', page)
    return None if found is None else found[1]


def run_script(content: Mapping[str, object]) -> str:
    """Return what `run.js` holds: a value that the page's script reads."""
    return f"window.{RUN_NAME} = {json.dumps(content, sort_keys=True)};\n"


def _interval(cell: str) -> Markup:
    """Return a cell with what is in brackets at its end in small print, which is not broken across lines."""
    found = re.fullmatch(r"([^\[]*) (\[[^\]]*\]|\([^)]*\))", cell)
    return escape(cell) if found is None else Markup("{} <small>{}</small>").format(found[1], found[2])


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ title }}</title>
<style>{{ style }}</style>
</head>
<body>
{% macro show(one) %}
{% if one.kind == "text" %}
<p class="{{ 'warning' if one.warning else 'text' }}">
{%- if one.warning %}<strong class="mark">Warning</strong> {% endif %}{{ one.text }}</p>
{% elif one.kind == "cards" %}
<div class="cards">
{% for card in one.cards %}
<div class="card {{ card.tone }}"><div class="label">{{ card.label }}</div>
<div class="value">{{ card.value }}</div><div class="detail">{{ card.detail }}</div></div>
{% endfor %}
</div>
{% elif one.kind == "table" %}
{% if one.caption %}<p class="caption">{{ one.caption }}</p>{% endif %}
<div class="scroll"><table class="{{ 'prose' if one.prose else 'numbers' }}{{ ' small' if one.columns | length < 4 }}">
<thead><tr>{% for column in one.columns %}<th scope="col">{{ column }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in one.rows %}
<tr{% if loop.index0 == one.strong %} class="strong"{% endif %}>
{%- for cell in row %}<td>{{ cell | interval if not one.prose else cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody></table></div>
{% elif one.kind == "figure" %}
<figure id="figure-{{ one.id }}"{% if one.plots | length > 1 %} class="grid"{% endif %}>
{%- for plot in one.plots %}{{ plot.html }}{% endfor %}
{% if one.caption %}<figcaption>{{ one.caption }}</figcaption>{% endif %}</figure>
{% elif one.kind == "matrix" %}
<figure id="figure-{{ one.id }}"><div class="scroll"><table class="matrix{{ ' few' if one.labels | length < 5 }}">
<thead><tr><td></td><th colspan="{{ one.labels | length }}">predicted</th></tr>
<tr><th>actual</th>{% for text in one.labels %}<th scope="col">{{ text }}</th>{% endfor %}</tr></thead>
<tbody>
{% for text in one.labels %}
{% set row = loop.index0 %}
<tr><th scope="row">{{ text }}</th>
{%- for count in one.counts[row] %}<td style="--share:{{ '%.3f' | format(one.shares[row][loop.index0]) }}"
{%- if one.shares[row][loop.index0] > 0.55 %} class="full"{% endif %}>{{ count }}</td>{% endfor %}</tr>
{% endfor %}
</tbody></table></div>
{% if one.caption %}<figcaption>{{ one.caption }}</figcaption>{% endif %}</figure>
{% elif one.kind == "pair" %}
<div class="pair">{% for inner in one.blocks %}<div>{{ show(inner) }}</div>{% endfor %}</div>
{% elif one.kind == "sortable" %}
<div class="sortable" id="{{ one.id }}">
<script type="application/json">{{ one.data }}</script>
<p class="tools"><span class="note">{{ one.note }}</span>
<span class="pages"><button type="button" class="back">Previous</button><span class="place"></span>
<button type="button" class="next">Next</button></span>
<button type="button" class="save">Save as CSV</button></p>
<div class="scroll"><table class="data"><thead><tr>
{%- for column in one.columns %}<th scope="col"><button type="button">{{ column }}</button></th>{% endfor %}
</tr></thead>
<tbody></tbody></table></div>
</div>
{% elif one.kind == "recorded" %}
<div class="recorded" data-made-of="{{ one.made_of }}"><div class="scroll">Not recorded here. Where a run writes this
page, it writes run.js beside it, with the time and the commit of each stage.</div></div>
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
<p class="headline {{ headline.tone }}">
{%- if headline.warning %}<strong class="mark">Warning</strong> {% endif %}{{ headline.text }}</p>
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
<script src="run.js"></script>
<script>{{ script }}</script>
</body>
</html>
"""

SCRIPT = """
'use strict';
const PAGE_ROWS = 50;

function text(value) {
  if (value === null) return '';
  return typeof value === 'number' && !Number.isInteger(value) ? String(Number(value.toPrecision(4))) : String(value);
}

function compare(a, b) {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  if (typeof a !== typeof b) return typeof a === 'number' ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}

for (const box of document.querySelectorAll('.sortable')) {
  const { columns, rows } = JSON.parse(box.querySelector('script').textContent);
  const body = box.querySelector('tbody');
  const heads = [...box.querySelectorAll('th')];
  const pages = Math.max(1, Math.ceil(rows.length / PAGE_ROWS));
  let page = 0, sorted = -1, way = 1;

  function show() {
    body.replaceChildren(...rows.slice(page * PAGE_ROWS, (page + 1) * PAGE_ROWS).map((row) => {
      const line = document.createElement('tr');
      for (const value of row) line.insertCell().textContent = text(value);
      return line;
    }));
    box.querySelector('.place').textContent = ` ${page + 1} of ${pages} `;
    box.querySelector('.back').disabled = page === 0;
    box.querySelector('.next').disabled = page === pages - 1;
  }

  heads.forEach((head, index) => head.firstElementChild.addEventListener('click', () => {
    way = sorted === index ? -way : 1;
    sorted = index;
    // What is missing stands last, whichever way.
    rows.sort((a, b) => a[index] === null || b[index] === null
      ? (a[index] === null) - (b[index] === null) : way * compare(a[index], b[index]));
    heads.forEach((each) => each.removeAttribute('aria-sort'));
    head.setAttribute('aria-sort', way > 0 ? 'ascending' : 'descending');
    page = 0;
    show();
  }));
  box.querySelector('.back').addEventListener('click', () => { page -= 1; show(); });
  box.querySelector('.next').addEventListener('click', () => { page += 1; show(); });
  box.querySelector('.pages').hidden = pages === 1;
  box.querySelector('.save').addEventListener('click', () => {
    const quoted = (value) => value === null ? '' : typeof value === 'number' ? value
      : `"${value.replaceAll('"', '""')}"`;
    const lines = [columns, ...rows].map((row) => row.map(quoted).join(','));
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([lines.join('\\n') + '\\n'], { type: 'text/csv' }));
    link.download = `${box.id}.csv`;
    link.click();
    URL.revokeObjectURL(link.href);
  });
  show();
}

for (const box of document.querySelectorAll('.recorded')) {
  const run = window.honeRun;
  if (!run || run.made_of !== box.dataset.madeOf || !run.stages.length) continue;
  const table = document.createElement('table');
  table.className = 'numbers';
  const add = (cells, kind) => {
    const line = (kind === 'th' ? table.createTHead() : table.tBodies[0]).insertRow();
    for (const value of cells) line.appendChild(document.createElement(kind)).textContent = value;
  };
  add(['stage', 'seconds', 'ended (UTC)', 'commit'], 'th');
  table.createTBody();
  for (const [name, seconds, ended, commit] of run.stages) add([name, seconds.toFixed(1), ended, commit], 'td');
  add(['together', run.stages.reduce((sum, [, seconds]) => sum + seconds, 0).toFixed(1), '', ''], 'td');
  box.firstElementChild.replaceChildren(table);
}
"""

STYLE = """
:root { color-scheme: light; --ink: #1e293b; --soft: #566579; --line: #e3e8ee; --rule: #c3ccd8; --paper: #ffffff;
  --ground: #f4f6f8; --tint: #f1f8f7; --accent: #0f766e; --good: #0f766e; --bad: #b42318; --plain-back: #e9edf2;
  --good-back: #e6f3f1; --bad-back: #fbebe9; --warn: #b45309; --warn-back: #fef6e7; --shade: 15 118 110;
  --random: #7488a6; --bayes: #d97f0f; --hyperband: #1f5fa8; --defaults: #8795a8; --pale: #8cc7c0;
  --r0: #e5e9ef; --r1: #cfe0e2; --r2: #9ecfc9; --r3: #4fa59b; --r4: #0b5c56;
  --s0: #0f766e; --s1: #1f5fa8; --s2: #e08a1e; --s3: #b4436c; --s4: #6d5bd0; --s5: #5b8c2a; --s6: #a16207;
  --s7: #0891b2; --s8: #c2410c; --s9: #64748b;
  --font: Inter, 'Segoe UI', system-ui, -apple-system, 'Helvetica Neue', Arial, sans-serif;
  --mono: ui-monospace, 'SF Mono', 'Cascadia Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace; }
@media screen and (prefers-color-scheme: dark) { :root { color-scheme: dark; --ink: #e2e8f0; --soft: #9fb0c3;
  --line: #2a3646; --rule: #45546a; --paper: #16202d; --ground: #0e1621; --tint: #14302f; --accent: #4fd1c1;
  --good: #4fd1c1; --bad: #fb8b80; --plain-back: #1f2b3a; --good-back: #12312f; --bad-back: #3a1d1d; --warn: #f5b14c;
  --warn-back: #33270f; --shade: 45 190 172; --random: #93a7c4; --bayes: #f0a44a; --hyperband: #6fb0f5;
  --defaults: #8b9bb0; --pale: #2f7d76; --r0: #253140; --r1: #26444a; --r2: #2f6f6b; --r3: #3fa597; --r4: #7af0de;
  --s0: #4fd1c1; --s1: #6fb0f5; --s2: #f0a44a; --s3: #f08bb0; --s4: #a99cf5; --s5: #9bd062; --s6: #d9a94a;
  --s7: #4cc9e6; --s8: #f58b5e; --s9: #a5b4c8; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
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
.facts li + li::before { content: '·'; margin: 0 9px; color: var(--rule); }
.headline { margin: 0 0 22px; padding: 16px 20px; background: var(--plain-back); border-left: 4px solid var(--soft);
  border-radius: 0 8px 8px 0; font-size: 18px; line-height: 1.45; overflow-wrap: break-word; }
.headline.good { background: var(--good-back); border-color: var(--good); }
.headline.bad { background: var(--bad-back); border-color: var(--bad); }
.mark { margin-right: 4px; padding: 1px 7px; border-radius: 4px; background: var(--warn); color: var(--paper);
  font-size: 12px; font-weight: 650; letter-spacing: .02em; vertical-align: 1px; }
.headline .mark { background: var(--bad); font-size: 13px; }
section { margin: 0 0 22px; padding: 24px 28px; background: var(--paper); border: 1px solid var(--line);
  border-radius: 10px; scroll-margin-top: 14px; }
.lead { margin: 0 0 16px; max-width: 96ch; color: var(--soft); }
.text { margin: 12px 0; max-width: 96ch; }
.lead, .text, .warning, figcaption, .caption { overflow-wrap: break-word; }
.warning { margin: 12px 0; padding: 9px 14px; background: var(--warn-back); border-left: 3px solid var(--warn);
  border-radius: 0 6px 6px 0; max-width: 104ch; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)); gap: 14px; margin: 4px 0 18px; }
.card { padding: 14px 18px; border: 1px solid var(--line); border-radius: 8px; background: var(--paper); }
.card .label { color: var(--soft); font-size: 12.5px; }
.card .value { margin: 2px 0; font-size: 27px; font-weight: 650; letter-spacing: -.015em;
  font-variant-numeric: tabular-nums; }
.card .detail { color: var(--soft); font-size: 12.5px; font-variant-numeric: tabular-nums; }
.card.good .value { color: var(--good); }
.card.bad .value { color: var(--bad); }
.scroll { overflow-x: auto; margin: 14px 0; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
.caption { margin: 16px 0 -8px; max-width: 104ch; color: var(--soft); font-size: 13px; }
small { color: var(--soft); font-size: 12px; font-weight: 400; white-space: nowrap; }
th { padding: 7px 12px; border-bottom: 1.5px solid var(--rule); color: var(--soft); font-weight: 600;
  font-size: 12.5px; text-align: left; white-space: nowrap; }
td { padding: 6.5px 12px; border-bottom: 1px solid var(--line); vertical-align: top; }
tbody tr:last-child td { border-bottom: 0; }
.numbers td:not(:first-child), .numbers th:not(:first-child) { text-align: right; white-space: nowrap; }
table.small { width: auto; min-width: min(460px, 100%); }
.prose td { min-width: 9ch; overflow-wrap: break-word; }
.prose td:first-child { white-space: nowrap; }
tr.strong td { font-weight: 650; background: var(--tint); }
.data td, .data th { white-space: nowrap; padding: 5px 10px; }
.data th { position: sticky; top: 0; background: var(--paper); }
.sortable .scroll { max-height: 560px; overflow: auto; }
.data th button { all: unset; cursor: pointer; }
.data th button:hover, .data th[aria-sort] { color: var(--ink); }
.data th button:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.data th[aria-sort=ascending] button::after { content: ' ↑'; }
.data th[aria-sort=descending] button::after { content: ' ↓'; }
.tools { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 16px; margin: 10px 0 0; color: var(--soft);
  font-size: 13px; }
.tools .note { flex: 1 1 30ch; }
.tools button { padding: 4px 11px; border: 1px solid var(--rule); border-radius: 6px; background: var(--paper);
  color: var(--ink); font: inherit; cursor: pointer; }
.tools button:disabled { opacity: .45; cursor: default; }
.matrix { width: auto; margin: 0; border-collapse: separate; border-spacing: 2px; }
.matrix td, .matrix th { border: 0; padding: 6px 8px; text-align: center; font-size: 13px; max-width: 17ch;
  overflow: hidden; text-overflow: ellipsis; }
.matrix tbody th { text-align: right; }
.matrix tbody td { min-width: 36px; border-radius: 4px;
  background: rgb(var(--shade) / calc(.04 + .92 * var(--share))); }
.matrix.few tbody td { min-width: 74px; padding: 16px 10px; } .matrix.few tbody th { vertical-align: middle; }
.matrix td.full { color: var(--paper); font-weight: 600; }
figure { margin: 14px 0 4px; }
figcaption { margin-top: 8px; color: var(--soft); font-size: 13px; max-width: 104ch; }
figure.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(205px, 100%), 1fr)); gap: 18px 22px; }
figure.grid figcaption { grid-column: 1 / -1; margin-top: 0; }
.pair { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 26px; }
.plot { display: grid; grid-template-columns: minmax(0, var(--labels)) minmax(0, 1fr);
  grid-template-rows: auto var(--height) auto auto; column-gap: 7px; color: var(--soft); font-size: 12px;
  line-height: 1.25; font-variant-numeric: tabular-nums; }
.head { grid-column: 1 / -1; display: flex; flex-wrap: wrap; gap: 3px 14px; margin-bottom: 9px; }
.title { color: var(--ink); overflow-wrap: anywhere; }
.title.below { grid-column: 2; text-align: center; margin-top: 3px; }
.head .title:empty { display: none; }
.head .title { margin-right: auto; }
.key { display: inline-flex; align-items: center; gap: 6px; }
.key i { display: inline-block; flex: none; background: var(--c); }
i.dot { width: 8px; height: 8px; border-radius: 4px; }
i.line { width: 16px; height: 2.5px; border-radius: 1px; }
.y { position: relative; }
.y span { position: absolute; right: 0; transform: translateY(50%); white-space: nowrap; }
.y.by-name span { max-width: 100%; white-space: normal; text-align: right; overflow-wrap: anywhere; }
.x { grid-column: 2; position: relative; height: 19px; }
.x span, .axis span { position: absolute; left: calc(100% * var(--at));
  transform: translateX(calc(-100% * var(--by, .5)));
  white-space: nowrap; }
.x span { top: 4px; }
.area { min-width: 0; border-left: 1px solid var(--rule); border-bottom: 1px solid var(--rule); }
.area svg { display: block; width: 100%; height: 100%; }
svg path { vector-effect: non-scaling-stroke; fill: none; stroke: var(--c); stroke-linecap: round;
  stroke-linejoin: round; }
svg .grid { stroke: var(--line); stroke-width: 1px; }
svg .dot path, svg path.dot { stroke-width: 7px; opacity: .75; }
svg .big path { stroke-width: 12px; }
svg path.small { stroke-width: 5px; opacity: .6; }
svg .edge path { stroke-width: 3px; stroke-linecap: butt; opacity: .8; }
svg path.line, svg .line path { stroke-width: 2.2px; }
svg path.thin, svg .thin path { stroke-width: 1.5px; }
svg path.best { stroke-width: 2px; }
svg path.dashed, svg .dashed path { stroke-width: 2.2px; stroke-dasharray: 7 5; }
svg path.dotted { stroke-width: 1.2px; stroke-dasharray: 1 5; }
svg .bar path, svg path.bar { fill: var(--c); stroke: none; }
.parallel { position: relative; display: grid; grid-auto-rows: 62px; color: var(--soft); font-size: 12px;
  font-variant-numeric: tabular-nums; }
.parallel svg { position: absolute; inset: 0; width: 100%; height: 100%; }
.parallel .line path { stroke-width: 1.3px; opacity: .7; }
.parallel .line path:hover { stroke-width: 4px; opacity: 1; stroke: var(--bayes); }
.parallel .axes { stroke: var(--rule); stroke-width: 1.2px; }
.axis { position: relative; pointer-events: none; }
.axis b { position: absolute; left: 0; top: 8px; color: var(--ink); font-weight: 600; }
.axis b, .axis span { padding: 0 3px; border-radius: 3px;
  background: color-mix(in srgb, var(--paper) 78%, transparent); }
.axis span { top: 33px; }
.c-random { --c: var(--random); } .c-bayes { --c: var(--bayes); } .c-hyperband { --c: var(--hyperband); }
.c-tuned { --c: var(--accent); } .c-defaults { --c: var(--defaults); } .c-ink { --c: var(--ink); }
.c-soft { --c: var(--soft); } .c-pale { --c: var(--pale); }
.r0 { --c: var(--r0); } .r1 { --c: var(--r1); } .r2 { --c: var(--r2); } .r3 { --c: var(--r3); } .r4 { --c: var(--r4); }
.s0 { --c: var(--s0); } .s1 { --c: var(--s1); } .s2 { --c: var(--s2); } .s3 { --c: var(--s3); } .s4 { --c: var(--s4); }
.s5 { --c: var(--s5); } .s6 { --c: var(--s6); } .s7 { --c: var(--s7); } .s8 { --c: var(--s8); } .s9 { --c: var(--s9); }
details { margin: 12px 0; }
summary { cursor: pointer; color: var(--accent); font-size: 13.5px; }
pre { margin: 10px 0 0; padding: 14px 16px; background: var(--ground); border-radius: 8px; overflow-x: auto;
  font: 12.5px/1.5 var(--mono); }
@media (max-width: 980px) { body { display: block; } nav { display: none; }
  .pair { grid-template-columns: minmax(0, 1fr); }
  main { padding: 22px 16px 60px; } section { padding: 18px; } }
@media (max-width: 600px) { main { padding: 16px 10px 40px; } section { padding: 15px 13px; } h1 { font-size: 22px; }
  .headline { padding: 13px 15px; font-size: 16.5px; } .card .value { font-size: 24px; }
  .cards { grid-template-columns: repeat(auto-fit, minmax(138px, 1fr)); gap: 9px; } .card { padding: 11px 13px; }
  .facts li { flex: 1 1 100%; } .facts li + li::before { display: none; }
  td, th { padding-left: 4px; padding-right: 4px; } td small { font-size: 11px; white-space: normal; }
  .parallel .axis span { font-size: 11px; }
  .y.by-name ~ .x span:nth-child(even) { display: none; } .numbers td:not(:first-child) { white-space: normal; }
  .prose td:first-child { white-space: normal; } .prose td:nth-child(4):last-child { min-width: 22ch; } }
@page { size: A4; margin: 14mm 13mm; }
@media print { * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  html { font-size: 13px; } body { display: block; background: white; font-size: 13px; }
  nav, details, .sortable, #trials { display: none; } main { max-width: none; padding: 0 8px; }
  section { padding: 0; border: 0; margin: 0 0 20px; } p { orphans: 3; widows: 3; }
  .cards { grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 10px; }
  figure.grid { grid-template-columns: repeat(2, minmax(0, 1fr)); } .card { padding: 9px 11px; }
  .matrix td, .matrix th { padding: 3px 4px; font-size: 11px; } .matrix tbody td { min-width: 24px; }
  .pair { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  h2, .lead, .caption, thead { break-after: avoid; } figure, .plot, .parallel, .cards, .card, tr, .lead,
  .warning, .headline, .pair { break-inside: avoid; } figure { margin-bottom: 10px; }
  .scroll { overflow: visible; } table { font-size: 11.5px; } td, th { padding: 4px 7px; }
  .prose td, .prose th { min-width: 10.5ch; padding: 4px 5px; font-size: 10.5px; overflow-wrap: anywhere; }
  .prose th:first-child { min-width: 15.5ch; }
  th, .numbers td:not(:first-child), .numbers th:not(:first-child), .prose td:first-child { white-space: normal; }
  .card .value { font-size: 21px; }
  .parallel { grid-auto-rows: 52px; } .axis b { top: 3px; } .axis span { top: 28px; } }
"""
