"""Inputs of several batches → pieces of the example's batch, and back.

May import: ``errors``; of this part ``manifest``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from adaedge.arrays import Array
from adaedge.bundle.entries import TensorSpec
from adaedge.bundle.manifest import Manifest
from adaedge.errors import BundleError

Arrays = tuple[Array, ...]
_SHOWN = 6


def pieces(inputs: Sequence[Array] | Array, manifest: Manifest) -> list[Arrays]:
    """The inputs in pieces of the example's batch; one piece where they are that batch.

    They are only cut where every input and output of the model has the batch as its first dimension.

    Raises:
        BundleError: if they are not the model's inputs.
    """
    if isinstance(inputs, np.ndarray):
        raise BundleError(
            f"inputs are a tuple of arrays; got one array, {inputs.dtype.name} {inputs.shape}. For a camera's frame"
            " give `(bundle.preprocess(frame),)`."
        )
    arrays = tuple(np.asarray(array) for array in inputs)
    count, batch = _count(arrays, manifest)
    cut = (
        [tuple(array[i * batch : (i + 1) * batch] for array in arrays) for i in range(count)] if count > 1 else [arrays]
    )
    try:
        check(cut[0], manifest.inputs, BundleError, "inputs")
    except BundleError as error:
        raise _as_they_came(error, arrays, manifest) from None
    return cut


def join(results: Sequence[Arrays]) -> Arrays:
    """The outputs of the pieces, put together."""
    return results[0] if len(results) == 1 else tuple(map(np.concatenate, zip(*results, strict=True)))


def _as_they_came(error: BundleError, arrays: Arrays, manifest: Manifest) -> BundleError:
    """Of arrays that lack the batch, or have one dimension too many: their own shapes, not those of a piece of them."""
    if [array.ndim for array in arrays] == [len(spec.shape) for spec in manifest.inputs]:
        return error
    expected = listed([(spec.dtype, spec.shape) for spec in manifest.inputs])
    came = listed([(array.dtype.name, array.shape) for array in arrays])
    way_out = " A camera's frame becomes that by `bundle.preprocess(frame)`." if manifest.preprocessing else ""
    return BundleError(f"inputs: expected {expected}; got {came}.{way_out}")


def _count(arrays: Arrays, manifest: Manifest) -> tuple[int, int]:
    """The number of pieces, and the batch of each."""
    leading = {spec.shape[:1] for spec in (*manifest.inputs, *manifest.outputs)}
    lengths = {array.shape[:1] for array in arrays}
    if len(leading) != 1 or len(lengths) != 1 or () in leading | lengths:
        return 1, 0
    (batch,), (length,) = leading.pop(), lengths.pop()
    return (length // batch, batch) if batch and length % batch == 0 else (1, batch)


def check(arrays: Sequence[Array], specs: Sequence[TensorSpec], error: Callable[[str], Exception], what: str) -> None:
    """Refuse arrays that are not what a graph takes or returns."""
    came = [(array.dtype.name, tuple(array.shape)) for array in arrays]
    expected = [(spec.dtype, spec.shape) for spec in specs]
    if came != expected:
        raise error(f"{what}: expected {listed(expected)}; got {listed(came)}")


def listed(tensors: Sequence[tuple[str, tuple[int, ...]]]) -> str:
    """Types and shapes, for people."""
    shown = [f"{dtype} {shape}" for dtype, shape in tensors[:_SHOWN]]
    more = [f"and {len(tensors) - _SHOWN} more"] if len(tensors) > _SHOWN else []
    return ", ".join(shown + more) or "nothing"
