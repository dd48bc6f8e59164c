"""Either implementation of the loops in turn, of the entropy coder's and of the bottleneck's."""

from __future__ import annotations

import pytest

from adaedge.payload.entropy import plain, stack
from adaedge.payload.latent import loops


@pytest.fixture(scope="module", params=["C", "Python"])
def either_loops(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stack, "LOOPS", stack.compiled if request.param == "C" else plain)
        patch.setattr(loops, "LOOPS", loops.compiled if request.param == "C" else loops.Plain)
        yield
