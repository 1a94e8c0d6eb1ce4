"""The command line `videoworker`: its commands, and how it reports their errors."""

import sys
from typing import Annotated

import typer
from pydantic import ValidationError

from videoworker import __version__
from videoworker.commands.convert import convert
from videoworker.commands.estimate import estimate
from videoworker.commands.fetch import fetch
from videoworker.commands.gateway import gateway
from videoworker.commands.models import models
from videoworker.commands.serve import serve
from videoworker.commands.verify import verify
from videoworker.errors import JobError
from videoworker.settings import what_is_wrong

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _tell_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"videoworker {__version__}")
        raise typer.Exit


@app.callback()
def videoworker(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """A RunPod Serverless worker for open video models."""


for _command in (models, estimate, fetch, verify, convert, serve, gateway):
    app.command()(_command)


def main() -> None:
    """Runs a command. If it cannot do what is asked, the process ends with one line that says why."""
    try:
        app()
    except JobError as error:
        sys.exit(error.line)
    except ModuleNotFoundError as error:  # an image has the packages of its own commands
        sys.exit(f"This command needs the package {error.name}, which is not installed here.")
    except ValidationError as error:  # of the settings
        sys.exit(what_is_wrong(error))
