"""Links of documents that are shown in the repository and as pages: from a file to the page that includes it."""

import posixpath
import re
from typing import Any

from sphinx.application import Sphinx

PAGES = {  # file of the repository -> page
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "design/contributing.md",
    "benchmarks/README.md": "benchmarks.md",
    "datasets/README.md": "datasets.md",
}
INCLUDED = {page: file for file, page in PAGES.items() if page != "index.md"}


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", read)
    return {"parallel_read_safe": True}


def read(app: Sphinx, name: str, source: list[str]) -> None:
    """Replace the text of a page that is a file of the repository by that file, with links that lead to pages."""
    file = INCLUDED.get(f"{name}.md")
    if file:
        source[0] = as_page((app.srcdir.parent / file).read_text(), file, f"{name}.md")


def as_page(text: str, file: str, page: str) -> str:
    """The text of a file, as a page: relative links lead from it."""

    def replace(match: re.Match[str]) -> str:
        path, _, anchor = match[2].partition("#")
        if not path or ":" in match[2]:
            return match[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(file), path))
        here = posixpath.dirname(f"docs/{page}")
        target = f"docs/{PAGES[target]}" if target in PAGES else target
        return f"{match[1]}({posixpath.relpath(target, here)}{'#' + anchor if anchor else ''})"

    return re.sub(r"(\])\(([^)\s]+)\)", replace, text)
