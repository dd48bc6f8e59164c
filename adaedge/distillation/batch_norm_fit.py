"""A level's batch-norms by least squares: as near to the full width as a shift and a scale of each channel allow.

May import: ``levels``; of this part ``batch_norms``.

The full width's output of a batch-norm is regressed on the level's input of it, channel by channel and from the first
batch-norm to the last, so that each sees inputs already corrected. There are two numbers a channel to find, and
thousands of pixels to find them from: a few dozen images do, whatever their classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from adaedge.distillation.batch_norms import (
    BatchNorm,
    kept_of,
    norms_of,
    record_activations,
    set_statistics,
    statistics,
)
from adaedge.levels import Elastic

LEAST = 1e-3  # of the scale that mean and deviation alone give: a channel that says nothing is all but switched off


def regress(elastic: Elastic, width: float, images: Tensor) -> None:
    """Set the batch-norm statistics of a level.

    Args:
        elastic: the levels, in evaluation mode.
        width: which one.
        images: what the network takes, (N, …). All are run at once, and the full width's features are held: about
            27 MB an image for EfficientNet-Lite0.

    Raises:
        LevelError: if the level has no batch-norm.
    """
    norms, kept = norms_of(elastic, width), kept_of(elastic, width)
    full = {name: elastic.net.get_submodule(name) for name in norms}
    wanted: dict[str, Tensor] = {}

    def want(name: str, features: Tensor) -> None:
        norm = full[name]
        assert isinstance(norm, BatchNorm)
        mean, deviation = statistics(norm)
        scale, shift = norm.weight / deviation, norm.bias - norm.weight * mean / deviation
        wanted[name] = kept(name, features * _spread(scale, features) + _spread(shift, features))

    def fit(name: str, features: Tensor) -> None:
        _fit(norms[name], features, wanted.pop(name))

    with torch.no_grad():
        with record_activations(full, want, inputs=True):
            elastic.net(images)
        with record_activations(norms, fit, inputs=True):
            elastic.level(width)(images)


def _fit(norm: BatchNorm, found: Tensor, wanted: Tensor) -> None:
    """The line through (found, wanted) of each channel, as a mean and a deviation: γ (x − μ) / σ + β."""
    axes = [axis for axis in range(found.dim()) if axis != 1]
    found_mean, wanted_mean = found.mean(axes), wanted.mean(axes)
    apart = found - _spread(found_mean, found)
    variance = apart.square().mean(axes)
    slope = (apart * (wanted - _spread(wanted_mean, wanted))).mean(axes) / variance.clamp_min(1e-12)
    # The slope's sign is γ's, for σ is above 0. A slope that has the other one is as good as none.
    least = LEAST * norm.weight.abs() / (variance + norm.eps).sqrt()
    deviation = norm.weight.abs() / torch.maximum(slope * norm.weight.sign(), least).clamp_min(1e-12)
    mean = found_mean - (wanted_mean - norm.bias) * deviation / norm.weight
    # Without a scale there is no line: the output is β whatever the statistics are.
    usable = norm.weight.abs() > 1e-6
    old_mean, old_deviation = statistics(norm)
    set_statistics(norm, torch.where(usable, mean, old_mean), torch.where(usable, deviation, old_deviation))


def _spread(values: Tensor, features: Tensor) -> Tensor:
    return values.view(-1, *[1] * (features.dim() - 2))
