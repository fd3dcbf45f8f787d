"""A service under load: many threads on one model and one bank while adapters are replaced, and flat memory."""

import gc
import io
import itertools
import os
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest
from checks import assert_same
from sklearn.base import clone
from test_adapt import GIVEN

import lrrec
from lrrec import EASE, IALS, AdapterBank, AdapterSelector
from lrrec.adapt import Anchored, Blended, ItemItem, LowRank

N_THREADS = 8
ADAPT = os.path.dirname(lrrec.adapt.__file__)
OWN = {"weight": 1.0, "reg": 10.0, "scaling": 0.5}


@pytest.fixture(scope="module")
def served(source, target):
    """A base, its bank of two domains, and two versions of each domain's adapter."""
    base = IALS(8, n_iter=3, reg=0.02, random_state=0).fit(source)
    known = target.align_items(base.items_)  # without the items that the base does not know
    with_new_items = target.filter(target.rows() < 60)
    few, rest = known.filter(known.rows() < 60), known.filter(known.rows() >= 60)
    versions = {
        "de": [LowRank(2, **GIVEN).fit(few, base=base), Anchored(**GIVEN).fit(with_new_items, base=base)],
        "fr": [LowRank(4, **GIVEN).fit(rest, base=base), ItemItem(**OWN).fit(rest, base=base)],
    }
    return base, versions


def requests(versions, n=24):
    """Users of mixed domains, a few at a time."""
    rng = np.random.default_rng(0)
    pairs = [(int(user), name) for name, kinds in versions.items() for user in kinds[0].recommend(k=1).users]
    drawn = (rng.permutation(len(pairs))[: rng.integers(1, 6)] for _ in range(n))
    return [tuple(zip(*(pairs[place] for place in places), strict=True)) for places in drawn]


def key(lists):
    return lists.items.filled(-1).tobytes(), lists.scores.filled(-1).tobytes()


def put_under_load(base, versions, source, n_requests):
    """Ask one model and one bank from many threads; return the numbers of answers, by the versions that gave them."""
    model, bank = EASE(50.0).fit(source), AdapterBank(base, {name: kinds[0] for name, kinds in versions.items()})
    asked = requests(versions)
    users = np.array_split(model.recommend(k=1).users, 24)
    alone = [(key(model.recommend(some)), key(model.recommend_from(source, users=some))) for some in users]
    right = [{} for _ in asked]  # of each request: answer -> the versions
    for chosen in itertools.product((0, 1), repeat=len(versions)):
        still = AdapterBank(base, {name: versions[name][which] for name, which in zip(versions, chosen, strict=True)})
        for answers, (some, domains) in zip(right, asked, strict=True):
            answers.setdefault(key(still.recommend(some, domains)), chosen)
    counts, wrong, turns = [{} for _ in range(N_THREADS)], [], {}
    stop = threading.Event()

    def ask(number):
        rng = np.random.default_rng(number)
        for which in rng.integers(24, size=n_requests).tolist():
            if which % 2:
                call = (model.recommend(users[which]), model.recommend_from(source, users=users[which]))[which % 4 // 2]
                found = "model" if key(call) == alone[which][which % 4 // 2] else None
            else:
                found = right[which].get(key(bank.recommend(*asked[which])))
            counts[number][found] = counts[number].get(found, 0) + 1

    def replace(turn):
        """Adapters one by one, and a domain that comes and goes."""
        for place, (name, kinds) in enumerate(versions.items()):
            bank[name] = kinds[(turn >> place) & 1]
        bank["it"] = versions["de"][0]
        del bank["it"]

    def fit_again(turn):
        """The base in place, to other data and back."""
        base.fit((source.filter(source.rows() % 2 == 0), source)[turn % 2])

    def until_stopped(function):
        for turn in itertools.count():
            if stop.is_set():
                break
            function(turn)
            turns[function] = turn + 1

    def guarded(function, argument):
        try:
            function(argument)
        except BaseException as error:
            wrong.append(error)

    writers = [threading.Thread(target=guarded, args=(until_stopped, function)) for function in (replace, fit_again)]
    readers = [threading.Thread(target=guarded, args=(ask, number)) for number in range(N_THREADS)]
    for thread in (*writers, *readers):
        thread.start()
    for thread in readers:
        thread.join()
    stop.set()
    for thread in writers:
        thread.join()
    base.fit(source)
    assert not wrong, wrong
    total = {}
    for found in itertools.chain.from_iterable(part.items() for part in counts):
        total[found[0]] = total.get(found[0], 0) + found[1]
    return total, f"{turns[replace]} times replaced, {turns[fit_again]} fits of the base"


@pytest.mark.parametrize("n_requests", [40, pytest.param(10_000, marks=pytest.mark.soak)])
def test_answers_under_load_are_the_serial_ones(served, source, n_requests, figures):
    counts, turns = put_under_load(*served, source, n_requests)
    figures(f"{N_THREADS} threads x {n_requests} requests: {counts}, {turns}")
    assert None not in counts, counts
    assert sum(counts.values()) == N_THREADS * n_requests
    assert len(counts) >= 3  # of several versions


KINDS = [LowRank(2, **GIVEN), ItemItem(**OWN), Blended([Anchored(**GIVEN), ItemItem(**OWN)], [1, 1])]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_bank_answers_with_an_adapter_before_or_after_its_update(served, target, kind):
    """Never with half of it, wherever the update is when somebody asks."""
    base, _ = served
    known = target.align_items(base.items_)
    few, new = known.filter(known.rows() < 60), known.filter(known.rows() >= 100)
    adapter = clone(kind).fit(few, base=base)
    users, answers = adapter.recommend(k=1).users[:10], []
    bank = AdapterBank(base, {"de": adapter})

    def ask():
        answers.append(key(AdapterBank(base, {"de": adapter}).recommend(users, "de")))
        answers.append(key(bank.recommend(users, "de")))

    def each_step(frame, event, arg):
        """Ask after every line of code that changed an attribute of the adapter."""
        if not frame.f_code.co_filename.startswith(ADAPT):
            return None
        now = [id(value) for value in vars(adapter).values()]
        if now != state[-1]:
            state.append(now)
            sys.settrace(None)
            ask()
            sys.settrace(each_step)
        return each_step

    changes = [lambda: adapter.update(new), lambda: adapter.fit(few, base=base)]
    if hasattr(type(adapter), "scale"):
        changes.append(lambda: setattr(adapter, "scale", 0.5))
    for change in changes:
        answers.clear()
        ask()
        right, state = set(answers), [None]
        before = sys.gettrace()
        sys.settrace(each_step)
        try:
            change()
        finally:
            sys.settrace(before)
        ask()
        right |= set(answers[-2:])
        assert len(right) == 2
        assert set(answers) == right


class Service:
    """What a service does day after day, in one process."""

    def __init__(self, source, target, split, report):
        self.source, self.target, self.split, self.report = source, target, split, report
        self.base = IALS(8, n_iter=2, reg=0.02, random_state=0).fit(source)
        self.bank = AdapterBank(self.base)

    def cycle(self):
        base = IALS(8, n_iter=2, reg=0.02, random_state=0).fit(self.source)
        self.base.fit(self.source)
        adapters = (
            LowRank(2, **GIVEN), Anchored(**GIVEN), ItemItem(**OWN),
            AdapterSelector([Anchored(**GIVEN)], guard=False, random_state=0),
        )  # fmt: skip
        for place, adapter in enumerate(adapters):
            adapter.fit(self.target, base=base).update(self.target.filter(self.target.rows() < 5))
            loaded = copied(adapter, base, histories=True)
            assert_same(loaded.recommend(k=5), adapter.recommend(k=5))
            self.bank[place % 2] = loaded
            self.bank.recommend(loaded.recommend(k=1).users[:9], place % 2)
        copied(base, None).recommend()
        if self.report:
            models = {"ials": clone(base), "popularity": lrrec.Popularity()}
            compared = lrrec.compare(models, self.split, metrics=["ndcg@10"])
            lrrec.Report("Today", compared, split=self.split).html()


def copied(model, base, **options):
    file = io.BytesIO()
    model.save(file, **options)
    file.seek(0)
    return lrrec.load(file, base=base)


def resident():
    """Bytes of this process in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_cycles_leave_nothing_behind(source, target, split):
    """Nothing that lrrec allocated outlives a cycle, beyond what the one before left."""
    few = [data.filter(data.rows() < 40) for data in (source, target)]
    service, sizes = Service(*few, split, report=False), []
    here = tracemalloc.Filter(True, os.path.join(os.path.dirname(lrrec.__file__), "*"))
    service.cycle()
    tracemalloc.start()
    try:
        for _ in range(2):
            service.cycle()
            gc.collect()
            traces = tracemalloc.take_snapshot().filter_traces([here]).statistics("filename")
            sizes.append(sum(part.size for part in traces))
    finally:
        tracemalloc.stop()
    assert abs(sizes[-1] - sizes[0]) < 20_000, sizes


@pytest.mark.soak
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
def test_memory_is_flat(source, target, split, figures):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    service, sizes, began, n_cycles = Service(source, target, split, report=True), [], time.monotonic(), 120
    for _ in range(n_cycles):
        service.cycle()
        gc.collect()
        sizes.append(resident() / 1e6)
    half = np.array(sizes[n_cycles // 2 :])
    slope = 100 * np.polyfit(np.arange(len(half)), half, 1)[0]
    minutes = (time.monotonic() - began) / 60
    figures(f"{minutes:.1f} minutes, {n_cycles} cycles, {sizes[-1]:.0f} MB, {slope:+.2f} MB per 100 cycles")
    assert slope < 1
