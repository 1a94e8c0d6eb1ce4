"""`videoworker gateway`: the documented HTTP APIs over an endpoint."""

import asyncio
import signal
import sys
from typing import Annotated

import typer

from videoworker.commands.private_files import keep_private
from videoworker.commands.service_log import configure_log
from videoworker.http.listening import CannotStartError
from videoworker.settings import settings


def gateway(
    api: Annotated[list[str], typer.Option(help="which API; may be repeated; several, or all, are under /<name>/")],
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="0: any that is free; by default PORT, else that of the API's document"),
    ] = None,
    host: Annotated[str, typer.Option(help="address to listen on; localhost: IPv4 and IPv6; `::`: all")] = "localhost",
) -> None:
    """Serves the documented HTTP APIs over the endpoint at ENDPOINT_URL."""
    # what these import is not in the worker's image, which has this command too
    from videoworker.commands.front import Front
    from videoworker.gateway.server import opened
    from videoworker.gateway.settings import settings as gateway_settings

    current = gateway_settings()
    if current.endpoint_url is None:
        sys.exit("ENDPOINT_URL: must be the URL of an endpoint, such as https://api.runpod.ai/v2/<id>")
    keep_private()
    configure_log()

    async def run() -> None:
        ending = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ending.set)
        await front.serve(opened(current, settings()), ending)

    try:
        front = Front(api, host, port, current)
        asyncio.run(run())
    except CannotStartError as error:
        sys.exit(str(error))
