"""Models on the Hugging Face Hub, for which a local folder stands here."""

import sys
import types

import pytest
from checks import assert_same

import lrrec
from lrrec import IALS
from lrrec.adapt import LowRank
from lrrec.errors import DataError, MissingDependencyError, NotFittedError, ParameterTypeError
from lrrec.interop import from_hub, push_to_hub


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The folder of the repositories; a revision is a folder in the repository, "main" by default."""
    module = types.ModuleType("huggingface_hub")
    module.made = {}

    def create_repo(repo_id, *, private, exist_ok):
        assert exist_ok
        module.made.setdefault(repo_id, private)
        (tmp_path / repo_id / "main").mkdir(parents=True, exist_ok=True)

    def upload_file(*, path_or_fileobj, path_in_repo, repo_id):
        (tmp_path / repo_id / "main" / path_in_repo).write_bytes(path_or_fileobj)

    def hf_hub_download(repo_id, filename, *, revision):
        return str(tmp_path / repo_id / (revision or "main") / filename)

    module.create_repo, module.upload_file, module.hf_hub_download = create_repo, upload_file, hf_hub_download
    module.file_exists = lambda repo_id, filename: (tmp_path / repo_id / "main" / filename).exists()
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    module.folder = tmp_path
    return module


@pytest.fixture(scope="module")
def model(likes):
    return IALS(4, n_iter=2, random_state=0).fit(likes)


def test_a_model_comes_back(hub, model, likes):
    push_to_hub(model, "me/movies")
    again = from_hub("me/movies")
    assert_same(again.recommend_from(likes, 5), model.recommend_from(likes, 5))
    with pytest.raises(DataError, match="needs the users' histories"):
        again.recommend()
    push_to_hub(model, "me/movies", histories=True, private=True)
    assert_same(from_hub("me/movies").recommend(k=5), model.recommend(k=5))
    assert hub.made == {"me/movies": False}


def test_revisions(hub, model, likes):
    push_to_hub(model, "me/movies")
    (hub.folder / "me/movies/main").rename(hub.folder / "me/movies/v1")
    push_to_hub(lrrec.EASE().fit(likes), "me/movies")
    assert isinstance(from_hub("me/movies"), lrrec.EASE)
    assert_same(from_hub("me/movies", revision="v1").recommend_from(likes, 5), model.recommend_from(likes, 5))


def test_an_adapter_comes_back_with_its_base(hub, model, likes):
    adapter = LowRank(rank=2, reg=0.1, fold_in_reg=0.01).fit(likes, base=model)
    push_to_hub(adapter, "me/adapter")
    assert_same(from_hub("me/adapter", base=model).recommend_from(likes, 5), adapter.recommend_from(likes, 5))
    assert 'from_hub("me/adapter", base=base)' in (hub.folder / "me/adapter/main/README.md").read_text()


def test_the_card_says_what_it_is_and_is_kept(hub, model, likes):
    push_to_hub(model, "me/movies")
    path = hub.folder / "me/movies/main/README.md"
    card = path.read_text()
    assert card.startswith("---\nlibrary_name: lrrec\n")
    assert f"A recommender of {likes.n_items} items, without user ids." in card
    assert repr(model) in card
    code = card.partition("```python\n")[2].partition("```")[0]
    exec(code, {"histories": likes})
    path.write_text("mine")
    push_to_hub(model, "me/movies", histories=True)
    assert path.read_text() == "mine"


def test_what_cannot_be_pushed(hub, model, monkeypatch):
    with pytest.raises(ParameterTypeError, match="model must be a model or an adapter of lrrec, got int"):
        push_to_hub(3, "me/movies")
    with pytest.raises(NotFittedError):
        push_to_hub(IALS(), "me/movies")
    for call in (lambda: push_to_hub(model, None), lambda: from_hub(3)):
        with pytest.raises(ParameterTypeError, match="repo must be a text like 'owner/name'"):
            call()
    with pytest.raises(ParameterTypeError, match="private must be True or False"):
        push_to_hub(model, "me/movies", private="no")
    assert not hub.made
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingDependencyError, match=r"from_hub\(\) needs huggingface_hub: pip install 'lrrec\[hub\]'"):
        from_hub("me/movies")
