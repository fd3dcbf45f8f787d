"""Saved models in repositories of the Hugging Face Hub."""

import io
from typing import Any

from lrrec.errors import ParameterTypeError
from lrrec.loading import load
from lrrec.models.base.recommender import Recommender
from lrrec.validate import check_bool, import_extra

FILE_NAME = "model.lrrec"
CARD = """---
library_name: lrrec
tags:
- recommender-systems
---

# {name}

A recommender of {n_items} items, {with_or_without} user ids.

```python
from lrrec import interop

model = interop.from_hub("{repo}"{base})
model.recommend_from(histories, k=10)
```

```text
{model!r}
```
"""


def push_to_hub(model: Recommender, repo: str, *, histories: bool = False, private: bool = False) -> None:
    """Save a fitted model or adapter to a repository of the Hugging Face Hub, which is made if there is none.

    Parameters
    ----------
    model : Recommender
    repo : str
        "owner/name". Its file model.lrrec is replaced; a model card, README.md, is written if there is none.
    histories : bool, default False
        Whether the file holds the users' ids and interactions, which `recommend` needs. Without them users are served
        by `recommend_from`; only item-item adapters then hold interactions, without the users' ids.
    private : bool, default False
        Of a repository that is made.

    Raises
    ------
    MissingDependencyError
        If huggingface_hub is not installed.
    DataError
        If the model cannot be saved; see `Recommender.save`.

    Notes
    -----
    One logs in as to every tool of the Hub (`hf auth login`); errors of huggingface_hub are passed on.

    Examples
    --------
    With huggingface_hub, which `pip install 'lrrec[hub]'` installs:

    >>> import lrrec
    >>> train = lrrec.Interactions.from_pairs(["ann", "ann", "bob"], ["x", "y", "x"])
    >>> model = lrrec.IALS(n_factors=2, random_state=0).fit(train)
    >>> lrrec.interop.push_to_hub(model, "owner/name")  # doctest: +SKIP
    """
    if not isinstance(model, Recommender):
        raise ParameterTypeError(f"model must be a model or an adapter of lrrec, got {type(model).__name__}")
    hub, repo = _hub("push_to_hub()"), _check_repo(repo)
    check_bool(private, "private")
    content = io.BytesIO()
    model.save(content, histories=check_bool(histories, "histories"))
    hub.create_repo(repo, private=private, exist_ok=True)
    hub.upload_file(path_or_fileobj=content.getvalue(), path_in_repo=FILE_NAME, repo_id=repo)
    if not hub.file_exists(repo, "README.md"):
        card = CARD.format(
            name=repo.rpartition("/")[2], n_items=len(model.items_), repo=repo, model=model,
            with_or_without="with" if histories else "without", base=", base=base" if hasattr(model, "base_") else "",
        )  # fmt: skip
        hub.upload_file(path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id=repo)


def from_hub(repo: str, *, revision: str | None = None, base: Any = None) -> Recommender:
    """Load a model or adapter that `push_to_hub` saved.

    Parameters
    ----------
    repo : str
        "owner/name".
    revision : str, optional
        A branch, tag or commit; the newest by default. Name a commit where results are to be repeated.
    base : Recommender, or list or dict of them, optional
        Of an adapter; see `lrrec.load`.

    Raises
    ------
    MissingDependencyError
        If huggingface_hub is not installed.
    FileFormatError
        If the file is no model of lrrec. Nothing in a file is executed.

    Notes
    -----
    The file is cached by huggingface_hub, whose errors are passed on.

    Examples
    --------
    With huggingface_hub, which `pip install 'lrrec[hub]'` installs:

    >>> import lrrec
    >>> model = lrrec.interop.from_hub("owner/name", revision="main")  # doctest: +SKIP
    >>> new = lrrec.Interactions.from_pairs(["new"], ["x"])
    >>> model.recommend_from(new, k=10)  # doctest: +SKIP
    """
    hub = _hub("from_hub()")
    return load(hub.hf_hub_download(_check_repo(repo), FILE_NAME, revision=revision), base=base)


def _hub(purpose: str) -> Any:
    return import_extra("huggingface_hub", "hub", purpose)


def _check_repo(repo: Any) -> str:
    if not isinstance(repo, str):
        raise ParameterTypeError(f"repo must be a text like 'owner/name', got {repo!r}")
    return repo
