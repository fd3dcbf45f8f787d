"""The built documentation in a browser: pages load without a network or a complaint, fit a phone, and can be read.

`make docs` builds the site; without it these tests are skipped.
"""

import re
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from browser import MARKS, look, started
from test_architecture import ROOT

SITE = ROOT.parent / "docs" / "_build" / "html"
PAGES = sorted(
    str(path.relative_to(SITE)) for path in SITE.rglob("*.html")
    if not {"_modules", "_static", "genindex.html", "py-modindex.html"} & set(path.relative_to(SITE).parts)
)  # fmt: skip
SAMPLE = [page for page in PAGES if not page.startswith(("api/generated", "auto_gallery/plot"))]
SAMPLE += [page for page in PAGES if page.startswith(("api/generated", "auto_gallery/plot"))][::12]
NOISE = 0.02  # of a ratio of contrast, by rounding
CONTRAST = """
const still = document.createElement('style');
still.textContent = '* { transition: none !important }';
document.head.append(still);
const channel = c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const numbers = color => color.match(/[\\d.]+/g).map(Number);
const behind = element => {
  for (let one = element; one; one = one.parentElement) {
    const color = numbers(getComputedStyle(one).backgroundColor);
    if (color.length < 4 || color[3] > 0.99) return color;
  }
  return [255, 255, 255];
};
const poor = {};
const content = document.querySelector('article, #search-results') || document.body;
const walker = document.createTreeWalker(content, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement, style = getComputedStyle(element);
  if (!walker.currentNode.textContent.trim() || !element.getClientRects().length) continue;
  if (style.visibility === 'hidden' || style.opacity < 0.1) continue;
  const [a, b] = [light(numbers(style.color)), light(behind(element))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05), size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
  if (ratio < (large ? 3 : 4.5) - arguments[0]) {
    poor[element.tagName + '.' + element.className + ' ' + style.color] = ratio.toFixed(2);
  }
}
return poor;
"""
pytestmark = [*MARKS, pytest.mark.skipif(not PAGES, reason="needs the site that `make docs` builds")]


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a line for each on standard error."""

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def site():
    """The address of the site on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=SITE)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    driver = started(tmp_path_factory.mktemp("browser"), offline=False)
    yield driver
    driver.quit()


def foreign(browser, site):
    """What the page has loaded from elsewhere."""
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map(one => one.name)")
    return [name for name in loaded if not name.startswith((site, "data:"))]


def complaints(browser):
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] != "INFO"]


@pytest.mark.parametrize("page", SAMPLE)
def test_a_page_loads_without_a_complaint_and_fits_a_phone(browser, site, page):
    look(browser, f"{site}/{page}", width=360)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    assert browser.find_elements("css selector", "h1"), "no heading"
    assert complaints(browser) == foreign(browser, site) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", SAMPLE[:: max(1, len(SAMPLE) // 25)])
def test_texts_have_enough_contrast(browser, site, page, scheme):
    """Of 4.5, and 3 for large letters (WCAG 2, AA)."""
    look(browser, f"{site}/{page}", scheme=scheme)
    background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 200) == (scheme == "dark")
    assert browser.execute_script(CONTRAST, NOISE) == {}


def test_the_navigation_leads_through_the_site(browser, site):
    look(browser, f"{site}/index.html")
    links = browser.execute_script(
        "return [...document.querySelectorAll('.navbar-nav a.nav-link')].map(one => one.getAttribute('href'))"
    )
    assert len(links) >= 5
    for link in links:
        if "://" not in link and link != "#":
            assert (SITE / link).exists(), link
    browser.find_element("css selector", ".navbar-nav a.nav-link").click()
    assert browser.current_url.endswith("start.html")


def test_the_search_brings_what_is_sought(browser, site):
    look(browser, f"{site}/search.html?q=unobserved_weight")
    for _ in range(50):
        results = browser.find_elements("css selector", "#search-results li a")
        if results:
            break
        time.sleep(0.1)
    assert any("IALS" in result.text or "als" in result.get_attribute("href") for result in results)
    assert complaints(browser) == []
