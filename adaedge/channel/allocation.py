"""Allocation: how much of a transmitter's power each value gets when values are sent as amplitudes, not as bits.

May import: ``errors``. Pure: arrays in, an array out.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from adaedge.errors import CodecError

Floats = npt.NDArray[np.float64]


def allocate(variances: Any, channel_uses: int, snr: float) -> Floats:
    """Power of each value in linear joint source–channel coding: the least squared error under a total power.

    Independent values of variances v are scaled to powers p, two of them make a complex symbol (one the real part, one
    the imaginary), white noise of power 1/snr is added to each symbol, and the best linear receiver leaves an error of
    v / (1 + 2·snr·p). The sum of errors under Σp = channel_uses (a mean symbol power of 1) is least at

        p = max(0, √v / θ − 1) / (2·snr),

    with θ such that the sum holds: Pilc, *The optimum linear modulator for a Gaussian source used with a Gaussian
    channel*, Bell System Technical Journal 48, 1969; Lee and Petersen, *Optimal linear coding for vector channels*,
    IEEE Trans. Communications 24(12), 1976. Water is filled in standard deviations here, not in variances as for bits:
    power grows with √v, and a value below θ gets none.

    Args:
        variances: of each value, any shape.
        channel_uses: complex symbols. They carry at most twice as many values: those of the largest variance.
        snr: mean power of a symbol over the noise's, as a ratio.

    Returns:
        The powers, in the shape of ``variances``.

    Raises:
        CodecError: if ``channel_uses`` or ``snr`` is not positive, or no value has a variance.

    Example:
        >>> allocate([4.0, 1.0, 0.01, 1.0], channel_uses=1, snr=2.0).tolist()  # θ is 1/2: 3 parts and 1 part
        [0.75, 0.25, 0.0, 0.0]
    """
    found = np.asarray(variances, np.float64)
    if not (channel_uses >= 1 and snr > 0 and math.isfinite(snr)):
        raise CodecError(
            f"a link has at least one use and an SNR (a ratio) above 0; got {channel_uses} uses, SNR {snr}"
        )
    if not (np.isfinite(found).all() and (found >= 0).all() and (found > 0).any()):
        raise CodecError("variances are finite and at least 0, and one is above; there is nothing to give power to")
    flat = found.reshape(-1)
    order = np.argsort(-flat, kind="stable")[: 2 * channel_uses]
    deviations = np.sqrt(flat[order])
    noise = 1 / (2 * snr)
    # θ if exactly the first so many were filled; the filled ones are those that lie above their own.
    levels = noise * np.cumsum(deviations) / (channel_uses + noise * np.arange(1, len(order) + 1))
    filled = int((deviations > levels).sum())
    powers = np.zeros_like(flat)
    powers[order[:filled]] = noise * (deviations[:filled] / levels[filled - 1] - 1)
    return powers.reshape(found.shape)
