"""The report in a browser: it loads without a network or a complaint, its tables are sorted by keyboard, and
texts are texts."""

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from browser import MARKS, look, started
from test_hostile_report import HOSTILE, page_of

import lrrec

NoAlertPresentException = pytest.importorskip("selenium.common").NoAlertPresentException
pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
pytestmark = MARKS


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    driver = started(tmp_path_factory.mktemp("browser"))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def address(split, tmp_path_factory):
    models = {"popularity": lrrec.Popularity(), "ease": lrrec.EASE(300.0), "knn": lrrec.ItemKNN()}
    found = lrrec.compare(models, split, metrics=["ndcg@10", "recall@20"])
    path = tmp_path_factory.mktemp("report") / "report.html"
    lrrec.Report("What is liked", found, split=split).save(path)
    return path.as_uri()


def first_column(browser):
    script = (
        "return [...document.querySelectorAll('#models tbody')[0].rows].map(row => row.cells[0].textContent.trim())"
    )
    return browser.execute_script(script)


def test_it_loads_offline_without_a_complaint(browser, address):
    look(browser, address)
    assert browser.title == "What is liked"
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map(one => one.name)")
    assert [name for name in loaded if not name.startswith("data:")] == []
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []


def test_a_table_is_sorted_by_its_headings(browser, address):
    look(browser, address)
    assert first_column(browser) == ["knn", "ease", "popularity"]
    heads = browser.find_elements("css selector", "#models table:first-of-type thead button")
    heads[1].click()
    assert first_column(browser) == ["popularity", "ease", "knn"]
    heads[1].send_keys("\ue007")  # Enter: the keyboard does what a click does
    assert first_column(browser) == ["knn", "ease", "popularity"]
    head = heads[1].find_element("xpath", "..")
    assert head.get_attribute("aria-sort") == "descending"
    heads[0].send_keys(" ")
    assert first_column(browser) == ["ease", "knn", "popularity"]
    assert head.get_attribute("aria-sort") is None
    assert browser.get_log("browser") == []


def test_it_fits_a_phone(browser, address):
    look(browser, address, width=360)
    width = browser.execute_script("return document.documentElement.scrollWidth")
    assert width <= 360  # wide tables scroll in themselves


def test_dark_is_dark(browser, address):
    colors = {}
    for scheme in ("light", "dark"):
        look(browser, address, scheme=scheme)
        colors[scheme] = browser.execute_script(
            "const of = (what, name) => getComputedStyle(document.querySelector(what))[name];"
            "return [of('body', 'backgroundColor'), of('figure svg text', 'fill')]"
        )
    assert colors["light"][0] == "rgb(255, 255, 255)"
    assert all(light != dark for light, dark in zip(*colors.values(), strict=True))


def test_hostile_texts_do_nothing_and_are_shown(browser, tmp_path):
    for number, text in enumerate(page_of(HOSTILE)):
        path = tmp_path / f"{number}.html"
        path.write_text(text, encoding="utf-8")
        look(browser, path.as_uri())
        for button in browser.find_elements("css selector", "thead button"):
            browser.execute_script("arguments[0].click()", button)
        with pytest.raises(NoAlertPresentException):
            browser.switch_to.alert.accept()
        assert browser.title == HOSTILE[number + 1]
        assert browser.get_log("browser") == []
        own = "[...document.querySelectorAll('*')].filter(one => [...one.attributes].some(it => /^on/.test(it.name)))"
        assert browser.execute_script(f"return {own}.length + document.querySelectorAll('img, iframe').length") == 0
        assert browser.execute_script("return document.scripts.length") == 1
        cells = browser.execute_script("return [...document.querySelectorAll('th, td')].map(cell => cell.textContent)")
        drawn = browser.execute_script("return [...document.querySelectorAll('svg text')].map(one => one.textContent)")
        for one in HOSTILE[8 * number : 8 * number + 8]:
            assert one in cells
            assert one in drawn or len(one) > 30


def test_a_script_that_got_in_is_not_run(browser, tmp_path, address):
    """The page's policy knows the page's own script alone."""
    page = Path(url2pathname(urlsplit(address).path)).read_text(encoding="utf-8")
    for bad in ("<script>document.title = 'changed'</script>", "<img src=x onerror=\"document.title = 'changed'\">"):
        (tmp_path / "bad.html").write_text(page.replace("</header>", f"{bad}</header>"), encoding="utf-8")
        look(browser, (tmp_path / "bad.html").as_uri())
        assert browser.title == "What is liked"
        assert any("Content Security Policy" in entry["message"] for entry in browser.get_log("browser"))
