"""The documents are true: blocks run and print what is shown, tables are the stored ones, links lead somewhere."""

import contextlib
import json
import math
import re

import pandas as pd
import pytest

import lrrec
from benchmarks import documents, neural, pipelines
from benchmarks.report import RESULTS, ROOT
from lrrec import cli

TEXTS = {name: (ROOT / name).read_text() for name in documents.DOCUMENTS}

ROUGH = {  # pages whose figures differ more between processors, and by how much
    "docs/ideas/learning-rate.md": 0.05,  # of gradient descent in single precision, with a large learning rate
    "docs/how-to/new-market.md": 0.01,  # of fits to 10 users
}


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=() if name == "README.md" else pytest.mark.slow)
    for name, text in TEXTS.items() if "```python" in text
])  # fmt: skip
def test_blocks_print_what_is_shown(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    differing = differences(documents.with_outputs(TEXTS[name]), TEXTS[name], ROUGH.get(name, 0.0))
    assert not differing, "run: python -m benchmarks --outputs"


def differences(printed, shown, tolerance=0.0):
    """The words, and cells between commas, that differ by more than rounding."""
    words = (re.split(r"[\s,]+", text) for text in (printed, shown))
    return [pair for pair in zip(*words, strict=True) if not same(*pair, tolerance)]


def same(printed, shown, tolerance=0.0):
    """Whether two words are equal, but for what processors round: single precision, 1 in the last of several digits."""
    if printed == shown:
        return True
    printed, shown = (word.strip("[],();:") for word in (printed, shown))
    try:
        first, second = float(printed), float(shown)
    except ValueError:
        return False
    digits = {len(word.partition(".")[2]) for word in (printed, shown)}
    step = 1.01 * 10.0 ** -max(digits) if len(digits) == 1 and max(digits) >= 2 else 0.0
    return math.isclose(first, second, rel_tol=1e-4, abs_tol=max(step, tolerance) if step else 0.0)


@pytest.mark.parametrize(("printed", "shown", "equal"), [
    ("0.677465", "0.677464", True), ("0.68", "0.67", True), ("0.68", "0.66", False), ("0.6", "0.7", False),
    ("7", "8", False), ("[0.31,", "[0.3100001,", True), ("[0.313,", "[0.314,", True), ("[0.313,", "[0.315,", False),
    ("iALS", "ials", False), ("nan)]", "nan)]", True), ("nan", "0.5", False),
])  # fmt: skip
def test_numbers_may_differ_by_rounding_alone(printed, shown, equal):
    assert same(printed, shown) == equal


def test_a_wrong_output_is_noticed():
    text = "```python\nx = 1\nprint(x)\n```\n\n```text\n2\n```\n"
    assert documents.with_outputs(text) == text.replace("2", "1")
    with pytest.raises(ZeroDivisionError):
        documents.with_outputs("```python\n1 / 0\n```\n")


@pytest.mark.parametrize("name", TEXTS)
def test_tables_are_the_stored_ones(name):
    assert documents.with_tables(TEXTS[name]) == TEXTS[name], "run: python -m benchmarks --readme"


@pytest.mark.parametrize("name", TEXTS)
def test_links_lead_somewhere(name):
    for link in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", TEXTS[name]):
        path = source_of((ROOT / name).parent / link[0] if link[0] else ROOT / name)
        assert path.exists(), link
        if link[1]:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), flags=re.MULTILINE)
            assert link[1] in [heading.lower().replace(" ", "-") for heading in headings], link


def source_of(path):
    """The file that a page of the site is made from; of the reference, what makes it."""
    path = path.resolve()
    if path.suffix != ".rst":
        return path
    if path.parent.name == "auto_gallery":
        name = "GALLERY_HEADER.rst" if path.stem == "index" else f"{path.stem}.py"
        return path.parents[1] / "gallery" / name
    if path.parent.name == "api":
        return ROOT.joinpath(*path.stem.split("."), "__init__.py")
    return path


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_bytes()) <= 10_000


def test_command_lines_of_the_readme_work(tmp_path, monkeypatch, made_up):
    pytest.importorskip("typer")
    monkeypatch.chdir(tmp_path)
    made_up.ratings.to_csv("ratings.csv", index=False)
    lines = re.findall(r"^lrrec .*movies\.lrrec.*$", TEXTS["README.md"], flags=re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        monkeypatch.setattr("sys.argv", line.split())
        with contextlib.suppress(SystemExit):
            cli.main()
    assert len(pd.read_csv("lists.csv")) == 420 * 10


def test_every_stored_benchmark_has_its_table():
    names = {path.stem for path in RESULTS.glob("*.json") if "details" not in path.name}
    assert names == set(re.findall(r"<!-- results: ([\w-]+) -->", TEXTS["benchmarks/README.md"]))


def test_every_model_and_data_set_is_listed():
    for name in lrrec.models.MODELS:
        assert f"| `{name}` |" in TEXTS["README.md"]
        assert f"| `{name}` |" in TEXTS["docs/which-model.md"]
    for name in lrrec.datasets.names():
        counts = lrrec.datasets.recipe(name).statistics
        row = f"| `{name}` | {counts['users']:,} × {counts['items']:,} | {counts['ratings']:,} |"  # noqa: RUF001
        assert row in TEXTS["datasets/README.md"]


def test_the_pipelines_table_is_that_of_the_stored_runs():
    rows = []
    for pipeline in pipelines.PIPELINES:
        name = f"{pipeline.data}-{pipeline.protocol}.json"
        rows += pipelines.rows(pipeline, json.loads((pipelines.STORED / name).read_text()))
    assert rows == documents.stored("pipelines")


def test_the_sentence_under_the_picture_holds():
    """Adapting to 25 users beats a new model of 100; adapting to 100 beats a new model of all 350."""
    rows = json.loads((RESULTS / "adapt-latest-small-details.json").read_text())
    ndcg = {(row["method"], row["users"]): row["ndcg@20"] for row in rows
            if row["transfer"] == "ml-1m to latest-small, shared items"}  # fmt: skip
    assert ndcg["low rank 8", 25] > ndcg["scratch", 100]
    assert ndcg["low rank 8", 100] > ndcg["scratch", 350]


def test_a_quality_that_was_not_reached_has_no_seconds():
    epochs = [{"seconds": 2.0, "ndcg@10": 0.1}, {"seconds": 2.0, "ndcg@10": 0.3}]
    assert neural.seconds_to(epochs, 0.2) == 4.0
    assert neural.seconds_to(epochs, 0.4) is None
    row = neural.quality_speed_row("peer", epochs, {"softmax": epochs[:1], "squared": epochs})
    assert row["measured"] == "1.0 x: 4.0 s; softmax not reached, squared 4.0 s"
    assert row["verdict"] == "met"
    row = neural.quality_speed_row("peer", epochs, {"softmax": epochs[:1]})
    assert row["measured"] == "4.0 s; softmax not reached"
    assert row["verdict"] == "missed"
    assert not any("inf s" in text for text in TEXTS.values())


@pytest.mark.parametrize(
    "target", ["demo", "test", "lint", "typecheck", "test-slow", "docs", "install", "format", "dist-check"]
)
def test_every_make_target_exists(target):
    assert f"\n{target}: " in (ROOT / "Makefile").read_text()
