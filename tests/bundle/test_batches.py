from __future__ import annotations

import numpy as np
import pytest

from adaedge.bundle.batches import join, pieces
from adaedge.bundle.entries import TensorSpec
from adaedge.bundle.manifest import Manifest
from adaedge.errors import BundleError


def manifest(inputs, outputs):
    specs = [tuple(TensorSpec("t", "float32", shape) for shape in shapes) for shapes in (inputs, outputs)]
    return Manifest("", "", *specs, {}, (), ())


def test_pieces_put_together_are_the_whole():
    whole = np.arange(24, dtype=np.float32).reshape(6, 4)
    cut = pieces((whole, whole[:, :1]), manifest([(2, 4), (2, 1)], [(2, 3)]))
    assert [tuple(array.shape for array in piece) for piece in cut] == [((2, 4), (2, 1))] * 3
    assert np.array_equal(join(cut)[0], whole)


@pytest.mark.parametrize("length", range(2, 14))
def test_where_a_tensor_has_no_batch_nothing_is_cut(length):
    whole = np.zeros((12, 4), np.float32)
    for other in ((length,), (length, 4), ()):
        with pytest.raises(BundleError, match=r"inputs: expected float32 \(1, 4\); got float32 \(12, 4\)"):
            pieces((whole,), manifest([(1, 4)], [(1, 2), other]))


@pytest.mark.parametrize("lengths", [(4, 2), (2, 4), (0, 0), (3, 3), (1, 1)])
def test_inputs_that_are_no_whole_number_of_batches_are_refused(lengths):
    arrays = [np.zeros((length, 4), np.float32) for length in lengths]
    with pytest.raises(BundleError, match="inputs: expected"):
        pieces(arrays, manifest([(2, 4), (2, 4)], [(2, 2)]))
