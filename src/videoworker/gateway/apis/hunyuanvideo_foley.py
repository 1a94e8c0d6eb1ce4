"""The `hunyuanvideo-foley` API over HTTP: a web page made with Gradio, and Gradio's own protocol beneath it.

Document: hunyuanvideo-foley.md. Its parts are in `videoworker.gateway.foley`.
"""

from fastapi import FastAPI

from videoworker.apis.hunyuanvideo_foley import API
from videoworker.gateway.apis.form import HttpForm
from videoworker.gateway.service import Service


def _app(service: Service) -> FastAPI:
    from videoworker.gateway.foley.app import foley_app  # imports Gradio, which takes seconds

    return foley_app(service)


FORM = HttpForm(API, 7860, _app, has_page=False)
