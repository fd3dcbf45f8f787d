"""Saved interactions come back as they were, in memory or mapped, and fit the same models."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import lrrec
from lrrec import IALS, Interactions
from lrrec.cli import app
from lrrec.errors import FileFormatError

FRAME = pd.DataFrame({
    "user": ["b", "a", "a", "a", "c"], "item": [3, 1, 1, -2, 3], "value": [1.0, 2.5, -1.0, 0.0, 1.0],
    "when": [5, 3, 9, 3, 4],
})  # fmt: skip
MAKERS = {
    "pairs": lambda: Interactions.from_pairs(["x", "y"], ["i", "j"]),
    "values": lambda: Interactions.from_frame(FRAME, value="value", duplicates="mean"),
    "events": lambda: Interactions.from_frame(FRAME, value="value", time="when", duplicates="last").binarize(0.5),
    "dates": lambda: Interactions.from_frame(
        FRAME.assign(when=pd.to_datetime(FRAME["when"], unit="D")), value="value", time="when", duplicates="max"
    ),
    "weighted": lambda: Interactions.from_frame(FRAME, value="value", time="when", duplicates="last").decayed(2),
    "empty users": lambda: Interactions.from_pairs([1, 2], [1, 2]).filter(np.array([True, False])),
}


def parts(data):
    """All that interactions hold, in lists; events too."""
    own = (
        data.users.ids.tolist(), data.items.ids.tolist(), data.matrix.toarray().tolist(), data.matrix.indptr.tolist(),
        None if data.times is None else (data.times.dtype.str, data.times.tolist()), data.half_life,
    )  # fmt: skip
    events = data.events
    return own if events is None else (*own, events.duplicates, events.min_value, parts(events.unmerged))


def test_stored_files_are_read_for_ever():
    """Written by tests/data/make_files.py."""
    data = Interactions.open(Path(__file__).parent / "data" / "lrrec-2" / "Interactions.data")
    assert (data.users.ids.tolist(), data.items.ids.tolist()) == (["a", "ü"], [-2, 1, 3])
    assert data.matrix.toarray().tolist() == [[0, -1, 0], [0, 0, 1]]
    assert data.times.tolist() == [3, 9, 5]
    assert data.events.duplicates == "last"
    assert data.events.unmerged.matrix.data.tolist() == [0, 2.5, -1, 1]
    assert data.events.times.tolist() == [3, 3, 9, 5]


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("verify", [None, True])
@pytest.mark.parametrize("maker", MAKERS)
def test_what_is_saved_comes_back(maker, mmap, verify, tmp_path):
    data = MAKERS[maker]()
    data.save(tmp_path / "data.lrrec")
    opened = Interactions.open(tmp_path / "data.lrrec", mmap=mmap, verify=verify)
    assert parts(opened) == parts(data)
    assert opened.matrix.data.flags.writeable is not mmap


def test_mapped_interactions_fit_split_and_evaluate_as_others_do(likes, tmp_path):
    likes.save(tmp_path / "data.lrrec")
    mapped = Interactions.open(tmp_path / "data.lrrec", mmap=True)
    results = []
    for data in (likes, mapped):
        split = lrrec.splits.by_time(data, 0.8, repeats="keep")
        model = IALS(4, n_iter=2, random_state=0).fit(split.train)
        results.append((model.item_factors_.tobytes(), lrrec.evaluate(model, split).summary().to_numpy().tolist()))
        results[-1] += (parts(data.k_core(3, 3)), parts(Interactions.concat([data, data], duplicates="max")))
    assert results[0] == results[1]


def test_other_files_are_refused(likes, tmp_path):
    IALS(2, n_iter=1).fit(likes).save(tmp_path / "model.lrrec")
    with pytest.raises(FileFormatError, match=r"must hold interactions, got 'IALS': pass a model to lrrec\.load"):
        Interactions.open(tmp_path / "model.lrrec")
    likes.save(tmp_path / "data.lrrec")
    with pytest.raises(FileFormatError, match=r"got 'Interactions'"):
        lrrec.load(tmp_path / "data.lrrec")
    contents = bytearray((tmp_path / "data.lrrec").read_bytes())
    contents[-5] ^= 1
    (tmp_path / "data.lrrec").write_bytes(contents)
    for mmap in (False, True):
        with pytest.raises(FileFormatError):
            Interactions.open(tmp_path / "data.lrrec", mmap=mmap, verify=True)


def test_the_command_line_reads_them(tmp_path):
    data = Interactions.from_frame(FRAME, value="value", duplicates="max")
    data.save(tmp_path / "data.lrrec")
    words = [
        "fit",
        str(tmp_path / "data.lrrec"),
        "-m",
        "popularity",
        "--min-rating",
        "1",
        "-o",
        str(tmp_path / "model"),
    ]
    run = CliRunner().invoke(app, words)
    assert run.exit_code == 0, run.output
    assert lrrec.load(tmp_path / "model").seen_.sum() == 3
    run = CliRunner().invoke(app, [*words, "--user-column", "who"])
    assert run.exit_code != 0
    assert "columns are for tables" in " ".join(str(run.exception or run.output).split())
