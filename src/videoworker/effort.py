"""How much is computed for a clip. A room of its own, since requests, settings and models name it, and images fetch
weights with no more than these."""

from typing import Literal

Effort = Literal["exact", "full", "fast", "turbo"]
