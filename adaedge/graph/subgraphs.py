"""Head and tail as modules: graphs with the model's own call on one side and its own structure on the other.

May import: ``errors``. Both share the parameters of the model that they were cut from.
"""

from __future__ import annotations

from typing import Any, final

import torch
from torch import fx, nn
from torch.utils import _pytree as pytree

from adaedge.errors import SplitError
from adaedge.graph.scores import before_argmax
from adaedge.graph.signature import Shape, Signature, fits, shape_of, written


@final
class Head(nn.Module):
    """The part before a split point, as an evaluation-mode graph.

    Called like the model; returns the crossing tensors as a tuple.
    """

    def __init__(self, graph: nn.Module, signature: Signature) -> None:
        super().__init__()
        self.graph = graph
        self._signature = signature

    def forward(self, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, ...]:
        """The crossing tensors.

        Raises:
            SplitError: if the call differs from the example's in structure, constants or a fixed dimension.
        """
        return tuple(self.graph(*self._signature.flatten(args, kwargs)))


@final
class Tail(nn.Module):
    """The part after a split point, as an evaluation-mode graph.

    Called with the crossing tensors; returns the model's own structure.
    """

    def __init__(self, graph: nn.Module, name: str, shapes: tuple[Shape, ...], out_spec: pytree.TreeSpec) -> None:
        super().__init__()
        self.graph = graph
        self._name, self._shapes, self._out_spec = name, shapes, out_spec

    def forward(self, *features: torch.Tensor) -> Any:
        """The model's output.

        Raises:
            SplitError: if these are not as many tensors as cross, or one has another shape.
        """
        if len(features) != len(self._shapes):
            raise SplitError(
                f"{len(self._shapes)} tensors cross {self._name!r}; the tail was given {len(features)}. Pass what the"
                " head returned: `tail(*head(x))`."
            )
        for at, (feature, shape) in enumerate(zip(features, self._shapes, strict=True)):
            if not isinstance(feature, torch.Tensor) or not fits(feature, shape):
                raise SplitError(
                    f"tensor {at} that crosses {self._name!r} has shape {written(shape)}; the tail was given"
                    f" {shape_of(feature)}. Pass what the head returned."
                )
        return pytree.tree_unflatten(list(self.graph(*features)), self._out_spec)

    def before_argmax(self) -> Tail:
        """The tail that returns scores, classes along dimension 1, where this one returns the largest one's label.

        It shares this one's parameters; where no output is an argmax over classes, it is this one.
        """
        graph = before_argmax(self.graph) if isinstance(self.graph, fx.GraphModule) else None
        return self if graph is None else Tail(graph, self._name, self._shapes, self._out_spec)
