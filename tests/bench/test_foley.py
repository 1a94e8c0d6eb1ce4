"""What the declaration of a sound model says of memory is what is counted on networks of the published size."""

import pytest

from bench.foley import count
from videoworker.models.foley import FOLEY_XL


def test_declared_memory_is_the_counted_and_at_most_a_tenth_more() -> None:
    for part, counted in count(FOLEY_XL, lengths=(10,)).items():
        declared = sum(component.size for component in FOLEY_XL.components(part))
        assert counted.weights == pytest.approx(declared, rel=1e-3)
        assert 1 <= FOLEY_XL.activation_bytes(part) / counted.beside[10] < 1.1, part
