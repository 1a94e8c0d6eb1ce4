"""Our decoders take no more work than diffusers' own, by a count on networks of the published size."""

from bench.decode_work import count
from builder.declared import FIRST_OF_FAMILY
from videoworker.planning.memory import GIB
from videoworker.sampling.latent_space import Shape


def test_a_decode_takes_no_more_work_than_diffusers_own() -> None:
    little, ample, stock = count(FIRST_OF_FAMILY["ltx"], Shape(17, 64, 64), 40 * GIB)
    assert little.operations == ample.operations == stock.operations
    assert ample.kernels <= stock.kernels < little.kernels
    assert ample.moved < stock.moved
