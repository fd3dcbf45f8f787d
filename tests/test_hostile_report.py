"""Texts of other people in a report: shown to the letter, and nothing but text."""

import numpy as np
import pandas as pd
import pytest
from test_report import Page

import lrrec
from lrrec import Interactions

HOSTILE = [
    "<script>document.title = 'changed'; alert(1)</script>",
    '"><img src=x onerror="document.title = \'changed\'; alert(2)">',
    "'><svg onload=alert(3)>",
    "</script><script>alert(4)</script>",
    "</title></style></textarea><script>alert(5)</script>",
    '<a href="javascript:alert(6)">here</a>',
    "javascript:alert(7)",
    "--><script>alert(8)</script><!--",
    "]]><script>alert(9)</script>",
    '{{ 7 * 7 }}{% include "x" %}',
    'a id="b" href="#c" url(#d) #010203 #0a0b01',
    "&lt;script&gt;alert(10)&lt;/script&gt; &amp;",
    "_begins with an underscore",
    "$x_1$ \\alpha %s %(name)s {name}",
    "电影 🎬 \u202egnp.exe",
]


def page_of(texts):
    """A report in which every text that can come from data is one of these; of twenty users named by them."""
    named = [texts[place % len(texts)] for place in range(24)]
    rng = np.random.default_rng(0)
    users, items = np.nonzero(rng.random((24, 24)) < 0.5)
    user_ids = [f"{text}{place}" for place, text in enumerate(named)]
    item_ids = [f"{place}{text}" for place, text in enumerate(named)]
    data = Interactions.from_pairs([user_ids[user] for user in users], [item_ids[item] for item in items])
    split = lrrec.splits.random(data, test_size=0.3, random_state=0)
    models = {text: lrrec.EASE(10.0 + place) for place, text in enumerate(texts[:8])}
    compared = lrrec.compare(models, split, metrics=["ndcg@10"])
    others = {text: compared.evaluations[name] for text, name in zip(texts[8:], models, strict=False)}
    curves = pd.DataFrame({"users": [1, 2] * len(texts), "method": np.repeat(texts, 2), f"metric {texts[0]}": 0.5})
    titles = dict(zip(item_ids[3:], named[3:], strict=True))
    return [
        lrrec.Report(texts[1], compared, split=split, titles=titles, curves=curves, command=texts[2]).html(),
        lrrec.Report(texts[2], evaluations=others).html(),
    ]


@pytest.fixture(scope="module")
def pages():
    return page_of(HOSTILE)


def parts(pages):
    """The elements of pages, and their attributes' names."""
    elements = [element for text in pages for element in Page(text).elements]
    return {tag for tag, _ in elements}, {(tag, name) for tag, attrs in elements for name in attrs}


@pytest.mark.slow
def test_no_element_and_no_attribute_comes_from_data(pages):
    harmless = page_of([f"name {place} {'x' * 30}" for place in range(len(HOSTILE))])
    assert parts(pages) == parts(harmless)
    for text in pages:
        page = Page(text)
        assert len(page.all("script")) == 1
        for _, attrs in page.elements:
            assert not [name for name in attrs if name.startswith("on")]
            assert attrs.get("href", "#").startswith(("#", "data:,"))
            assert attrs.get("xlink:href", "#").startswith("#")


@pytest.mark.slow
def test_texts_are_shown_to_the_letter(pages):
    """Of models and methods: in tables; in the pictures' axes and legends, where long ones are without their middle."""
    words = [Page(text).words for text in pages]
    for place, text in enumerate(HOSTILE):
        shown, short = words[place >= 8], text if len(text) <= 30 else f"{text[:18]}…{text[-11:]}"
        assert shown.count(text) >= 2, text
        assert shown.count(text) + (shown.count(short) if short != text else 0) >= 4, text
        assert short in words[0]  # in the legend of methods
        assert text in words[0]  # a title
    assert any(f"{place}{HOSTILE[place]}" in words[0] for place in range(3))  # an item without a title
    assert f"metric {HOSTILE[0]}" in words[0]  # of the curves, at their axis


@pytest.mark.slow
def test_the_page_allows_no_script_but_its_own(pages):
    for text in pages:
        (policy,) = [attrs["content"] for attrs in Page(text).all("meta") if "http-equiv" in attrs]
        assert "script-src 'sha256-" in policy
        assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
