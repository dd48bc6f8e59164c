"""Coefficients: latents before any rounding, in the unit of the bottleneck's own metric; what filtering looks at.

May import: ``errors``; of this part ``transform``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from adaedge.arrays import Array
from adaedge.payload.latent.transform import TransformCode

Floats = npt.NDArray[np.float64]


def coefficients(latents: TransformCode, tensors: Sequence[Array]) -> Floats:
    """The transform of features, (N, positions, components), unrounded.

    They are in the metric's unit: half a squared difference is the divergence, in nats, that is expected between the
    two predictions (1 − cosine where the network has no classes).

    Raises:
        CodecError: if they are not the tensors that the bottleneck was fitted for, or not finite.
    """
    return latents.analyse(latents.layout.rows(tensors)) * unit(latents)


def features(latents: TransformCode, values: Array) -> tuple[Array, ...]:
    """The inverse of ``coefficients``, for what its components hold."""
    return latents.layout.tensors(latents.rebuild(values.astype(np.float32)))


def variances(latents: TransformCode) -> Floats:
    """The coefficients' variances (positions, components), to a quarter octave of their deviations."""
    classes = latents.spread.astype(np.float64) - float(latents.fineness[-1])
    return np.square(float(latents.sizes[-1]) * 2.0 ** (classes / 4))


def unit(latents: TransformCode) -> float:
    """The value of one of the encoder's integers, in the metric's unit."""
    finest = int(np.argmax(latents.steps))  # the largest integer is the one that was rounded least
    return float(latents.sizes[finest]) / float(latents.steps[finest])


def moved(before: Array, now: Array) -> float:
    """The distance that coefficients moved: ½‖now − before‖², the expected divergence in nats; the batch's largest.

    Example:
        >>> moved(np.zeros((1, 2, 2)), np.array([[[0.3, 0.0], [0.0, 0.4]]]))
        0.125
    """
    squares = np.square(np.asarray(now, np.float64) - before).reshape(len(now), -1)
    return float(squares.sum(axis=1).max() / 2)
