"""bfloat16: the nearest pattern on the side that was asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaedge.payload.tensors import from_bfloat16, to_bfloat16

floats = st.floats(width=32, min_value=-(2.0**127), max_value=2.0**127)


@given(floats)
def test_bfloat16_brackets_its_value_tightly(value):
    values = np.array([value], np.float32)
    low, high = (from_bfloat16(to_bfloat16(values, up=up))[0] for up in (False, True))
    assert low <= values[0] <= high
    assert high - low <= max(abs(values[0]) * 2**-7, 2.0**-126)


@pytest.mark.parametrize("value", [0.0, 1.0, -1.5, 3.0, -256.0, 2.0**-126])
def test_bfloat16_keeps_what_it_can_hold(value):
    for up in (False, True):
        assert from_bfloat16(to_bfloat16(np.array([value], np.float32), up=up))[0] == value
