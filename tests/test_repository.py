"""The files around the library: they name one version, are well formed, and nothing large is among them."""

import json
import re
import subprocess
import tomllib

import pytest

import lrrec
from benchmarks import report
from benchmarks.__main__ import NAMES
from benchmarks.report import RESULTS, ROOT

TOP_LEVEL = {"pyproject.toml", "lrrec", "datasets", "benchmarks", "tests", "docs", "README.md"}
TOOLING = {
    "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "Makefile", "SECURITY.md", "constraints.txt",
    "constraints-oldest.txt", ".ci", ".github", ".gitignore", ".pre-commit-config.yaml",
}  # fmt: skip
AT_MOST = 200_000  # bytes of a file that is not data


def read(name):
    return (ROOT / name).read_text()


def tracked():
    """The files of the repository, where this is one."""
    run = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if run.returncode or not run.stdout:
        pytest.skip("needs a clone of the repository")
    return [path for name in run.stdout.split("\0") if name and (path := ROOT / name).exists()]


def test_the_changelog_begins_with_this_version():
    unreleased, newest, *_ = re.findall(r"^## (.*)$", read("CHANGELOG.md"), flags=re.MULTILINE)
    assert unreleased == "Unreleased"
    assert re.fullmatch(r"(\S+) \(\d{4}-\d\d-\d\d\)", newest)[1] == lrrec.__version__


def test_the_citation_is_of_this_version():
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load(read("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()  # what version 1.2 requires
    assert citation["cff-version"] == "1.2.0"
    assert citation["license"] == tomllib.loads(read("pyproject.toml"))["project"]["license"]
    released = f"## {citation['version']} ({citation['date-released']})"
    assert citation["version"] == lrrec.__version__
    assert released in read("CHANGELOG.md")


def test_the_forms_for_issues_are_well_formed():
    yaml = pytest.importorskip("yaml")
    forms = [path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config"]
    assert {path.stem for path in forms} == {"bug", "wrong_number", "feature"}
    for path in forms:
        form = yaml.safe_load(path.read_text())
        assert form.keys() == {"name", "description", "labels", "body"}
        names = [field["id"] for field in form["body"]]
        assert len(set(names)) == len(names) <= 4
        for field in form["body"]:
            assert field["type"] in ("textarea", "input")
            assert field["attributes"]["label"]
            assert isinstance(field["validations"]["required"], bool)


def test_the_hooks_run_what_make_runs():
    yaml = pytest.importorskip("yaml")
    (local,) = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    assert local["repo"] == "local"
    for hook in local["hooks"]:
        assert hook["language"] == "system"
        command, target = hook["entry"].split()
        assert command == "make"
        assert f"\n{target}: " in read("Makefile")
        assert re.search(hook["files"], "lrrec/models/ials.py")
        assert re.search(hook["files"], "pyproject.toml")
        assert not re.search(hook["files"], "README.md")


def test_the_security_page_names_tests_and_files_that_exist():
    names = re.findall(r"\btest_\w+\.py", read("SECURITY.md"))
    assert names
    assert all((ROOT / "tests" / name).exists() for name in names)
    for link in re.findall(r"\]\(([^)#:]+)\)", read("SECURITY.md")):
        assert (ROOT / link).exists(), link


def test_the_top_level_is_small():
    assert {path.relative_to(ROOT).parts[0] for path in tracked()} <= TOP_LEVEL | TOOLING


def test_no_file_is_large():
    """Data sets that ship with the library excepted."""
    large = [path for path in tracked() if path.stat().st_size > AT_MOST and path.suffix != ".csv"]
    assert not large


def test_stored_results_have_a_line_for_each_row():
    for path in RESULTS.rglob("*.json"):
        assert len(path.read_text().splitlines()) < 150, f"{path.name}: write it with benchmarks.report.dumps"


@pytest.mark.parametrize("levels", [0, 1, 2, 3])
def test_results_are_written_as_they_are(levels):
    value = {"about": {"n": 1, "none": None}, "rows": [{"a": "±\n", "b": [1.5, []]}, {}], "empty": []}
    text = report.dumps(value, levels)
    assert json.loads(text) == value
    assert len(text.splitlines()) == {0: 1, 1: 5, 2: 11, 3: 14}[levels]


def test_values_of_several_seeds_are_shortened():
    assert report.over_seeds([1, 2.00004]) == 1.5
    assert report.over_seeds(["b", "a", "b"]) == "a, b"
    assert report.over_seeds([{"x": 1, "y": "a"}, {"x": 3, "y": "a"}]) == {"x": 2.0, "y": "a"}


def test_pictures_are_small_and_hold_no_glyphs():
    for path in RESULTS.glob("*.svg"):
        text = path.read_text()
        assert len(text) < 40_000, path.name
        assert "<text" in text
        assert "<metadata>" not in text


def test_a_thinned_picture_is_the_same_to_a_hundredth():
    svg = '<svg>\n <!-- a -->\n <path d="M 1.23456 -0.001 \nL 2.5 10.999999 \nz\n" style="opacity: 0.3"/>\n</svg>\n'
    assert report.thinned(svg) == '<svg>\n<path d="M 1.23 -0 L 2.5 11 z" style="opacity: 0.3"/>\n</svg>\n'


def test_the_page_of_benchmarks_names_them_all():
    named = (ROOT / "benchmarks" / "README.md").read_text().partition("NAME is one or more of")[2].partition(";")[0]
    assert sorted(re.findall(r"`(\w+)`", named)) == sorted(NAMES)
