from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mtljobs.cluster.cleaning import remove
from mtljobs.errors import UserError
from mtljobs.ledger.attempts import begin
from mtljobs.ledger.paths import RunFolder
from mtljobs.report import write_report
from mtljobs.report.document import read_script
from mtljobs.report.page import render_page
from mtljobs.report.provenance import describe_choice
from mtljobs.report.writing import draw, measured_on
from mtljobs.results import compute_tables, open_run

VOID = {"meta", "img", "input"}


class Page(HTMLParser):
    """What a browser would see: tags, attributes, text, and whether tags are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def text(reported_run: RunFolder) -> str:
    return (reported_run.report / "index.html").read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_has_every_section(text: str) -> None:
    page = Page(text)
    assert page.open == []
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    links = [value[1:] for name, value in page.attributes if name == "href"]
    assert links == [name for name in ids if not name.startswith(("explorer-", "look-"))]
    assert len(links) == 10
    labels = {value for name, value in page.attributes if name == "for"}
    assert labels <= set(ids)


def test_the_page_needs_no_other_file_and_no_network(text: str) -> None:
    page = Page(text)
    assert not {"link", "iframe", "object", "base"} & set(page.tags)
    for name, value in page.attributes:
        assert not name.startswith("on")
        if name in ("src", "href", "srcset", "data"):
            assert value.startswith(("data:", "#"))
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_the_page_allows_its_own_script_and_style_alone(text: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    for tag, opening in (("script", 'script type="module"'), ("style", "style")):
        inline = re.findall(rf"<{opening}>(.*?)</{tag}>", text, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline[0].encode()).digest()).decode()
        assert (len(inline), rules[f"{tag}-src"]) == (1, f"'sha256-{digest}'")
    assert (rules["default-src"], rules["img-src"]) == ("'none'", "data:")
    assert Page(text).tags.count("script") == 2  # the other one is data


def test_the_script_makes_nothing_of_text_but_text() -> None:
    script = read_script()
    for door in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval",
                 "Function(", "fetch", "XMLHttpRequest", "import"):  # fmt: skip
        assert door not in script


def test_same_results_give_the_same_page_but_for_its_attempts(synthetic, tmp_path: Path) -> None:
    layouts = {"segnet-hrank": one_task(synthetic, previews=1)}
    run = synthetic.write_run(RunFolder(tmp_path / "study"), layouts=layouts)
    tree, tables = open_run(run.root), compute_tables(run, allow_partial=False)
    drawings = draw(tree, tables)
    pages = []
    for _ in range(2):
        begin(run.attempts, "explain-x-0-0-0-aaaaaaaaaaaa", device="cpu").end("failed", "")
        text = render_page(run, tree, tables, drawings)
        start = text.index('<section id="attempts">')
        pages.append(
            (text[:start], text[start : (end := text.index("<section", start + 1))], text[end:])
        )
    (before, attempts, after), (again, more_attempts, and_after) = pages
    assert (before, after) == (again, and_after)
    assert "1 attempt at 1 shard," in attempts
    assert "2 attempts" in more_attempts


def test_embedded_figures_load_nothing_either(text: str) -> None:
    pictures = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', text)
    assert len(pictures) == 11
    for picture in pictures:
        content = base64.b64decode(picture).decode()
        for target in re.findall(r'href="([^"]+)"', content):
            assert target.startswith(("#", "data:"))


def test_the_page_has_the_numbers_of_the_tables(text: str, reported_run: RunFolder) -> None:
    shown = "".join(Page(text).texts)
    found = compute_tables(reported_run, allow_partial=False)
    for row in found.averages + found.groups:
        assert f"{row.mean:.3f} [{row.low:.3f}, {row.high:.3f}] n={row.items}" in shown
    assert "2 experiments, 12 networks, 780 of 864 items with a curve" in shown
    assert "segmentation: map all zero" in shown


def test_the_page_says_what_was_run_and_on_what_it_rests(text: str) -> None:
    shown = Page(text).texts
    assert "rooms (seed 0, size 64 x 64)" in shown
    assert "precision float32, threads 1" in shown
    assert "folded true, precision float32" in shown
    assert "2.14.1" in shown
    assert "d" * 64 in shown
    assert any("16 x 16 positions" in part for part in shown)


def test_captions_explain_the_names_of_groups_and_where_metrics_compare(text: str) -> None:
    shown = Page(text).texts
    # Heat maps of two experiments, and the maps of one: the other keeps no previews.
    assert sum("signs of x (right), y (down) and z (away" in part for part in shown) == 3
    assert sum("as a share of the data set's scale" in part for part in shown) == 3
    assert sum("Lines stand up to 1.2 % of sparsity apart" in part for part in shown) == 2


def test_metrics_are_measured_on_a_data_set_and_of_segmentation_on_its_classes(
    synthetic, tmp_path: Path
) -> None:
    layout = synthetic.make_layouts()["segnet-hrank"]
    data = {"name": "folder", "id": "barns", "size": [64, 64]}
    experiment = {**layout.settings["experiment"], "data": data}
    layouts = {
        "rooms": layout,
        "own": dataclasses.replace(
            layout, settings={"experiment": experiment, "depth_unit": "disparity"}
        ),
    }
    run = synthetic.write_run(RunFolder(tmp_path / "two"), layouts=layouts)
    places = measured_on(open_run(run.root))
    assert places["rooms", "segmentation"] == "rooms, 3 classes"
    assert places["rooms", "normals"] == "rooms"
    assert places["rooms", "depth"] == "rooms, in metres"
    assert places["own", "depth"] == "barns, disparity"


def test_figures_lie_beside_the_page_as_vectors_and_pixels(reported_run: RunFolder) -> None:
    names = {path.name for path in reported_run.report.iterdir()}
    experiments = ("segnet-hrank", "segnet-netslim")
    tasks = ("segmentation", "depth", "normals")
    figures = ["faithfulness", "performance", "curves", "steps-segnet-netslim"]
    figures += [f"saliency-segnet-netslim-{task}" for task in tasks]
    figures += [f"layers-{name}" for name in experiments]
    figures += [f"groups-{name}-{task}" for name in experiments for task in tasks]
    assert names == {"index.html"} | {
        f"{name}.{kind}" for name in figures for kind in ("svg", "png")
    }
    assert (reported_run.report / "index.html").stat().st_size < 4_000_000


def test_cleaning_knows_every_file_of_a_report(reported_run: RunFolder, tmp_path: Path) -> None:
    run = RunFolder(shutil.copytree(reported_run.root, tmp_path / "copy"))
    remove(run, "report")
    assert list(run.report.iterdir()) == []


def one_task(synthetic, **changes):
    """The layout of an experiment of one task, which is soon drawn."""
    layout = synthetic.make_layouts()["segnet-hrank"]
    return dataclasses.replace(layout, tasks={"depth": layout.tasks["depth"]}, **changes)


def test_an_incomplete_run_says_so_at_the_head_of_its_page(synthetic, tmp_path: Path) -> None:
    layouts = {"segnet-hrank": one_task(synthetic, previews=0)}  # drawing takes long
    arrays = synthetic.make_arrays(layouts)
    arrays["segnet-hrank/depth"]["status"][1, 1] = 0
    run = synthetic.write_run(RunFolder(tmp_path / "half"), layouts=layouts, arrays=arrays)
    page = Page(write_report(run).read_text())
    shown = "".join(page.texts)
    assert "This run is not complete. Everything below is without 30 items of 1 cell" in shown
    assert "segnet-hrank at sparsity 0.5, seed 0" in shown
    assert "The score of depth: 1 less the mean relative change" in shown
    for name in ("faithfulness", "performance", "curves", "groups-segnet-hrank-depth"):
        drawing = (run.report / f"{name}.svg").read_text()
        assert "<!-- partial, without 30 items of 1 cell -->" in drawing  # beside its outlines


def test_without_a_dense_network_the_page_says_that_nothing_is_compared(
    synthetic, tmp_path: Path
) -> None:
    layouts = {"segnet-hrank": one_task(synthetic, previews=0, sparsities=(0.5, 0.9))}
    run = synthetic.write_run(RunFolder(tmp_path / "sparse"), layouts=layouts)
    shown = "".join(Page(write_report(run).read_text()).texts)
    assert "Nothing to compare with: it has no network of sparsity 0." in shown
    assert "correlation with AOC" in shown


def test_names_of_users_cannot_become_markup(synthetic, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    layout = synthetic.make_layouts()["segnet-hrank"]
    task = dataclasses.replace(layout.tasks["segmentation"], groups=(evil, "$floor$", "wall"))
    experiment = {**layout.settings["experiment"], "model": {"name": evil}}
    hostile = dataclasses.replace(
        layout,
        images=(evil, *layout.images[1:]),
        tasks={"segmentation": task},
        settings={**layout.settings, "experiment": experiment},
    )
    run = RunFolder(tmp_path / "<b>bold<")
    synthetic.write_run(run, layouts={"segnet-hrank": hostile})
    text = write_report(run).read_text(encoding="utf-8")
    page = Page(text)
    assert page.tags.count("script") == 2
    assert "b" not in page.tags
    assert page.texts.count(evil) == 2
    assert "<b>bold<" in page.texts


def test_a_run_without_previews_says_why_it_shows_no_maps(synthetic, tmp_path: Path) -> None:
    layouts = {"segnet-hrank": one_task(synthetic, previews=0)}
    run = synthetic.write_run(RunFolder(tmp_path / "unseen"), layouts=layouts)
    text = write_report(run).read_text(encoding="utf-8")
    assert "the store holds no preview images" in text
    assert "No image to show step by step" in text
    assert not [*run.report.glob("saliency-*"), *run.report.glob("steps-*")]


@pytest.mark.parametrize(("measure", "shown"), [("irof_quantus", 1), ("pixel_flipping", 0)])
def test_without_maps_only_superpixels_are_laid_over_images(
    synthetic, tmp_path: Path, measure: str, shown: int
) -> None:
    layout = one_task(synthetic, maps="scores")
    experiment = layout.settings["experiment"]
    explain = {**experiment["explain"], "faithfulness": {"name": measure}}
    settings = {**layout.settings, "experiment": {**experiment, "explain": explain}}
    layouts = {"segnet-hrank": dataclasses.replace(layout, settings=settings)}
    run = synthetic.write_run(RunFolder(tmp_path / "scores"), layouts=layouts)
    text = write_report(run).read_text(encoding="utf-8")
    assert len(list(run.report.glob("saliency-*.svg"))) == shown
    assert len(list(run.report.glob("steps-*.svg"))) == shown
    assert ("Nothing to show" in text) == (shown == 0)


def test_a_report_of_a_run_without_a_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "young" / "plans").mkdir(parents=True)
    with pytest.raises(UserError, match="no store yet"):
        write_report(RunFolder(tmp_path / "young"))


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"name": "equal", "version": 1}, "equal"),
        ({"iterations": 400, "flip": False, "decay_every": None},
         "iterations 400, flip false, decay_every none"),
        ({"name": "rooms", "size": [64, 32], "seed": 0}, "rooms (size 64 x 32, seed 0)"),
    ],
)  # fmt: skip
def test_a_choice_reads_as_its_name_and_keys(choice: dict, expected: str) -> None:
    assert describe_choice(choice) == expected
