"""The widths of the network that is built, one module each.

May import: ``errors``, ``engine``, ``levels``; of this part ``frames``, ``weight_file``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from adaedge.builder.frames import ExampleCall
from adaedge.builder.weight_file import Index
from adaedge.engine import Arrays
from adaedge.levels import Elastic

_BATCH = 32
_MOST_SAMPLES = 256  # more would move batch-norm statistics by less than repair does


def module_of(net: nn.Module, width: float) -> nn.Module:
    """The network at a width: an ordinary module.

    Raises:
        LevelError: if it has no such width.
    """
    if not isinstance(net, Elastic):
        return net
    return net.net if width == 1.0 else net.extract(width)


def index_of(net: nn.Module, width: float) -> dict[str, Index]:
    """Name of each tensor that a width narrows → the positions that it keeps in each dimension; ``None`` for all."""
    found = net.indices(width) if isinstance(net, Elastic) and width < 1 else {}
    return {name: tuple(None if kept is None else kept.numpy() for kept in index) for name, index in found.items()}


def recalibrate(elastic: Elastic, call: ExampleCall, samples: Sequence[Arrays]) -> None:
    """Measure the narrower levels' batch-norm statistics on samples, as `Elastic.recalibrate` does.

    A model that takes keyword arguments is left as it is.

    Args:
        elastic: changed.
        call: how it is called.
        samples: the bundle's inputs.
    """
    has_statistics = any(isinstance(module, _BatchNorm) for module in elastic.modules())
    if samples and has_statistics and not call.kwargs:
        elastic.recalibrate(call.unflattened(batch) for batch in _batches(samples[:_MOST_SAMPLES], call.wrapped))


def _batches(samples: Sequence[Arrays], frames: bool) -> Iterator[Arrays]:
    """Several frames at once: the variance between them counts too. Other inputs are taken as they are."""
    size = _BATCH if frames else 1
    for at in range(0, len(samples), size):
        batch = samples[at : at + size]
        yield batch[0] if len(batch) == 1 else tuple(map(np.concatenate, zip(*batch, strict=True)))
