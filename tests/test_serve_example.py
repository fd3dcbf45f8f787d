"""The example service: its answers are the model's, also under load, and a new release is taken as a whole."""

import os
import sys
import time
from pathlib import Path

import pytest

import lrrec
from lrrec.adapt import LowRank

pytest.importorskip("fastapi", reason="the service needs fastapi")
pytest.importorskip("httpx", reason="its test client needs httpx")
pytest.importorskip("prometheus_client", reason="its metrics need prometheus-client")

HERE = Path(lrrec.__file__).parent.parent / "docs" / "examples" / "serve"


@pytest.fixture(scope="module")
def service():
    sys.path.insert(0, str(HERE))
    import service

    yield service
    sys.path.remove(str(HERE))


@pytest.fixture
def release(tmp_path, likes):
    """A folder with a model and the bank of a market, behind a link; a function that makes the next one."""
    made = []

    def make():
        folder = tmp_path / str(len(made))
        folder.mkdir()
        model = lrrec.IALS(8, unobserved_weight=0.2, reg=0.02, random_state=len(made)).fit(likes)
        adapter = LowRank(2, reg=1.0, fold_in_reg=0.05).fit(likes.filter(likes.rows() < 60), base=model)
        bank = lrrec.AdapterBank(model, {"jp": adapter})
        model.save(folder / "model.lrrec")
        bank.save(folder / "bank", histories=True)
        made.append((folder, model, bank))
        (tmp_path / "next").symlink_to(folder)
        (tmp_path / "next").replace(tmp_path / "current")
        return made[-1]

    return make


@pytest.fixture
def client(service, release, tmp_path, monkeypatch):
    from fastapi.testclient import TestClient

    release()
    monkeypatch.setenv("LRREC_RELEASE", str(tmp_path / "current"))
    monkeypatch.setenv("LRREC_RELOAD_SECONDS", "0.01")
    with TestClient(service.app) as client:
        yield client


def items(lists):
    return lists.items[0].compressed().tolist()


def test_answers_are_those_of_the_model(client, likes, tmp_path):
    model = lrrec.load(tmp_path / "0" / "model.lrrec")
    bank = lrrec.AdapterBank.load(tmp_path / "0" / "bank", model)
    user, history = int(likes.users.ids[3]), likes.items.ids[likes.matrix.indices[:5]].tolist()
    first = items(model.recommend([user], k=3))[0]
    pairs = lrrec.Interactions.from_pairs([0] * 5, history)
    for question, expected in (
        ({"user": user}, items(model.recommend([user]))),
        ({"user": user, "k": 3, "exclude": [first, 10**6]}, items(model.recommend([user], k=3, exclude=[first]))),
        ({"history": [*history, history[0], 10**6]}, items(model.recommend_from(pairs))),
        ({"user": user, "market": "jp"}, items(bank.recommend([user], "jp"))),
        ({"history": history, "market": "jp", "k": 4}, items(bank.recommend_from(pairs, "jp", k=4))),
    ):
        answer = client.post("/recommend", json=question)
        assert answer.status_code == 200, answer.text
        assert answer.json()["items"] == expected
        assert answer.json()["version"] == client.get("/health").json()["version"]


@pytest.mark.parametrize(("question", "status"), [
    ({"user": 10**6}, 404), ({"history": [10**6]}, 404), ({"user": 301, "market": "xx"}, 404), ({"user": "ann"}, 404),
    ({}, 422), ({"user": 1, "history": [1]}, 422), ({"user": 1, "k": 0}, 422), ({"user": 1, "count": 3}, 422),
    ({"user": True}, 422), ({"user": 1.5}, 422),
])  # fmt: skip
def test_what_cannot_be_answered_is_said(client, question, status):
    answer = client.post("/recommend", json=question)
    assert answer.status_code == status
    assert answer.json()["detail"]


def test_a_new_release_is_taken_and_a_broken_one_is_not(client, release, likes, tmp_path):
    def until(condition):
        for _ in range(500):
            if condition():
                return True
            time.sleep(0.01)
        return False

    def version():
        return client.get("/health").json()["version"]

    first = version()
    folder, model, bank = release()
    assert until(lambda: version() != first)
    second, user = version(), int(likes.users.ids[3])
    assert client.post("/recommend", json={"user": user}).json()["items"] == items(model.recommend([user]))
    bank["us"] = bank["jp"]
    bank.save(folder / "bank", histories=True)
    assert until(lambda: client.get("/health").json()["markets"] == 2)
    third = version()
    assert third != second
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.lrrec").write_bytes(b"no model")
    (tmp_path / "next").symlink_to(tmp_path / "broken")
    (tmp_path / "next").replace(tmp_path / "current")
    assert until(lambda: 'lrrec_reloads_total{result="failed"}' in client.get("/metrics").text)
    assert version() == third
    assert client.post("/recommend", json={"user": user, "market": "us"}).status_code == 200


@pytest.mark.slow
def test_no_answer_is_wrong_under_load(service):
    pytest.importorskip("uvicorn", reason="the load test needs uvicorn")
    import load_test

    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parents[2]), os.environ.get("PYTHONPATH", "")])
    measured = load_test.run(
        n_requests=2000, n_clients=3, n_workers=2, n_changes=60, n_users=500, n_items=1000, pause=0.05
    )
    assert measured["answers"] == 1998
    assert measured["wrong"] == 0
    assert measured["versions"] > 1
    assert measured["reloads"] > 10
    assert measured["failed reloads"] < measured["reloads"]
