"""`videoworker gateway`: the documented HTTP APIs over an endpoint."""

import asyncio
import os
import signal
import sys
from typing import Annotated

import typer

from videoworker.commands.api_arguments import ALL, chosen, listen, url_of
from videoworker.commands.service_log import configure_log
from videoworker.gateway.server import CannotStartError, opened, serve
from videoworker.gateway.settings import settings as gateway_settings
from videoworker.settings import settings

# What this process writes is for this user alone: prompts and videos are their callers' own.
_PRIVATE = 0o077


def gateway(
    api: Annotated[list[str], typer.Option(help=f"which API; may be repeated; several, or {ALL}, are under /<name>/")],
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="0: any that is free; by default that of the API's document")
    ] = None,
    host: Annotated[str, typer.Option(help="address to listen on; localhost: IPv4 and IPv6; `::`: all")] = "localhost",
) -> None:
    """Serves the documented HTTP APIs over the endpoint at ENDPOINT_URL."""
    current, forms = gateway_settings(), chosen(api)
    if current.endpoint_url is None:
        sys.exit("ENDPOINT_URL: must be the URL of an endpoint, such as https://api.runpod.ai/v2/<id>")
    os.umask(_PRIVATE)
    configure_log()
    sockets = listen(host, port, forms)

    async def run() -> None:
        ending = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ending.set)
        async with opened(current, settings()) as core:
            typer.echo(f"serving {url_of(sockets[0])} with {', '.join(form.api.name for form in forms)}")
            await serve(sockets, forms, core, ending)

    try:
        asyncio.run(run())
    except CannotStartError as error:
        sys.exit(str(error))
