"""`videoworker gateway` with settings that it cannot use."""

from pathlib import Path

import pytest

from tests.forks import Forks


@pytest.mark.parametrize(
    ("options", "settings", "told"),
    [
        (["--api", "unheard"], {"ENDPOINT_URL": "http://127.0.0.1:1"}, "--api"),
        (["--api", "hunyuanvideo"], {}, "ENDPOINT_URL"),
        (
            ["--api", "hunyuanvideo"],
            {"ENDPOINT_URL": "http://x", "GATEWAY_DATABASE_URL": "sqlite:////dev/null/x"},
            "GATEWAY_DATABASE_URL",
        ),
        (["--api", "hunyuanvideo", "--host", "192.0.2.1"], {"ENDPOINT_URL": "http://x"}, "--host"),
    ],
)
def test_unusable_settings(
    tmp_path: Path, forks: Forks, options: list[str], settings: dict[str, str], told: str
) -> None:
    """It ends at once, with one line that names the setting."""
    ended = forks.run_command(tmp_path, "gateway", "--port", "0", *options, **settings)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert told in line
