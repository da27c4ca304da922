"""The page: one file that needs no other and no network; without script all but the explorer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import xarray as xr

from mtljobs.errors import counted
from mtljobs.ledger.paths import RunFolder
from mtljobs.report.document import html_document
from mtljobs.report.explorer import explorer
from mtljobs.report.exploring import pack_run
from mtljobs.report.figures import Drawing, Drawings
from mtljobs.report.markup import Markup, details, element, join, picture, table
from mtljobs.report.provenance import departures_table, provenance_table, settings_table
from mtljobs.report.timeline import timeline
from mtljobs.results import Tables
from mtljobs.results.sheets import (
    TESTS_LEGEND,
    Sheet,
    aoc_sheet,
    experiment_sheets,
    experiments,
    gaps,
)
from mtljobs.settings.tasks import SCORES

PAGE_LIMIT = 19_000_000
"""Bytes that the page has without its attempts, unless its figures alone have more."""


def render_page(folder: RunFolder, run: xr.DataTree, tables: Tables, drawings: Drawings) -> str:
    """The whole page as HTML."""
    sections = {
        "Faithfulness": _faithfulness(tables, drawings),
        "Comparisons": _comparisons(tables),
        "Explorer": Markup(),
        "Performance": _performance(tables, drawings),
        "Curves": _curves(drawings),
        "Saliency maps": _saliency(drawings),
        "Items": _items(tables),
        "What was run": _settings(run),
        "Attempts": Markup(),
        "Provenance": _provenance(folder, run),
    }
    room = PAGE_LIMIT - sum(map(len, sections.values()))
    sections["Explorer"] = explorer(pack_run(run, limit=room))
    sections["Attempts"] = timeline(folder)  # last, as nothing else may depend on times
    body = join(
        [
            _header(run, tables, list(sections)),
            *(
                element("section", element("h2", title), content, attributes={"id": _anchor(title)})
                for title, content in sections.items()
            ),
        ],
        "\n",
    )
    return html_document(f"{folder.name} - mtljobs report", body)


def _header(run: xr.DataTree, tables: Tables, titles: Sequence[str]) -> Markup:
    items = sum(sum(row.counts.values()) for row in tables.averages)
    averaged = sum(row.items for row in tables.averages)
    cells = {(row.experiment, row.sparsity, row.seed) for row in tables.performance}
    done = f"{len(cells) - len(tables.unevaluated)} of " if tables.unevaluated else ""
    facts = (
        f"{counted(len(run.children), 'experiment')}, {done}{counted(len(cells), 'network')}, "
        f"{averaged:,} of {items:,} items with a curve"
    )
    links = [element("a", title, attributes={"href": f"#{_anchor(title)}"}) for title in titles]
    return element(
        "header",
        element("p", "Do explanations stay faithful when networks are pruned?",
                attributes={"class": "kicker"}),
        element("h1", str(run.name)),
        element("p", facts, attributes={"class": "facts"}),
        _warning(tables),
        element("nav", *links),
    )  # fmt: skip


def _warning(tables: Tables) -> str:
    if not tables.partial:
        return ""
    cells = dict.fromkeys((*tables.missing, *tables.unevaluated))
    places = [
        f"{experiment} at sparsity {sparsity:g}, seed {seed}"
        for experiment, sparsity, seed in list(cells)[:8]
    ]
    more = f"; and {counted(len(cells) - 8, 'more cell')}" if len(cells) > 8 else ""
    return element(
        "p",
        element("strong", "This run is not complete. "),
        f"Everything below is without {gaps(tables)}: {'; '.join(places)}{more}.",
        attributes={"class": "warning"},
    )


def _faithfulness(tables: Tables, drawings: Drawings) -> Markup:
    return join(
        [
            _text(
                "AOC is the area over the curve of the experiment's faithfulness measure (its "
                "settings name it): parts of the image are overwritten one after the other, the "
                "most salient first, and a score of the prediction is followed, which is 1 on the "
                "clean image. IROF greys out superpixels, pixel flipping overwrites single "
                "pixels, region perturbation squares. 0 means that nothing is lost; the sooner the "
                "score falls, the closer to 1, and the more faithful the explanation. Areas of "
                "different measures or tasks do not compare."
            ),
            _picture(drawings.faithfulness),
            _scores(tables),
            *_per_experiment(tables, "aoc"),
            _note(
                "Mean over all items (image and group) of all seeds with status ok; in brackets "
                "the 95 % percentile bootstrap interval over images, n items; ± standard deviation "
                "over seeds of their means."
            ),
            element("h3", "Per group"),
            *_per_group(tables, drawings),
        ]
    )


def _scores(tables: Tables) -> Markup:
    """What is followed in each of the run's tasks."""
    tasks = dict.fromkeys(row.task for row in tables.averages)
    said = [f"{task}: {SCORES[task]}" for task in tasks if task in SCORES]
    return _text(f"The score of {'; of '.join(said)}.") if said else Markup()


def _comparisons(tables: Tables) -> Markup:
    return join(
        [
            _text(TESTS_LEGEND),
            *_per_experiment(
                tables,
                "comparisons",
                "declines",
                "correlations",
                otherwise="Nothing to compare with: it has no network of sparsity 0.",
            ),
        ]
    )


def _performance(tables: Tables, drawings: Drawings) -> Markup:
    return join(
        [
            _picture(drawings.performance),
            *_per_experiment(tables, "performance"),
            _note(
                "Pooled over the whole test split; mean ± standard deviation over seeds. The "
                "constant predictor is the best prediction that ignores the image, from the "
                "training split; † marks networks that are no better: their explanations say "
                "little, faithful or not."
            ),
            *_pictures(drawings.layers, otherwise="The store holds no sparsity per layer yet."),
        ]
    )


def _curves(drawings: Drawings) -> Markup:
    reason = (
        "No image to show step by step: that takes a preview (explain.previews = 0, or the data "
        "set's licence does not allow copies), a measure that removes superpixels, and a curve "
        "that is there."
    )
    return join([_picture(drawings.curves), *_pictures(drawings.steps, otherwise=reason)])


def _saliency(drawings: Drawings) -> Markup:
    if not drawings.saliency:
        return _text(
            "Nothing to show: the store holds no preview images to lay maps over "
            "(explain.previews = 0, or the data set's licence does not allow copies), or no maps "
            '(explain.maps = "scores", where the measure does not score superpixels).'
        )
    rule = (
        "The preview image with most maps, the groups that most networks have a map of, "
        "sparsities from the lowest to the highest, networks of the first seed: chosen by rule, "
        "not by look. Each map is divided by its own maximum, so colours do not compare between "
        "maps."
    )
    return join([_text(rule), *map(_picture, drawings.saliency)])


def _items(tables: Tables) -> Markup:
    return join(
        [
            _text(
                "An item is one image and one group (a class, a depth bin, an octant) of one "
                "network. Averages are over items with status ok; those with another status are "
                "counted here, by cause."
            ),
            *_per_experiment(tables, "counts", otherwise="Every item has a curve."),
        ]
    )


def _settings(run: xr.DataTree) -> Markup:
    return join(
        [
            settings_table(run),
            element("h3", "Not at their defaults"),
            departures_table(run),
            _note(
                "Settings that a grid must name have no default and are not listed here. What a "
                'default leaves open (none, "auto", a layer by its role) stands as the plan '
                "resolved it. Defaults are those of the mtljobs that wrote this page."
            ),
        ]
    )


def _provenance(folder: RunFolder, run: xr.DataTree) -> Markup:
    return join(
        [
            _text(
                "Every array in the store comes from a shard whose record lists the sha256 of "
                "each of its files. The sha256 of the records behind the tables are in "
                "tables/records.json. Commit, lock and stack are the labels of the image that a "
                "record was computed in, and there are none outside an image; in one of the stack "
                "host, packages are not those of the lock but bound in."
            ),
            provenance_table(folder, run),
        ]
    )


def _per_experiment(tables: Tables, *kinds: str, otherwise: str = "") -> Iterator[Markup]:
    """The sheets of these kinds that have rows, by experiment, and why the first has none."""
    for experiment in experiments(tables):
        sheets = experiment_sheets(tables, experiment)
        yield element("h3", experiment)
        if not sheets[kinds[0]].body:
            yield _note(otherwise)
        yield from (_sheet_table(sheets[kind]) for kind in kinds if sheets[kind].body)


def _per_group(tables: Tables, drawings: Drawings) -> Iterator[Markup]:
    places = groupby(tables.groups, lambda row: (row.experiment, row.task))
    for ((experiment, task), rows), drawing in zip(places, drawings.groups, strict=True):
        sheet = aoc_sheet(list(rows), label=lambda row: str(row.group))
        yield details(f"{experiment}: {task}", _picture(drawing), _sheet_table(sheet))


def _sheet_table(sheet: Sheet) -> Markup:
    body = [[row[0], *map(_number, row[1:])] for row in sheet.body]
    return table(sheet.header, body, kind="numbers")


def _number(cell: str) -> Markup:
    """The number itself, and smaller what qualifies it."""
    value, _, rest = cell.partition(" ")
    if not rest or rest.startswith("%"):
        return join([cell])
    return join([value, element("small", f" {rest}")])


def _picture(drawing: Drawing) -> Markup:
    return picture(
        drawing.shown,
        kind=drawing.kind,
        alt=drawing.alt,
        caption=drawing.caption,
        width=drawing.width,
    )


def _pictures(drawings: Sequence[Drawing], *, otherwise: str) -> list[Markup]:
    """The pictures, or the reason why there are none."""
    return list(map(_picture, drawings)) or [_note(otherwise)]


def _text(text: str) -> Markup:
    return element("p", text)


def _note(text: str) -> Markup:
    return element("p", text, attributes={"class": "note"})


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")
