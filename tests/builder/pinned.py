"""What the files in builder/ pin."""

import re
from pathlib import Path

from packaging.utils import canonicalize_name

from tests.handler_process import ROOT


def pins(file: str | Path) -> dict[str, str]:
    """Versions by name in a file of builder/. Every line that is no option and no comment must be an exact pin."""
    text = (ROOT / "builder" / file).read_text("utf-8")
    found: dict[str, str] = {}
    for line in re.findall(r"^[^\s#].*", text, re.MULTILINE):
        pin = re.fullmatch(r"([\w.-]+)==([\w.]+)(?: \\)?", line)
        assert pin, f"{file}: {line}"
        name = canonicalize_name(pin[1])
        assert name not in found, f"{file} pins {name} twice"
        found[name] = pin[2]
    assert found
    return found
