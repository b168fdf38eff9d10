"""The HTML page in headless Chromium, opened from disk: every control is used, and what it does is read back from the page."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from codec_bridge.report import page as html_report
from codec_bridge.report.document import Document
from tests.codec_bridge.report.test_html_report import HOSTILE
from tests.support.documents import GREYS, document_of, rows_of, with_crops

WHAT_TO_INSTALL = "needs Chromium, its driver and selenium: apt-get install chromium chromium-driver; pip install selenium"

webdriver = pytest.importorskip("selenium.webdriver", reason=WHAT_TO_INSTALL)
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason=WHAT_TO_INSTALL)

VARIANTS = ("anchor", "none", "map")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--force-device-scale-factor=1"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


RED, BLUE = (81, 90, 240), (41, 240, 110)
"""Of limited range, by BT.601."""


def in_colour(folder: Path) -> dict[str, Any]:
    """A document whose crops have two colours; the map's differs from the original by 5 in Y and 10 in V."""
    document = document_of([row for variant in VARIANTS for row in rows_of("Colours", variant)])
    size = {"width": 96, "height": 64}
    (folder / "crops").mkdir(exist_ok=True)
    for variant in ("original", *VARIANTS):
        planes = [np.full((64 // step, 96), 0, np.uint8) for step in (1, 2, 2)]
        for index, plane in enumerate(planes):
            step = 2 if index else 1
            plane[:, : 48 // step], plane[:, 48 // step : 96 // step] = RED[index], BLUE[index]
            plane[:, : 96 // step] -= {"original": (5, 0, 10)}.get(variant, (0, 0, 0))[index]
        Image.fromarray(np.concatenate(planes)).save(folder / "crops" / f"colour-{variant}.png")
    units = {"mode": "all", "indices": [3], "unit_size": 416, "choices": [[1]], "weights": [[6]]}
    for row in document["rows"]:
        files = {"file": f"crops/colour-{row['variant']}.png", "original": "crops/colour-original.png", "picture": 0, "x": 0, "y": 0}
        own = (
            {"units": units, "chroma_units": units | {"mode": "off", "choices": [[0]], "weights": [[8]]}} if row["variant"] == "map" else {}
        )
        row["crop"] = {**files, **size, "units": None, "chroma_format": "420", **own}
    return document


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """usual.html: two sequences, crops at two QPs. hostile.html: names that are HTML. many.html: 12 sequences, long names, a flag."""
    folder = tmp_path_factory.mktemp("pages")
    rows = [row for name in ("First", "Second") for variant in VARIANTS for row in rows_of(name, variant)]
    for row in rows:
        row["psnr_y"] += 1.5 * (row["sequence"] == "Second")
    html_report.write_html(folder / "usual.html", Document.from_json(with_crops(document_of(rows), folder, (22, 37))), folder)
    html_report.write_html(folder / "colour.html", Document.from_json(in_colour(folder)), folder)
    rows = [row for variant in VARIANTS for row in rows_of(HOSTILE, variant, size=HOSTILE, encoder=HOSTILE, command=HOSTILE)]
    rows[5]["flag"] = HOSTILE
    html_report.write_html(folder / "hostile.html", Document.from_json(with_crops(document_of(rows, processor=HOSTILE), folder)), folder)
    names = [f"a_sequence_with_a_name_that_is_longer_than_most_{n}_1920x1080_60" for n in range(11)] + [40 * "wide"]
    variants = ("anchor", "none", "picture", "map", "after")
    rows = [row for name in names for variant in variants for row in rows_of(name, variant)]
    rows[5]["flag"] = "the decoder's pictures are not the encoder's: " + 30 * "0123456789abcdef"
    html_report.write_html(folder / "many.html", Document.from_json(with_crops(document_of(rows), folder)), folder)
    return folder


@pytest.fixture
def page(browser: Any, pages: Path) -> Iterator[Callable[..., Any]]:
    """Open a page at a width in a colour scheme. Afterwards: nothing was complained about, nothing was loaded but the file itself."""

    def open_page(name: str = "usual.html", width: int = 1400, scheme: str = "light") -> Any:
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get((pages / name).as_uri())
        WebDriverWait(browser, 30).until(lambda b: b.execute_script("return document.getElementById('pictures').dataset.open"))
        return browser

    browser.get("about:blank")
    browser.get_log("browser"), browser.get_log("performance")
    yield open_page
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requested = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert requested, "the log of requests does not work"
    assert {url.partition(":")[0] for url in requested} <= {"file", "data"}
    assert {url for url in requested if url.startswith("file:")} <= {path.as_uri() for path in pages.glob("*.html")}


def find(browser: Any, selector: str) -> Any:
    return browser.find_element(By.CSS_SELECTOR, selector)


def click(browser: Any, selector: str) -> None:
    element = find(browser, selector)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def texts(browser: Any, selector: str) -> list[str]:
    return browser.execute_script("return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)", selector)


def curves(browser: Any) -> list[str]:
    """Classes of the curves that are drawn."""
    script = "return [...document.querySelectorAll('svg.plot .curve')].map((e) => e.getAttribute('class'))"
    return browser.execute_script(script)


def ticks(browser: Any) -> tuple[list[str], list[str]]:
    return texts(browser, "svg.plot .tick-x"), texts(browser, "svg.plot .tick-y")


def set_range(browser: Any, selector: str, value: float) -> None:
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))"
    browser.execute_script(script, find(browser, selector), str(value))


def grey(browser: Any, x: int, y: int = 5) -> int:
    """A sample of the picture shown, whose red, green and blue are equal."""
    script = """
    const copy = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
    copy.drawImage(document.querySelector("#pictures canvas"), -arguments[0], -arguments[1]);
    return [...copy.getImageData(0, 0, 1, 1).data];
    """
    red, green, blue, opaque = browser.execute_script(script, x, y)
    assert (red, red, 255) == (green, blue, opaque)
    return int(red)


def test_variants_can_be_switched_off_and_on(page: Callable[..., Any]) -> None:
    browser = page()
    assert curves(browser) == ["curve v0", "curve v1", "curve v5"]
    assert len(texts(browser, "#curves tbody tr")) == 12
    before = ticks(browser)
    click(browser, "button[data-variant=none]")
    assert find(browser, "button[data-variant=none]").get_attribute("aria-pressed") == "false"
    assert curves(browser) == ["curve v0", "curve v5"]
    assert len(texts(browser, "#curves tbody tr")) == 8
    for variant in ("anchor", "map"):
        click(browser, f"button[data-variant={variant}]")
    assert curves(browser) == []
    assert texts(browser, ".empty") == 2 * ["no curve is chosen, or none has points"]
    for variant in VARIANTS:
        click(browser, f"button[data-variant={variant}]")
    assert curves(browser) == ["curve v0", "curve v1", "curve v5"]
    assert ticks(browser) == before


def test_points_and_axes_are_where_they_should_be(page: Callable[..., Any]) -> None:
    """The anchor's points, read back through the labelled ticks of a linear and a logarithmic axis."""
    browser = page()
    script = """
    const number = (text) => Number(text.replaceAll("\u202f", ""));
    const place = (name, at) => [...document.querySelectorAll(name)].map((e) => [Number(e.getAttribute(at)), number(e.textContent)]);
    const paths = [...document.querySelectorAll("svg.plot .curve.v0 path")];
    const points = paths.map((e) => e.getAttribute("transform").match(/[\\d.]+/g).map(Number));
    return [points, place("svg.plot .tick-x", "x"), place("svg.plot .tick-y", "y")];
    """
    for logarithmic in (True, False):
        points, across, up = browser.execute_script(script)

        def read(pixel: float, labels: list[list[float]], logarithmic: bool) -> float:
            (first, low), (last, high) = labels[0], labels[-1]
            part = (pixel - first) / (last - first)
            return low * (high / low) ** part if logarithmic else low + part * (high - low)

        shown = [(read(x, across, logarithmic), read(y, [[at - 4, level] for at, level in up], False)) for x, y in points]
        expected = [(50_000 / 80, 34.0), (100_000 / 80, 36.5), (200_000 / 80, 39.0), (400_000 / 80, 42.0)]
        for (rate, level), (true_rate, true_level) in zip(shown, expected, strict=True):
            assert abs(rate / true_rate - 1) < 0.005
            assert abs(level - true_level) < 0.01
        click(browser, "#curve-log")


def test_zoom(page: Callable[..., Any]) -> None:
    browser = page()
    whole = ticks(browser)
    plot = find(browser, "svg.plot")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    ActionChains(browser).move_to_element_with_offset(plot, -200, -100).click_and_hold().move_by_offset(150, 120).perform()
    assert len(texts(browser, ".zoom-box")) == 1
    ActionChains(browser).release().perform()
    near = ticks(browser)
    assert near != whole
    assert texts(browser, ".zoom-box") == []
    spread = [max(map(float, values)) - min(map(float, values)) for values in (near[1], whole[1])]
    assert spread[0] < 0.4 * spread[1]
    click(browser, "button[data-variant=none]")
    assert ticks(browser) == near, "the view stays while variants are switched"
    ActionChains(browser).double_click(plot).perform()
    click(browser, "button[data-variant=none]")
    assert ticks(browser) == whole
    for selector in ("#zoom-in", "#zoom-out"):
        click(browser, selector)
        assert ticks(browser) != whole
        click(browser, "#zoom-reset")
        assert ticks(browser) == whole
    browser.execute_script("arguments[0].focus()", plot)
    for key in ("+", "+", Keys.ARROW_RIGHT, Keys.ARROW_UP, "-"):
        before = ticks(browser)
        plot.send_keys(key)
        assert ticks(browser) != before
    plot.send_keys("0")
    assert ticks(browser) == whole


def test_values_are_shown_under_the_pointer(page: Callable[..., Any]) -> None:
    browser = page()
    plot = find(browser, "svg.plot")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    assert not find(browser, ".tip").is_displayed()
    marker = browser.find_elements(By.CSS_SELECTOR, ".curve.v1 path")[0]
    ActionChains(browser).move_to_element(marker).perform()
    assert find(browser, ".tip").is_displayed()
    assert texts(browser, ".tip div") == [
        "no filter, QP 37",
        "643.8 kbit/s, 34.000 dB",
        "against the anchor at this QP: +3.00 % rate, 0.000 dB",
    ]
    ActionChains(browser).move_to_element_with_offset(plot, 200, 150).perform()
    assert not find(browser, ".tip").is_displayed()


def test_sequences_planes_and_axis_are_switched(page: Callable[..., Any]) -> None:
    browser = page()
    first = ticks(browser)
    click(browser, "#curve-next")
    assert Select(find(browser, "#curve-sequence")).first_selected_option.text == "Second"
    assert ticks(browser)[1] != first[1]
    click(browser, "#curve-next")
    assert ticks(browser) == first
    click(browser, "#curve-previous")
    assert Select(find(browser, "#curve-sequence")).first_selected_option.text == "Second"
    Select(find(browser, "#curve-sequence")).select_by_visible_text("First")
    assert find(browser, "#curve-figures").text == "Luma BD-rate: no filter +3.00 %, network by unit \N{MINUS SIGN}6.00 %"
    Select(find(browser, "#curve-plane")).select_by_visible_text("Cb")
    assert texts(browser, "svg.plot .axis") == ["rate (kbit/s)", "PSNR of U (dB)"]
    assert ticks(browser)[1] != first[1]
    Select(find(browser, "#curve-plane")).select_by_visible_text("luma")
    click(browser, "#curve-log")
    assert find(browser, "#curve-log").get_attribute("aria-pressed") == "false"
    assert ticks(browser)[0] != first[0]


def test_gains_over_the_anchor(page: Callable[..., Any]) -> None:
    browser = page()
    assert texts(browser, "svg.gains .axis") == ["rate (kbit/s)", "gain, PSNR of luma (dB)"]
    names = "return [...document.querySelectorAll('svg.gains .curve')].map((e) => e.getAttribute('class'))"
    assert browser.execute_script(names) == ["curve v0", "curve v1", "curve v5"]
    script = """
    const heights = (line) => line.getAttribute("points").split(" ").map((point) => Number(point.split(",")[1]));
    return [...document.querySelectorAll("svg.gains .curve polyline")].map(heights);
    """
    heights = browser.execute_script(script)
    assert [len(points) for points in heights] == [2, 49, 49]
    anchor, none, better = ([min(points), max(points)] for points in heights)
    assert anchor[0] == anchor[1]
    assert none[0] > anchor[0] > better[1], "up is better: the map's gain is above the anchor, none's below"
    assert browser.find_elements(By.CSS_SELECTOR, "svg.gains .curve path") == []


def test_divider_is_dragged_and_moved_by_keys(page: Callable[..., Any]) -> None:
    browser = page()
    stage = find(browser, "[data-part=stage]")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", stage)
    assert stage.size["width"] == 4 * 96, "every sample is 4x4 pixels"
    assert [grey(browser, x) for x in (47, 48)] == [GREYS["anchor"], GREYS["map"]]
    ActionChains(browser).move_to_element(stage).click_and_hold().move_by_offset(96, 0).release().perform()
    assert [grey(browser, x) for x in (70, 73)] == [GREYS["anchor"], GREYS["map"]]
    split = find(browser, "[data-part=split]")
    set_range(browser, "[data-part=split]", 25)
    assert [grey(browser, x) for x in (23, 24)] == [GREYS["anchor"], GREYS["map"]]
    for key, expected in ((Keys.HOME, "map"), (Keys.END, "anchor")):
        split.send_keys(key)
        assert {grey(browser, x) for x in (0, 50, 95)} == {GREYS[expected]}
    assert split.get_attribute("aria-valuetext").startswith("deblocking and SAO on 100 percent")


def test_sides_differences_and_amplification(page: Callable[..., Any]) -> None:
    browser = page()
    names = ["original", "anchor", "none", "map"]
    left, right = Select(find(browser, "[data-part=left]")), Select(find(browser, "[data-part=right]"))
    for side in (left, right):
        assert [option.get_attribute("value") for option in side.options] == names
        assert [option.text for option in side.options] == ["original", "deblocking and SAO", "no filter", "network by unit"]
    amplification = find(browser, "[data-part=amplification]")
    assert not amplification.is_enabled()
    for name in names:
        left.select_by_value(name)
        right.select_by_value(name)
        assert (grey(browser, 10), grey(browser, 90)) == 2 * (GREYS[name],)
    left.select_by_value("original")
    click(browser, "[data-part=difference]")
    assert amplification.is_enabled()
    for factor in (1, 8, 32):
        set_range(browser, "[data-part=amplification]", factor)
        assert find(browser, "[data-part=amplified]").text == f"{factor}×"  # noqa: RUF001
        for name in names:
            right.select_by_value(name)
            expected = min(max(128 + factor * (GREYS[name] - GREYS["original"]), 0), 255)
            assert (grey(browser, 10), grey(browser, 90)) == (128, expected)
    assert find(browser, "[data-part=right-psnr]").text == "42.11 dB in this area", "10 log10(255^2 / 2^2)"
    assert find(browser, "[data-part=left-psnr]").text == ""


def test_unit_map_and_size(page: Callable[..., Any]) -> None:
    browser = page()
    assert "network by unit” has unit maps" in find(browser, "[data-part=note]").text
    assert [option.text for option in Select(find(browser, "[data-part=units]")).options] == ["none", "luma"]
    Select(find(browser, "[data-part=units]")).select_by_visible_text("luma")
    kinds = browser.execute_script("return [...document.querySelectorAll('[data-part=map] .unit')].map((e) => e.getAttribute('class'))")
    assert kinds == [f"unit n{n}" for n in (0, 4, 3, 4, 3, 0)]
    assert [text.strip() for text in texts(browser, ".legend li")] == [
        "not filtered: 34 %",
        "network 3: 33 %",
        "network 2: 33 %",
    ], "of the whole picture of 416x240"
    assert len(texts(browser, ".maps .unit")) == 28
    assert texts(browser, "[data-part=map] .unit title")[:2] == ["not filtered", "network 3"]
    unit, stage = browser.find_elements(By.CSS_SELECTOR, "[data-part=map] .unit")[1].rect, find(browser, "[data-part=stage]").rect
    assert (unit["x"] - stage["x"], unit["width"], unit["height"]) == pytest.approx((4 * 24, 4 * 64, 4 * 48), abs=2)
    Select(find(browser, "[data-part=zoom]")).select_by_visible_text("2×")  # noqa: RUF001
    assert find(browser, "[data-part=stage]").size["width"] == 2 * 96
    Select(find(browser, "[data-part=right]")).select_by_value("none")
    assert texts(browser, ".unit") == []
    assert not find(browser, "[data-part=units]").is_enabled()


def test_colour_and_planes(page: Callable[..., Any]) -> None:
    """The crop's left half is red, the right one blue, in 4:2:0; chroma has a map of its own."""
    browser = page("colour.html")
    plane = Select(find(browser, "[data-part=plane]"))
    assert [option.text for option in plane.options] == ["colour", "luma", "Cb", "Cr"]
    script = """
    const copy = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
    copy.drawImage(document.querySelector("#pictures canvas"), -arguments[0], -5);
    return [...copy.getImageData(0, 0, 1, 1).data].slice(0, 3);
    """
    assert browser.execute_script(script, 10) == pytest.approx([254, 0, 0], abs=2)
    assert browser.execute_script(script, 90) == pytest.approx([0, 0, 255], abs=2)
    for name, index in (("luma", 0), ("Cb", 1), ("Cr", 2)):
        plane.select_by_visible_text(name)
        assert [grey(browser, x) for x in (10, 90)] == [RED[index], BLUE[index]]
    assert find(browser, "[data-part=right-psnr]").text == "34.15 / equal / 28.13 dB in this area (Y / Cb / Cr)"
    assert [option.text for option in Select(find(browser, "[data-part=units]")).options] == ["none", "luma", "chroma"]
    assert [text.split(",")[0] for text in texts(browser, ".maps figcaption")] == ["luma", "chroma"]
    assert texts(browser, ".maps li") == ["not filtered: 0 %", "network 3, weight 6/8: 100 %", "not filtered: 100 %", "network 3: 0 %"]


def test_pictures_are_switched(page: Callable[..., Any]) -> None:
    browser = page()
    picture = Select(find(browser, "[data-part=picture]"))
    assert [option.text for option in picture.options] == ["First, QP 37", "First, QP 22", "Second, QP 37", "Second, QP 22"]
    Select(find(browser, "[data-part=right]")).select_by_value("none")
    picture.select_by_visible_text("Second, QP 22")
    WebDriverWait(browser, 30).until(lambda b: find(b, "#pictures").get_attribute("data-open") == "3")
    assert Select(find(browser, "[data-part=right]")).first_selected_option.get_attribute("value") == "none"
    assert grey(browser, 90) == GREYS["none"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_dark_and_light(page: Callable[..., Any], scheme: str) -> None:
    browser = page(scheme=scheme)

    def brightness() -> int:
        colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour.strip("rgb()").split(","))

    def is_dark() -> bool:
        assert find(browser, "#theme").get_attribute("aria-pressed") == str(brightness() < 200).lower()
        return brightness() < 200

    assert is_dark() == (scheme == "dark")
    click(browser, "#theme")
    assert is_dark() == (scheme == "light")
    click(browser, "#theme")
    assert is_dark() == (scheme == "dark")


@pytest.mark.parametrize("name", ["usual.html", "hostile.html", "many.html"])
@pytest.mark.parametrize("width", [420, 800, 1400])
def test_nothing_sticks_out(page: Callable[..., Any], name: str, width: int) -> None:
    """The page itself never scrolls sideways; what is wider lies in a part that scrolls itself. No label is cut off."""
    browser = page(name, width)
    browser.execute_script("for (const details of document.querySelectorAll('details')) details.open = true")
    outside = browser.execute_script(
        """
        const scrolls = (e) => e.closest(".table, .scroll") || e.closest("svg.bar");
        return [...document.body.querySelectorAll("*")].filter((e) => {
          const box = e.getBoundingClientRect();
          return !scrolls(e) && box.width && (box.right > innerWidth + 0.5 || box.left < -0.5);
        }).map((e) => e.outerHTML.slice(0, 120));
        """
    )
    assert outside == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    cut = browser.execute_script(
        """
        return [...document.querySelectorAll("button, h1, h2, h3, h4, p, dt, dd, td, th, label")].filter(
          (e) => e.clientWidth && e.scrollWidth > e.clientWidth + 1).map((e) => e.outerHTML.slice(0, 120));
        """
    )
    assert cut == []
    labels = browser.execute_script(
        """
        const area = document.querySelector("svg.plot").getBoundingClientRect();
        const boxes = [...document.querySelectorAll("svg.plot text")].map((e) => e.getBoundingClientRect());
        const inside = boxes.every((b) => b.left >= area.left && b.right <= area.right && b.top >= area.top && b.bottom <= area.bottom);
        const apart = boxes.every((a, i) => boxes.every((b, j) =>
          i >= j || a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top));
        return [boxes.length > 6, inside, apart];
        """
    )
    assert labels == [True, True, True]


def test_names_are_never_run(page: Callable[..., Any]) -> None:
    browser = page("hostile.html")
    assert browser.title.startswith("BD-rate of model set")
    assert texts(browser, "#curve-sequence option") == [HOSTILE]
    assert HOSTILE in find(browser, "#provenance").text
    assert HOSTILE in texts(browser, "#flags td.wrap")
    assert browser.execute_script("return document.images.length") == 0


def test_tables_and_controls_are_reached_by_keyboard(page: Callable[..., Any]) -> None:
    browser = page()
    reached = set()
    for _ in range(80):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        script = """
        const e = document.activeElement;
        return e.id || e.dataset.part || e.dataset.variant || e.getAttribute("aria-label") || e.tagName;
        """
        reached.add(browser.execute_script(script))
    wanted = {"theme", "curve-sequence", "curve-plane", "curve-log", "zoom-in", "zoom-reset", *VARIANTS}
    wanted |= {"picture", "left", "right", "split", "difference", "scroll", "zoom"}
    wanted |= {"BD-rate by class, x265, all intra", "BD-rate by sequence, x265, all intra", "Timing, x265, all intra"}
    assert wanted <= reached
