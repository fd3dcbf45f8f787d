"""The protocol: fields that say what was done, and sentences made from them."""

import json

import pytest

import lrrec
from lrrec.errors import DataWarning
from lrrec.evaluation import Candidates, Protocol


@pytest.mark.parametrize(
    ("candidates", "sentence", "ties"),
    [
        (Candidates("all", 1500), "all 1,500 items", "by item index"),
        (Candidates("given", 1500, 30), "30 given items of 1,500, the same for all users", "by item index"),
        (Candidates("given per user", 1500, 100), "100 given items per user", "by place in the given list"),
        (
            Candidates("sampled", 1500, 20, 3),
            "the relevant and 20 sampled of 1,500 items per user, neither relevant nor seen (random_state=3)",
            "by item index",
        ),
    ],
)
def test_candidates_are_described(candidates, sentence, ties):
    described = Protocol(("hit@1",), candidates, 7).describe()
    assert described["candidates"] == sentence
    assert described["ties"] == ties
    assert candidates.per_user == ("per user" in sentence)


def test_the_protocol_of_an_evaluation(split):
    result = lrrec.evaluate(lrrec.Popularity().fit(split.train), split, metrics=["hit@3", "coverage@3"])
    protocol = result.protocol
    assert protocol.metrics == ("hit@3", "coverage@3")
    assert protocol.candidates == Candidates("all", len(split.items))
    assert (protocol.split_kind, protocol.split_params, protocol.split_seed) == (split.kind, split.params, split.seed)
    assert (protocol.n_users, protocol.served_from, protocol.exclude_seen) == (len(result.users), "history", True)
    described = protocol.describe()
    assert described["split"] == split.description
    assert described["cutoffs"] == "hit@3, coverage@3, from one ranking"
    assert described["seen items"] == "to be left out"
    assert json.loads(json.dumps(protocol.as_dict()))["candidates"]["kind"] == "all"


def test_options_are_fields(likes):
    split = lrrec.splits.random(likes, random_state=0)
    model = lrrec.Popularity().fit(split.train)
    with pytest.warns(DataWarning, match="sampled"):
        result = lrrec.evaluate(model, split, metrics=["hit@3"], exclude_seen=False, candidates=9, random_state=4)
    assert result.protocol.candidates == Candidates("sampled", len(split.items), 9, 4)
    assert result.protocol.exclude_seen is False
    assert result.protocol.describe()["seen items"] == "kept"
    assert result.protocol.served_from == "training"


def test_the_protocol_of_ready_made_lists(split):
    lists = lrrec.Popularity().fit(split.train).recommend_from(split.history, 5, exclude_seen=False)
    with pytest.warns(DataWarning, match="seen items are in the lists"):
        protocol = lrrec.evaluate_lists(lists, split, metrics=["hit@3"]).protocol
    assert (protocol.served_from, protocol.n_places, protocol.exclude_seen) == ("lists", 3, None)
    assert protocol.describe()["seen items"] == f"{protocol.n_seen} in the lists"
    assert protocol.n_seen > 0
    alone = lrrec.evaluate_lists(lists, split.test, metrics=["hit@3"]).protocol.describe()
    assert alone["split"] == "test interactions as given"
    assert alone["seen items"] == "not looked at"
