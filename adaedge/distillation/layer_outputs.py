"""A batch through a network: what it returns, and what layers of it do on the way.

May import: ``errors``; of this part ``batch_norms`` and ``terms``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from adaedge.distillation.batch_norms import record_activations
from adaedge.distillation.terms import Layer
from adaedge.errors import TrainingError

Seen = dict[Layer, Any]
LABELS = "labels"


def inputs_of(batch: Any) -> list[Tensor]:
    """The tensors that a network is called with.

    Raises:
        TrainingError: if the batch holds no images.
    """
    if isinstance(batch, dict):
        images = [value for name, value in batch.items() if name != LABELS and isinstance(value, Tensor)]
    else:
        first = batch[0] if isinstance(batch, list | tuple) and batch else batch
        images = [first] if isinstance(first, Tensor) else []
    if not images or not images[0].dim():
        kind = type(batch).__name__
        held = f" of {', '.join(type(each).__name__ for each in batch)}" if isinstance(batch, list | tuple) else ""
        raise TrainingError(
            f"the loader gives no images: a batch is a tensor, (images, labels), or a dictionary of the network's"
            f" keyword arguments; got a {kind}{held}"
        )
    return images


def labels_of(batch: Any) -> Tensor | None:
    """The labels of a batch; ``None`` where it has none."""
    if isinstance(batch, dict):
        found = batch.get(LABELS)
    else:
        found = batch[1] if isinstance(batch, list | tuple) and len(batch) > 1 else None
    return found if isinstance(found, Tensor) else None


def watch_layers(net: nn.Module, batch: Any, layers: Iterable[Layer]) -> Seen:
    """Layer → what it returned for a batch; of a layer that runs several times, the last.

    Copies, for what follows a layer may write into its output. A structure that holds one tensor alone is that tensor.

    Raises:
        TrainingError: if the batch has no images, or a layer did not run.
    """
    seen: Seen = {}

    def note(name: str, value: Any) -> None:
        seen[name] = pytree.tree_map_only(Tensor, torch.clone, value)

    modules = {name: net.get_submodule(name) for name in layers if name is not None}
    inputs_of(batch)
    with record_activations(modules, note, inputs=False):
        if isinstance(batch, dict):
            seen[None] = net(**{name: value for name, value in batch.items() if name != LABELS})
        else:
            seen[None] = net(batch[0] if isinstance(batch, list | tuple) else batch)
    for name in modules:
        if name not in seen:
            raise TrainingError(f"the layer {name!r} did not run; name one that the network calls for each batch")
    return {name: _alone(value) for name, value in seen.items()}


def _alone(value: Any) -> Any:
    leaves = [leaf for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor)]
    return leaves[0] if len(leaves) == 1 else value
