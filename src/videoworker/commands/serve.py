"""`videoworker serve`: RunPod's job API, the workers behind it and HTTP APIs before it, on this machine."""

from typing import Annotated

import typer


def serve(
    api: Annotated[
        list[str] | None,
        typer.Option(help="serve this HTTP API, at its own port; may be repeated; several, or all: under /<name>/"),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="how many; by default one per GPU, at least one")] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="0: any free one; by default PORT, else 8000, or that of the API's document"
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(help="address to listen on; by default this machine's; others need --api or API_KEYS"),
    ] = None,
) -> None:
    """Serves RunPod's job API on one machine, with workers that are kept running.

    With --api, an HTTP API takes its place. The job API then moves to a port that only this machine reaches.
    """
    # what this imports is not in the gateway's image, which has this command too
    from videoworker.commands.one_machine import serve_all

    serve_all(api or [], workers, host, port)
