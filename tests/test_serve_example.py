"""The example service: its answers are the model's, also under load, and a new release is taken as a whole."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
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


def instructions():
    """The instructions of the Containerfile: (name, rest), continued lines joined."""
    text = re.sub(r"^#.*\n", "", (HERE / "Containerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def test_the_image_is_made_for_a_read_only_file_system():
    steps, root = instructions(), HERE.parents[2]
    names = [name for name, _ in steps]
    final = steps[len(names) - names[::-1].index("FROM") :]
    assert all(re.search(r":[\w.-]+( AS \w+)?$", rest) for name, rest in steps if name == "FROM")
    copied = [word for name, rest in steps if name == "COPY" and "--from" not in rest for word in rest.split()[:-1]]
    assert copied
    assert all((root / word).exists() for word in copied)
    (user,) = (rest for name, rest in final if name == "USER")
    assert int(user.split(":")[0]) > 0
    places = [place for place, (name, rest) in enumerate(final) if name in ("ENV", "USER") or "warmup" in rest]
    assert [final[place][0] for place in places] == ["ENV", "RUN", "USER"]  # kernels where they are looked for
    assert json.loads(dict(final)["CMD"])[0] == "uvicorn"
    assert all("--no-cache-dir" in rest for name, rest in steps if name == "RUN" and "pip " in rest)


IN_IMAGE = """
cut -d' ' -f2 /proc/self/mounts | grep -Ev '^/(dev|proc|sys)' | while read -r place; do
    mount -o remount,ro,bind "$place" 2>/dev/null
done
touch "$1/written" 2>/dev/null && exit 9
shift
exec setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs --inh-caps=-all,+dac_read_search \
    --ambient-caps=+dac_read_search --bounding-set=-all,+dac_read_search -- "$@"
"""
NOTHING_COMPILED = """
import os, sys, lrrec
from lrrec.linalg.jit import KERNELS
for folder in (sys.argv[1], "/tmp", os.path.dirname(lrrec.__file__)):
    try:
        open(os.path.join(folder, "written"), "w")
        sys.exit(f"{folder} can be written")
    except OSError:
        pass
model = lrrec.load(os.path.join(sys.argv[1], "model.lrrec"), mmap=True)
bank = lrrec.AdapterBank.load(os.path.join(sys.argv[1], "bank"), model)
for one, market in ((model, ()), (bank, ("jp",))):
    one.recommend(model.users_.ids[:1], *market)
    one.recommend_from(lrrec.Interactions.from_pairs([0], model.items_.ids[:1]), *market)
print(os.getuid(), sum(sum(kernel.stats.cache_misses.values()) for kernel in KERNELS))
"""


@pytest.fixture(scope="module")
def image():
    """A folder with compiled kernels, and a function that wraps commands: read-only file systems, user 10001."""
    folder = Path(tempfile.mkdtemp(prefix="lrrec-image-"))
    folder.chmod(0o755)

    def inside(*command):
        return ["unshare", "--mount", "sh", "-c", IN_IMAGE, "sh", str(folder), *command]

    try:
        tools = os.name == "posix" and all(map(shutil.which, ("unshare", "setpriv")))
        probe = tools and subprocess.run(inside(sys.executable, "-c", "import lrrec"), capture_output=True)
        if not tools or probe.returncode:
            pytest.skip("needs the right to make a mount namespace")
        environment = {"NUMBA_CACHE_DIR": str(folder / "kernels"), "HOME": "/", "PYTHONDONTWRITEBYTECODE": "1"}
        environment = os.environ | environment | {"PYTHONPATH": str(HERE.parents[2])}
        warmup = [sys.executable, "-m", "lrrec", "warmup"]
        subprocess.run(warmup, env=environment, check=True, capture_output=True)
        yield folder, inside, environment
    finally:
        shutil.rmtree(folder)


@pytest.mark.slow
def test_the_service_needs_nothing_that_can_be_written(image, likes):
    """As in the image: no capability but to read (where the interpreter lies in a private folder), nothing compiled."""
    pytest.importorskip("uvicorn", reason="the service needs uvicorn")
    folder, inside, environment = image
    model = lrrec.IALS(8, unobserved_weight=0.2, reg=0.02, random_state=0).fit(likes)
    adapter = LowRank(2, reg=1.0, fold_in_reg=0.05).fit(likes.filter(likes.rows() < 60), base=model)
    model.save(folder / "model.lrrec")
    lrrec.AdapterBank(model, {"jp": adapter}).save(folder / "bank", histories=True)
    check = [sys.executable, "-W", "error", "-c", NOTHING_COMPILED, str(folder)]
    done = subprocess.run(inside(*check), env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "10001 0"), done.stderr
    command = [sys.executable, "-m", *json.loads(dict(instructions())["CMD"]), "--port", "8765"]
    environment = environment | {"LRREC_RELEASE": str(folder)}
    with subprocess.Popen(inside(*command), cwd=HERE, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            user = int(likes.users.ids[3])
            for market, expected in ((None, model), ("jp", adapter)):
                answer = ask_until_it_answers("http://127.0.0.1:8765/recommend", {"user": user, "market": market})
                assert answer["items"] == items(expected.recommend([user]))
        finally:
            process.terminate()
            _, errors = process.communicate(timeout=30)
    assert "Traceback" not in errors


def ask_until_it_answers(url, question, seconds=60):
    body, headers = json.dumps(question).encode(), {"Content-Type": "application/json"}
    for _ in range(10 * seconds):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as response:
                return json.load(response)
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the service does not answer")
