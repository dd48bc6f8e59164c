"""Either implementation of the entropy coder's loops in turn."""

from __future__ import annotations

import pytest

from adaedge.payload.entropy import plain, stack


@pytest.fixture(scope="module", params=["C", "Python"])
def either_loops(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stack, "LOOPS", stack.compiled if request.param == "C" else plain)
        yield
