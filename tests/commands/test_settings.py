"""A wrong variable in the environment, as the user of a command meets it."""

from tests.commands.command_line import run


def test_a_wrong_variable_ends_a_command_with_one_line_that_names_it() -> None:
    done = run("models", ALLOW_DOWNLOAD="perhaps")
    assert done.returncode == 1
    assert done.stderr.startswith("ALLOW_DOWNLOAD: ") and done.stderr.count("\n") == 1
