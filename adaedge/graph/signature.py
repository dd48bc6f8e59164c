"""The example call as data: how arguments become a flat list of tensors, and which dimensions may change.

May import: ``errors``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils import _pytree as pytree

from adaedge.errors import SplitError

Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """The call that a model was captured with.

    Attributes:
        spec: the structure of ``(args, kwargs)``.
        leaves: every leaf of it; a tensor is the example's own, anything else is a constant of the capture.
        batch: length of the batch dimension in the example; ``None`` where no input has one.
        dynamic: whether another batch size may be given.
    """

    spec: pytree.TreeSpec
    leaves: tuple[Any, ...]
    batch: int | None
    dynamic: bool = False

    @classmethod
    def of(cls, args: Sequence[Any] | torch.Tensor, kwargs: Mapping[str, Any]) -> Signature:
        """The signature of ``net(*args, **kwargs)``. The batch is dimension 0 of the first tensor.

        Raises:
            SplitError: if ``args`` is a tensor, whose rows would be the arguments.
        """
        if isinstance(args, torch.Tensor):
            raise SplitError(
                "args is a tuple of the model's arguments, such as (image,); got a tensor of shape"
                f" {shape_of(args)}. Write (tensor,)."
            )
        leaves, spec = pytree.tree_flatten((tuple(args), dict(kwargs)))
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        batch = tensors[0].shape[0] if tensors and tensors[0].dim() else None
        return cls(spec, tuple(leaf.detach() if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves), batch)

    @property
    def tensors(self) -> list[torch.Tensor]:
        """The example's tensors, in order."""
        return [leaf for leaf in self.leaves if isinstance(leaf, torch.Tensor)]

    def is_batched(self, leaf: Any) -> bool:
        """Whether dimension 0 of this leaf is the batch."""
        return isinstance(leaf, torch.Tensor) and leaf.dim() > 0 and leaf.shape[0] == self.batch

    def call(self, tensors: Sequence[torch.Tensor]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """``(args, kwargs)`` with these tensors in the places of the example's."""
        rest = iter(tensors)
        leaves = [next(rest) if isinstance(leaf, torch.Tensor) else leaf for leaf in self.leaves]
        args, kwargs = pytree.tree_unflatten(leaves, self.spec)
        return args, kwargs

    def flatten(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[torch.Tensor]:
        """The tensors of a call like the example's, in the captured order.

        Raises:
            SplitError: if the call differs from the example in structure, constants or a fixed dimension.
        """
        _, named = pytree.tree_unflatten(list(self.leaves), self.spec)
        ordered = {key: kwargs[key] for key in named if key in kwargs} | dict(kwargs)
        leaves, spec = pytree.tree_flatten((tuple(args), ordered))
        if spec != self.spec:
            raise SplitError(
                f"the model was captured with {_described(self.spec, self.leaves)}; this call has"
                f" {_described(spec, leaves)}. Call it like the example, or wrap it again with `Splittable(net, args,"
                " kwargs)`."
            )
        for given, captured in zip(leaves, self.leaves, strict=True):
            self._check(given, captured)
        return [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]

    def _check(self, given: Any, captured: Any) -> None:
        if not isinstance(captured, torch.Tensor):
            if isinstance(given, torch.Tensor) or given != captured:
                raise SplitError(f"the model was captured with the constant {captured!r}; this call has {given!r}")
            return
        free = self.dynamic and self.is_batched(captured)
        expected: Shape = tuple(None if free and axis == 0 else size for axis, size in enumerate(captured.shape))
        if not isinstance(given, torch.Tensor) or not fits(given, expected):
            raise SplitError(f"an input of shape {written(expected)} was captured; this call has {shape_of(given)}")


def fits(tensor: torch.Tensor, shape: Shape) -> bool:
    """Whether ``tensor`` has this shape; ``None`` allows any length."""
    return tensor.dim() == len(shape) and all(
        size is None or tensor.shape[axis] == size for axis, size in enumerate(shape)
    )


def written(shape: Shape) -> str:
    """A shape for people; ``N`` is a length that may change."""
    return "(" + ", ".join("N" if size is None else str(size) for size in shape) + ")"


def shape_of(value: Any) -> str:
    """The type and shape of a value, for an error message."""
    return written(tuple(value.shape)) if isinstance(value, torch.Tensor) else type(value).__name__


def _described(spec: pytree.TreeSpec, leaves: Sequence[Any]) -> str:
    args, kwargs = pytree.tree_unflatten(list(leaves), spec)
    given = pytree.tree_map(lambda leaf: "tensor" if isinstance(leaf, torch.Tensor) else leaf, (args, kwargs))
    return f"args {given[0]} and kwargs {given[1]}"
