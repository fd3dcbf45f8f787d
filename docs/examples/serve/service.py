"""Recommendations over HTTP: of a model for all, or of a market's adapter.

    LRREC_RELEASE=releases/current uvicorn service:app --workers 2

LRREC_RELEASE is a folder with `model.lrrec` and, if there are markets, `bank`, or a link to it.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import scipy.sparse as sp
from fastapi import FastAPI, HTTPException, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from pydantic import BaseModel, Field, StrictInt, StrictStr, model_validator
from release import Release, Releases

import lrrec
from lrrec.errors import LrrecError, UnknownIdError

Id = StrictInt | StrictStr

REQUESTS = Counter("lrrec_requests", "Requests for recommendations", ["status"])
SECONDS = Histogram(
    "lrrec_seconds", "Seconds of a list, without HTTP", buckets=(0.0002, 0.0005, 0.001, 0.002, 0.005, 0.02, 0.1, 1)
)


class Question(BaseModel, extra="forbid"):
    """What to recommend: for a user of the model or market, or for a history of items."""

    user: Id | None = None
    history: Annotated[list[Id], Field(max_length=10_000)] | None = None
    market: Id | None = None
    k: Annotated[int, Field(ge=1, le=1000)] = 10
    exclude: Annotated[list[Id], Field(max_length=10_000)] = []

    @model_validator(mode="after")
    def _of_one_kind(self) -> "Question":
        if (self.user is None) == (self.history is None):
            raise ValueError("give either user or history")
        return self


class Answer(BaseModel):
    """Items, best first, and the release that they come from."""

    items: list[Id]
    scores: list[float]
    version: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Load the release before the first request."""
    seconds = float(os.environ.get("LRREC_RELOAD_SECONDS", "5"))
    app.state.releases = Releases(Path(os.environ["LRREC_RELEASE"]), seconds)
    yield
    app.state.releases.stop()


app = FastAPI(title="lrrec", lifespan=lifespan)


@app.post("/recommend")
def recommend(question: Question, request: Request) -> Answer:
    """Recommend to a user or for a history; unknown items of a history are left out."""
    release: Release = request.app.state.releases.present  # one release for the whole answer
    try:
        with SECONDS.time():
            lists = ranked(release, question)
    except UnknownIdError as error:
        REQUESTS.labels("unknown").inc()
        raise HTTPException(404, str(error)) from None
    except LrrecError as error:
        REQUESTS.labels("wrong").inc()
        raise HTTPException(400, str(error)) from None
    REQUESTS.labels("answered").inc()
    items, scores = lists.items[0].compressed().tolist(), lists.scores[0].compressed().tolist()  # without empty places
    return Answer(items=items, scores=scores, version=release.version)


def ranked(release: Release, question: Question) -> lrrec.Recommendations:
    """Return a list of one user."""
    model: Any = release.model if question.market is None else release.bank[question.market]
    options: dict[str, Any] = {"k": question.k}
    if question.exclude:
        options |= {"exclude": question.exclude, "unknown_items": "ignore"}
    if question.user is not None:
        return model.recommend([question.user], **options)
    columns = np.unique(model.items_.find(question.history))
    columns = columns[columns >= 0]
    ones, indptr = np.ones(len(columns), dtype=np.float32), [0, len(columns)]
    return model.recommend_from(sp.csr_array((ones, columns, indptr), shape=(1, len(model.items_))), **options)


@app.get("/health")
def health(request: Request) -> dict[str, Any]:
    """Say which release is served."""
    release: Release = request.app.state.releases.present
    return {"version": release.version, "model": type(release.model).__name__, "markets": len(release.bank)}


@app.get("/metrics")
def metrics() -> Response:
    """Counts and times in the format of Prometheus, of all workers where PROMETHEUS_MULTIPROC_DIR is set."""
    registry = None
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        MultiProcessCollector(registry := CollectorRegistry())
    return Response(generate_latest(*filter(None, [registry])), media_type=CONTENT_TYPE_LATEST)
