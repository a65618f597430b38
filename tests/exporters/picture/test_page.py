"""The page that shows a lineage picture: that it stands alone, and how it behaves in a real browser."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lineagelog.exporters.picture import render
from lineagelog.projections.lineage import ArtifactNode, Edge, Graph, RunNode

AT = "2026-11-21T03:22:44.540332Z"
SCRIPTS = [
    "<script>document.title='hit'</script>", "<img src=x onerror=\"document.title='hit'\">",
    "</title><script>document.title='hit'//",
    "</script><script>document.title='hit'</script>", "' onclick='document.title=\"hit\"", "]]><svg onload=document.title='hit'>",
]  # fmt: skip


def a_graph(*titles: str) -> Graph:
    """Each title is an artifact that one run used; the first is the subject."""
    artifacts = {
        f"a{n}": ArtifactNode(
            f"a{n}", f"uid{n}", title, title, ".csv", None, None, 48_213, None, AT, title, 1, hash="0f" * 32,
            url="https://data.org/a.csv",
        )
        for n, title in enumerate(titles)
    }  # fmt: skip
    run = RunNode("r", "uidr", titles[0], "finished", AT, AT, "t", "ut", titles[0], "script", titles[0], "bob", 1)
    edges = tuple(Edge("r", node, "used", titles[0], AT, None, 1, n) for n, node in enumerate(artifacts))
    return Graph(("a0",), artifacts, {"r": run}, edges)


def test_a_page_stands_alone_and_holds_the_picture() -> None:
    page = render(a_graph("raw.csv"), "html").decode()
    assert page.startswith("<!DOCTYPE html>")
    assert "<title>Lineage of raw.csv</title>" in page
    assert page.count("<svg") == page.count("</svg>") == 1
    assert "default-src 'none'" in page
    assert "unsafe" not in page
    # Nothing is loaded; what leads to the web does so when it is followed, and tells nobody where from.
    assert not re.search(r'\bsrc="|<link\b|@import|url\(', page)
    assert set(re.findall(r'<a href="(http[^"]*)" target="_blank" rel="noopener noreferrer">', page)) == {
        "https://data.org/a.csv"
    }


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_hostile_name_is_text_on_a_page(name: str) -> None:
    page = render(a_graph(name, name), "html").decode()
    assert page.count("<script") == 1
    assert "<img" not in page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real browser without a window."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install selenium")
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("needs a browser: apt install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    with tempfile.TemporaryDirectory() as profile:
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
            options.add_argument(argument)
        options.add_argument("--window-size=1200,800")
        options.add_argument(f"--user-data-dir={profile}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        # The driver is asked for nothing on the network, whatever proxy is set.
        os.environ.setdefault("NO_PROXY", "127.0.0.1,localhost")
        session = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        try:
            yield session
        finally:
            session.quit()


def opened(browser: Any, folder: Path, graph: Graph) -> Any:
    path = folder / "lineage.html"
    path.write_bytes(render(graph, "html"))
    browser.get("about:blank")
    browser.get(path.as_uri())
    return browser


def view(browser: Any) -> list[float]:
    box = browser.execute_script("return document.querySelector('main svg').getAttribute('viewBox')")
    return [float(number) for number in re.split("[ ,]+", box)]


def test_a_page_moves_enlarges_finds_and_tells_more(browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver import ActionChains, Keys
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    page = opened(browser, tmp_path, a_graph("raw.csv", "plates.csv"))
    whole = view(page)
    picture = page.find_element("css selector", "main svg")
    origin = ScrollOrigin.from_element(picture)
    ActionChains(page).scroll_from_origin(origin, 0, -300).perform()
    near = view(page)
    assert near[2] < whole[2] * 0.5
    # What is under the pointer stays there.
    assert near[0] + near[2] / 2 == pytest.approx(whole[0] + whole[2] / 2, abs=whole[2] / 50)

    ActionChains(page).drag_and_drop_by_offset(picture, 100, 50).perform()
    moved = view(page)
    assert moved[0] < near[0]
    assert moved[1] < near[1]
    assert moved[2:] == near[2:]

    body = page.find_element("css selector", "body")
    body.send_keys("0")
    assert view(page) == whole
    body.send_keys("+", Keys.ARROW_RIGHT)
    assert view(page)[2] < whole[2]
    page.find_element("id", "all").click()
    assert view(page) == whole

    shown = "return [...document.querySelectorAll('section')].filter((s) => s.offsetHeight).map((s) => s.innerText)"
    assert page.execute_script(shown) == []
    picture.find_element("css selector", "a[*|href='#uid1']").click()
    (known,) = page.execute_script(shown)
    for text in (
        "plates.csv",
        "0f" * 32,
        "48.2 kB",
        "2026-11-21 03:22 by plates.csv",
        "https://data.org/a.csv",
        "used by",
    ):
        assert text in known
    ActionChains(page).send_keys(Keys.ESCAPE).perform()
    assert page.execute_script(shown) == []

    # A drag that begins on a box moves the picture and does not open the box.
    box = picture.find_element("css selector", "a[*|href='#uid1']")
    ActionChains(page).drag_and_drop_by_offset(box, 60, 30).perform()
    assert page.execute_script(shown) == []
    assert view(page) != whole

    ActionChains(page).send_keys("/", "plates").perform()
    assert page.find_element("id", "found").text == "1 found"
    assert len(page.find_elements("css selector", "g.node.found")) == 1
    # Whoever uses no pointer reaches the boxes and opens them too.
    ActionChains(page).send_keys(Keys.TAB, Keys.ENTER).perform()
    assert len(page.execute_script(shown)) == 1
    assert page.get_log("browser") == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_name_runs_in_a_browser(browser: Any, tmp_path: Path, name: str) -> None:
    page = opened(browser, tmp_path, a_graph(name))
    assert page.title == f"Lineage of {name}"
    title = page.find_element("css selector", "g.node text").text
    assert title
    assert page.find_element("css selector", "h1").text == f"Lineage of {name}"
    assert page.get_log("browser") == []


def test_what_is_known_is_read_where_scripts_are_off_and_in_the_dark(browser: Any, tmp_path: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": dark})
    try:
        page = opened(browser, tmp_path, a_graph("raw.csv"))
        page.find_element("css selector", "a[*|href='#uid0']").click()
        assert page.find_element("id", "uid0").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    box = page.find_element("css selector", "g.node a > path").value_of_css_property("fill")
    text = page.find_element("css selector", "g.node text").value_of_css_property("fill")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert _light(text) > 0.7
    assert _light(box) < 0.4


def _light(colour: str) -> float:
    return sum(int(part) for part in re.findall(r"\d+", colour)[:3]) / 3 / 255
