"""The page in a real browser: Chromium without a window, driven through its own protocol.

Skipped where Chromium is not installed, unless MTLJOBS_BROWSER=required says that it must be:

    apt-get install -y --no-install-recommends chromium chromium-driver
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from matplotlib.image import imread

from mtljobs.ledger.attempts import begin
from mtljobs.ledger.paths import RunFolder, create_folder
from mtljobs.report import write_report
from mtljobs.report.figures import Drawing, Drawings
from mtljobs.report.page import render_page
from mtljobs.results import aoc, compute_tables, open_run

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
IS_LIGHT = find_spec("torch") is None
"""Other Pythons are tested without selenium; one of them is enough for a page."""

MISSING = [
    name
    for name, found in (
        ("chromium", CHROMIUM), ("chromedriver", DRIVER), ("selenium", find_spec("selenium"))
    )
    if not found
]  # fmt: skip
if MISSING and (IS_LIGHT or os.environ.get("MTLJOBS_BROWSER") != "required"):
    pytest.skip(
        f"THE PAGE IS NOT TESTED IN A BROWSER: {', '.join(MISSING)} not installed (apt-get install "
        "--no-install-recommends chromium chromium-driver); MTLJOBS_BROWSER=required makes this "
        "a failure",
        allow_module_level=True,
    )
if MISSING:
    pytest.fail(f"MTLJOBS_BROWSER=required, and {', '.join(MISSING)} not installed", pytrace=False)

from selenium.webdriver import Chrome, ChromeOptions  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.remote.webelement import WebElement  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

SELECTS = ("experiment", "task", "group", "image", "sparsity", "seed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--force-device-scale-factor=1", "--window-size=1280,1000"):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # Chromium leaves a folder behind, whose path must be short: it holds a socket.
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        service = Service(DRIVER, env=os.environ | {"TMPDIR": folder})
        with Chrome(options=options, service=service) as chrome:
            yield chrome


@pytest.fixture(scope="module")
def address(reported_run: RunFolder) -> str:
    return (reported_run.report / "index.html").as_uri()


@pytest.fixture
def page(browser: Chrome, address: str) -> Iterator[Chrome]:
    """The page, just opened; afterwards the console must have stayed silent."""
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.get(address)
    wait_for(browser, lambda: said(browser) != "")
    yield browser
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


LONGEST = "an_experiment_whose_name_is_as_long_as_a_grid_allows_64_letters0"


@pytest.fixture(scope="module")
def strange_run(synthetic, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Names that look like numbers, a very long one, other sparsities; figures are blank."""
    layout = synthetic.make_layouts()["segnet-hrank"]
    layout = dataclasses.replace(
        layout,
        images=("30", "4", *layout.images[2:]),
        tasks={"depth": layout.tasks["depth"]},
        settings={**layout.settings, "experiment": {**layout.settings["experiment"], "name": "10"}},
    )
    layouts = {
        "10": layout,
        "2": dataclasses.replace(layout, sparsities=(0.0, 0.3, 0.5)),
        LONGEST: dataclasses.replace(layout, previews=0),
    }
    run = RunFolder(tmp_path_factory.mktemp("workspace") / "strange")
    synthetic.write_run(run, layouts=layouts)
    one = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
    blank = Drawing("blank", one, b"", one, "svg+xml", alt="", caption="", width=1)
    drawings = Drawings(blank, [blank] * len(layouts), blank, [], blank, [], [])
    tables = compute_tables(run, allow_partial=False)
    create_folder(run.report)
    page = render_page(run, open_run(run.root), tables, drawings)
    (run.report / "index.html").write_text(page, encoding="utf-8")
    return run


@pytest.fixture
def strange_page(browser: Chrome, strange_run: RunFolder) -> Chrome:
    browser.get((strange_run.report / "index.html").as_uri())
    wait_for(browser, lambda: said(browser) != "")
    return browser


def wait_for(page: Chrome, holds: Callable[[], bool]) -> None:
    WebDriverWait(page, 20, poll_frequency=0.05).until(lambda _: holds())


def find(page: Chrome, name: str) -> WebElement:
    return page.find_element(By.ID, f"explorer-{name}")


def said(page: Chrome) -> str:
    return find(page, "said").text


def choose(page: Chrome, name: str, text: str) -> None:
    """Choose, and wait until the page shows it."""
    select = Select(find(page, name))
    before = shown(page)
    is_new = select.first_selected_option.text != text
    select.select_by_visible_text(text)
    wait_for(page, lambda: not is_new or shown(page) != before)


def options_of(page: Chrome, name: str) -> list[str]:
    return [option.text for option in Select(find(page, name)).options]


def chosen(page: Chrome, name: str) -> str:
    return Select(find(page, name)).first_selected_option.text


def picture(page: Chrome) -> str:
    """Every pixel of the large picture."""
    return page.execute_script("return document.getElementById('explorer-picture').toDataURL()")


def shown(page: Chrome) -> tuple[str, str, str]:
    """The large picture, the chart, and what is said of them."""
    return picture(page), find(page, "chart").get_attribute("innerHTML"), said(page)


def dot(page: Chrome) -> tuple[float, float]:
    circle = find(page, "dot")
    return float(circle.get_attribute("cx")), float(circle.get_attribute("cy"))


def scrolls_sideways(page: Chrome) -> bool:
    script = "const e = document.documentElement; return e.scrollWidth > e.clientWidth"
    return page.execute_script(script)


def resize(page: Chrome, width: int) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def test_the_first_item_is_shown_as_the_page_opens(page: Chrome) -> None:
    pattern = r"Score after step 0: 1\.000 of the clean score\. Area over this curve: 0\.\d{3}\."
    assert re.fullmatch(pattern, said(page))
    assert not find(page, "without-script").is_displayed()
    assert len(page.find_elements(By.CSS_SELECTOR, "#explorer-strip button")) == 3
    assert len(page.find_elements(By.CSS_SELECTOR, "#explorer-chart polyline")) == 4


def test_every_option_of_every_select_shows_something_else(page: Chrome) -> None:
    for name in SELECTS:
        options = options_of(page, name)
        seen = set()
        for option in options:
            choose(page, name, option)
            assert chosen(page, name) == option
            seen.add(shown(page))
        assert len(seen) == len(options) > 1, name


def test_what_is_chosen_stays_where_another_experiment_has_it(strange_page: Chrome) -> None:
    kept = {"sparsity": "50 %", "seed": "1", "image": "4", "group": "0.40-0.60"}
    for name, text in kept.items():
        choose(strange_page, name, text)
    choose(strange_page, "experiment", "2")
    assert options_of(strange_page, "sparsity") == ["0 %", "30 %", "50 %"]
    assert {name: chosen(strange_page, name) for name in kept} == kept
    choose(strange_page, "sparsity", "30 %")
    choose(strange_page, "experiment", "10")  # It has no 30 %.
    assert {name: chosen(strange_page, name) for name in kept} == {**kept, "sparsity": "0 %"}


def test_names_that_look_like_numbers_keep_the_order_of_the_store(
    strange_page: Chrome, strange_run: RunFolder
) -> None:
    stored = open_run(strange_run.root)
    assert options_of(strange_page, "experiment") == list(stored.children) == ["10", "2", LONGEST]
    assert options_of(strange_page, "image") == ["30", "4"]


def test_the_slider_moves_the_dot_and_takes_superpixels_away(page: Chrome) -> None:
    slider = find(page, "step")
    before, clean = dot(page), picture(page)
    slider.send_keys(Keys.ARROW_RIGHT)
    wait_for(page, lambda: said(page).startswith("Score after step 1:"))
    first = picture(page)
    slider.send_keys(Keys.END)
    parts = int(slider.get_attribute("max"))
    wait_for(page, lambda: said(page).startswith(f"Score after step {parts}:"))
    assert find(page, "count").text == f"{parts} of {parts}"
    assert dot(page)[0] > before[0]
    assert dot(page)[1] > before[1]  # the score fell, and y points down
    assert len({clean, first, picture(page)}) == 3


def test_the_number_said_is_the_stored_one(page: Chrome, reported_run: RunFolder) -> None:
    choose(page, "experiment", "segnet-netslim")
    choose(page, "task", "depth")
    choose(page, "group", "0.40-0.60")
    choose(page, "image", "test-00001")
    choose(page, "sparsity", "50 %")
    choose(page, "seed", "1")
    find(page, "step").send_keys(Keys.HOME, *[Keys.ARROW_RIGHT] * 7)
    wait_for(page, lambda: said(page).startswith("Score after step 7:"))
    task = open_run(reported_run.root)["segnet-netslim/depth"].to_dataset()
    item = {"group": "0.40-0.60", "image": "test-00001", "sparsity": 0.5, "seed": 1}
    score, area = float(task["irof"].sel(item)[7]), float(aoc(task).sel(item))
    expected = f"step 7: {score:.3f} of the clean score. Area over this curve: {area:.3f}."
    assert said(page) == f"Score after {expected}"


def test_an_item_without_a_curve_says_why(page: Chrome) -> None:
    choose(page, "experiment", "segnet-netslim")
    choose(page, "task", "depth")
    choose(page, "seed", "0")
    choose(page, "image", "test-00000")
    choose(page, "group", "0.20-0.40")
    choose(page, "sparsity", "90 %")
    wait_for(page, lambda: said(page) == "This item has no curve at 90 %: map all zero.")
    assert not find(page, "step").is_enabled()
    assert page.find_elements(By.ID, "explorer-dot") == []
    buttons = page.find_elements(By.CSS_SELECTOR, "#explorer-strip button")
    assert buttons[2].text == "90 %: map all zero"
    buttons[0].click()
    wait_for(page, lambda: said(page).startswith("Score after step"))
    assert chosen(page, "sparsity") == "0 %"


def test_the_keyboard_reaches_everything(page: Chrome) -> None:
    page.execute_script("document.querySelector('#explorer h2').scrollIntoView()")
    page.execute_script("document.getElementById('explorer-experiment').focus()")
    reached = []
    for _ in range(len(SELECTS) + 2 + 3):
        active = page.switch_to.active_element
        reached.append(active.get_attribute("id") or active.tag_name)
        active.send_keys(Keys.TAB)
    names = [f"explorer-{name}" for name in (*SELECTS, "with-map", "step")]
    assert reached == [*names, "button", "button", "button"]
    sparsity = find(page, "sparsity")
    sparsity.send_keys(Keys.ARROW_DOWN)
    wait_for(page, lambda: page.find_element(
        By.CSS_SELECTOR, "#explorer-strip button:nth-child(2)"
    ).get_attribute("aria-pressed") == "true")  # fmt: skip


def test_the_map_can_be_taken_away(page: Chrome) -> None:
    with_map = picture(page)
    find(page, "with-map").click()
    assert picture(page) != with_map


@pytest.mark.parametrize("width", [360, 1280])
def test_no_window_scrolls_sideways(page: Chrome, width: int) -> None:
    resize(page, width)
    assert page.execute_script("return innerWidth") == width
    assert not scrolls_sideways(page)


@pytest.mark.parametrize("width", [320, 360])
def test_a_very_long_name_fits_a_narrow_window(strange_page: Chrome, width: int) -> None:
    choose(strange_page, "experiment", LONGEST)
    resize(strange_page, width)
    assert not scrolls_sideways(strange_page)


def test_print_shows_what_opens_on_a_click(page: Chrome) -> None:
    script = """return [...document.querySelectorAll("details")].map((one) => [
      one.open, one.querySelector("img").checkVisibility({contentVisibilityAuto: true})])"""
    assert page.execute_script(script) == [[False, False]] * 6
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        wait_for(page, lambda: page.execute_script(script) == [[False, True]] * 6)
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_no_choice_is_cut_off(page: Chrome) -> None:
    script = """return [...document.querySelectorAll(".choices select")].map((select) => {
      const shown = select.offsetWidth;
      select.style.width = "max-content";
      return [select.id, shown >= select.offsetWidth];
    })"""
    assert page.execute_script(script) == [[f"explorer-{name}", True] for name in SELECTS]


def test_in_a_narrow_window_figures_keep_their_size_and_scroll_in_a_frame(page: Chrome) -> None:
    resize(page, 360)
    script = """return [...document.querySelectorAll("section > figure img")].map((image) => [
      image.clientWidth - image.getAttribute("width"),
      image.parentElement.scrollWidth > image.parentElement.clientWidth])"""
    assert page.execute_script(script) == [[0, True]] * 9


def test_a_reader_who_prefers_dark_gets_dark_letters_on_white(page: Chrome) -> None:
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    try:
        look = "const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]"
        assert page.execute_script(look) == ["rgb(255, 255, 255)", "rgb(28, 30, 33)"]
        assert page.execute_script(
            "return getComputedStyle(document.querySelector('select')).color"
        ) == "rgb(28, 30, 33)"  # fmt: skip
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_screenshot_is_not_blank(page: Chrome, tmp_path: Path) -> None:
    page.execute_script("document.getElementById('explorer').scrollIntoView()")
    path = tmp_path / "explorer.png"
    assert page.save_screenshot(str(path))
    pixels = imread(path)[..., :3]
    assert pixels.shape[1] == 1280
    colours = np.unique((pixels.reshape(-1, 3) * 15).round(), axis=0)
    assert len(colours) > 100
    assert 0.02 < (pixels.min(axis=-1) < 0.9).mean() < 0.9


def test_every_figure_is_drawn(page: Chrome) -> None:
    script = "return [...document.images].map((image) => image.complete && image.naturalWidth)"
    widths = page.execute_script(script)
    assert len(widths) >= 3
    assert all(widths)


def test_names_of_users_stay_text(browser: Chrome, synthetic, tmp_path: Path) -> None:
    evil = "<img src=x onerror=document.title='owned'>"
    layout = synthetic.make_layouts()["segnet-hrank"]
    task = dataclasses.replace(layout.tasks["segmentation"], groups=(evil, "floor", "wall"))
    hostile = dataclasses.replace(
        layout, images=(evil, *layout.images[1:]), tasks={"segmentation": task}, previews=0
    )
    run = synthetic.write_run(RunFolder(tmp_path / "run"), layouts={"segnet-hrank": hostile})
    begin(run.attempts, "train-aaaaaaaaaaaa", device=evil).end("done", "")
    browser.get(write_report(run).as_uri())
    wait_for(browser, lambda: said(browser) != "")
    assert chosen(browser, "group") == evil
    assert browser.title == "run - mtljobs report"
    assert find(browser, "unseen").is_displayed()


def test_without_script_the_page_still_shows_its_results(browser: Chrome, address: str) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(address)
        body = browser.find_element(By.TAG_NAME, "body").text
        assert "This part needs a script" in body
        assert "averaged AOC" in body
        assert not find(browser, "controls").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
