"""The version, as a user asks for it."""

from tests.commands.command_line import run
from videoworker import __version__


def test_the_command_line_says_its_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"videoworker {__version__}\n"), done.stderr
