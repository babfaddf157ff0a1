"""The blind vote in the WebUI: a tab that shows the page of `ebca/vote`, and its routes on the
WebUI's own server, behind the WebUI's own login."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import gradio as gr  # type: ignore[import-not-found]
from fastapi import Depends, Request, Response  # type: ignore[import-not-found]
from starlette.concurrency import run_in_threadpool  # type: ignore[import-not-found]

from ebca.vote.database import StoreError
from ebca.vote.service import Service
from ebca.vote.store import Store
from ebca.vote.web import MOST_BYTES, Answer, refuse

DATA = Path(__file__).resolve().parents[2] / "data" / "vote"
"""The vote's data, in a folder of the extension that git ignores."""

_PATH = "ebca-vote"
_LOGIN = "/login_check"
"""The route by which all versions of Gradio refuse users who have not logged in."""

_ONE_AT_A_TIME = Lock()


def service() -> Service:
    """Return the one service of the running WebUI: "Reload UI" makes no new thread."""
    with _ONE_AT_A_TIME:
        return _service()


@cache
def _service() -> Service:
    """Make the service. The painter is imported only here, so that a host that lacks something
    that it needs lacks the vote alone."""
    from ebca.webui.vote_painter import WebUIPainter

    return Service(Store(DATA), WebUIPainter())


def tab() -> list[tuple[Any, str, str]]:
    """Return the tab for the WebUI; its page is loaded when it is opened."""
    with gr.Blocks(analytics_enabled=False) as page:
        frame = f"<iframe src='{_PATH}/' title='EBCA vote' loading='lazy'></iframe>"
        gr.HTML(frame, elem_id="ebca_vote")
    return [(page, "EBCA vote", "ebca_vote")]


def serve(page: Any, app: Any) -> None:
    """Add the vote's routes to the WebUI's server, unless it has no page (`--nowebui`)."""
    if page is None:
        return
    login = next((r.endpoint for r in app.routes if getattr(r, "path", "") == _LOGIN), None)
    if login is None and getattr(app, "auth", None) is not None:
        print("EBCA: the vote is not there, for it cannot tell who has logged in.")
        return
    guards = [] if login is None else [Depends(login)]
    path = f"/{_PATH}/{{path:path}}"
    app.add_api_route(path, _answer, methods=["GET", "POST"], dependencies=guards)


async def _answer(path: str, request: Request) -> Response:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            return _response(refuse(413, "That is too much at once."))
    arguments = (request.method, path, dict(request.query_params), dict(request.headers))
    return _response(await run_in_threadpool(lambda: _served(*arguments, bytes(body))))


def _served(*arguments: Any) -> Answer:
    try:
        return service().answer(*arguments)
    except (StoreError, ImportError) as error:
        return refuse(503, f"There can be no vote here: {error}")


def _response(answer: Answer) -> Response:
    headers = {**answer.headers, "content-type": answer.kind}
    return Response(answer.body, answer.status, headers)
