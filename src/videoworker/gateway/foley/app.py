"""The ASGI application of the API: the gate and the streams, and Gradio behind them."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from videoworker.gateway.foley.rates import Rates
from videoworker.gateway.foley.sessions import Sessions, Streams
from videoworker.gateway.service import Service


def foley_app(service: Service) -> FastAPI:
    """Its files lie in a folder that is its own, and empty at its start."""
    folder = (service.settings.gateway_folder / "gradio").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # Gradio reads these when it is imported and when a page is made.
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": str(folder)}
    from videoworker.gateway.foley.gate import Gate
    from videoworker.gateway.foley.making import Maker
    from videoworker.gateway.foley.page import GENERATE, make_page, mounted

    sessions = Sessions()
    maker = Maker(service, sessions, folder)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await maker.clear()
        try:
            yield
        finally:
            page.close(verbose=False)

    app = FastAPI(lifespan=lifespan, openapi_url=None)
    page = make_page(maker)
    number = next(number for number, event in page.fns.items() if event.api_name == GENERATE)
    mounted(page, app)
    app.add_middleware(Streams, sessions=sessions, ending=service.ending)
    counted_at = service.settings.rate_limit_storage
    rates = Rates(service.settings.burst, None if counted_at is None else counted_at.get_secret_value())
    app.add_middleware(Gate, rates=rates, number=number)
    return app
