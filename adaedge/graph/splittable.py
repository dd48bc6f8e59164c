"""Splittable: a model that can be cut at any of its split points.

May import: ``errors``, ``operating_point``.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, final, runtime_checkable

from torch import nn

from adaedge.errors import CaptureError, SplitError
from adaedge.graph.capture import Capture, capture
from adaedge.graph.plan import CapturedPlan, Plan, WholePlan
from adaedge.graph.signature import Signature
from adaedge.graph.split_points import SplitPoint
from adaedge.graph.subgraphs import Head, Tail


@runtime_checkable
class Wrapper(Protocol):
    """A module that runs one of several networks."""

    @property
    def active(self) -> nn.Module:
        """The network that it runs now, which is the one to capture."""
        ...


@final
class Splittable(nn.Module):
    """A model with its split points.

    ``split(*args, **kwargs)`` is the model's own forward. ``split.at(name)`` gives head and tail, for which
    ``tail(*head(x))`` equals the model in evaluation mode. Both share the model's parameters and pass gradients.
    Nothing of the model is changed; move it to its device before it is wrapped.

    Args:
        net: the model; of an `adaedge.Elastic` the width that is set.
        args: an example of its positional arguments. Dimension 0 of the first tensor is the batch.
        kwargs: an example of its keyword arguments.
        dynamic: whether head and tail take any batch size where the model allows it; otherwise the example's only.

    Attributes:
        points: the split points in execution order, from ``input`` to ``output``.
        obstacle: why the model could not be captured; ``None`` if it was. Without a capture only the ends exist.
        dynamic: whether head and tail take any batch size.

    Raises:
        SplitError: if ``args`` is a tensor instead of a tuple.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).eval()
        >>> x = torch.rand(1, 4)
        >>> split = Splittable(net, (x,))
        >>> [(point.name, point.payload_bytes, point.head_macs) for point in split.points]
        [('input', 16, 0), ('0', 12, 12), ('1', 12, 12), ('output', 8, 18)]
        >>> head, tail = split.at("1")
        >>> torch.equal(tail(*head(x)), net(x))
        True
    """

    def __init__(
        self, net: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None, *, dynamic: bool = True
    ) -> None:
        super().__init__()
        self.net = net = net.active if isinstance(net, Wrapper) else net
        signature = Signature.of(args, kwargs or {})
        self.obstacle: CaptureError | None = None
        self._plan: Plan
        try:
            self._plan = CapturedPlan(capture(net, signature, dynamic=dynamic))
        except CaptureError as error:
            self.obstacle = error
            self._plan = WholePlan(net, signature)
            told = str(error).rstrip(".")
            warnings.warn(f"{told}. Only `input` and `output` are split points.", UserWarning, stacklevel=2)
        self.points: tuple[SplitPoint, ...] = tuple(self._plan.points.values())
        self._places = {
            name: place for place, point in self._plan.points.items() for name in (point.name, *point.aliases)
        } | {point.name: place for place, point in self._plan.points.items()}

    @property
    def dynamic(self) -> bool:
        """Whether head and tail take any batch size."""
        return self._plan.signature.dynamic

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The model's own forward."""
        return self.net(*args, **kwargs)

    def at(self, name: str) -> tuple[Head, Tail]:
        """Head and tail at a split point, by its name or any module path that ends there.

        Raises:
            SplitError: if there is no such split point.
        """
        return self._plan.cut(self._place(name))

    def captured_head(self, name: str) -> Capture:
        """The head at a split point as a captured graph, which writes to nothing, for whoever divides it further.

        Raises:
            CaptureError: if the model could not be captured.
            SplitError: if there is no such split point.
        """
        return self._captured().captured_head(self._place(name))

    def captured_tail(self, name: str) -> Capture:
        """The tail at a split point as a captured graph that takes what crosses; the rest as `captured_head`."""
        return self._captured().captured_tail(self._place(name))

    def _captured(self) -> CapturedPlan:
        if not isinstance(self._plan, CapturedPlan):
            assert self.obstacle is not None
            raise self.obstacle
        return self._plan

    def point(self, name: str) -> SplitPoint:
        """The split point of this name, or where the module of this path ends.

        Raises:
            SplitError: if there is no such split point.
        """
        return self._plan.points[self._place(name)]

    def tap(self, names: Sequence[str]) -> nn.Module:
        """The whole model as one module that also returns what crosses at these split points.

        Called like the model; returns a flat tuple: the tensors of the model's output, then for each name in order
        its crossing tensors.

        Raises:
            SplitError: if one of the names is no split point.
        """
        return self._plan.tapped([self._place(name) for name in names])

    def _place(self, name: str) -> int:
        if name in self._places:
            return self._places[name]
        if self.obstacle is not None:
            raise SplitError(
                f"no split point {name!r}: this model could only be split at `input` and `output`, because"
                f" {self.obstacle}"
            )
        near = difflib.get_close_matches(name, self._places, n=3, cutoff=0.0)
        raise SplitError(f"no split point {name!r}; nearest: {', '.join(near)}. List all with `split.points`.")
