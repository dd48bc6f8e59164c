"""Elastic: one weight set, many widths.

May import: ``errors``; of this part all but training.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast, final

import safetensors
import safetensors.torch
import torch
from torch import nn

from adaedge.errors import LevelError, ModelError
from adaedge.levels.batch_norm import Statistics, recalibrate
from adaedge.levels.budget import Budget, count_macs, widest
from adaedge.levels.channel_groups import ChannelGroup, Index, check_multiple, indices
from adaedge.levels.group_search import find, still_whole
from adaedge.levels.importance import L2, Importance
from adaedge.levels.permutation import permute
from adaedge.levels.sensitivity import Segment, allocate, drop_order
from adaedge.levels.slices import is_statistic, make_level
from adaedge.levels.verification import verified

WIDTHS = (1.0, 0.75, 0.5, 0.25)
Progress = Callable[[str, int, int], None]


@final
class Elastic(nn.Module):
    """A network that runs at several widths, all of them slices of one weight set.

    Each channel group is put into the order of its importance once; a narrower level keeps the first ceil(width · n)
    channels of each group of n. Setting ``width`` swaps module trees and copies nothing. The wrapped network is copied
    first and stays as it is; the copy computes the same function, up to the order of additions.

    Training any level trains the one weight set: gradients arrive in ``parameters()``, which are the full network's.
    Batch-norm statistics are each level's own.

    Args:
        net: the network.
        args: an example of its positional arguments.
        widths: fractions of channels; 1 is always among them.
        kwargs: an example of its keyword arguments.
        importance: what orders the channels of a group; `L2` without it.
        sensitivity: a few dozen samples, each a tensor or a tuple of the network's arguments. With them, channels are
            dropped where that changes the network's output least, and a width is the fraction over all groups'
            channels; without them every group keeps the same fraction.
        multiple: channels of a group are kept in multiples of this, the nearest to its fraction. Convolutions in blocks
            of 8 or 16 channels, as ONNX Runtime's, are slow where a level leaves a block half empty.
        progress: called as ``progress(what, done, total)`` while groups are verified.

    Attributes:
        net: the full width.
        widths: descending, from 1.
        groups: the channel groups that become narrower.
        skipped: name → reason of every group that is kept whole.

    Raises:
        LevelError: if a width is not in (0, 1], ``multiple`` is below 1, or no group can be narrowed.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
        >>> elastic = Elastic(net, (torch.rand(1, 4),), widths=(1.0, 0.5))
        >>> elastic.width = 0.5
        >>> elastic(torch.rand(3, 4)).shape, elastic.extract(0.5)[0].weight.shape
        (torch.Size([3, 2]), torch.Size([4, 4]))
    """

    def __init__(
        self,
        net: nn.Module,
        args: Sequence[Any],
        widths: Sequence[float] = WIDTHS,
        *,
        kwargs: Mapping[str, Any] | None = None,
        importance: Importance | None = None,
        sensitivity: Iterable[Any] | None = None,
        multiple: int = 1,
        progress: Progress | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(args, tuple | list):
            raise ModelError(f"args is a tuple of the model's arguments, such as (image,); got a {type(args).__name__}")
        check_multiple(multiple)
        self.widths = _checked(widths)
        self._multiple = multiple
        self._example = (tuple(args), dict(kwargs or {}))
        training = net.training
        # Through training mode, where some models drop what they had cached of their weights.
        self.net = copy.deepcopy(net).train().eval()
        groups, whole = find(copy.deepcopy(self.net).requires_grad_(True), *self._example)
        right, wrong = verified(self.net, groups, *self._example, progress)
        self.groups: tuple[ChannelGroup, ...] = tuple(right)
        self.skipped = still_whole(whole | wrong, self.groups)
        if not self.groups and len(self.widths) > 1:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in list(self.skipped.items())[:3])
            raise LevelError(f"no channel group of this network can be narrowed ({reasons or 'it has none'})")
        permute(self.net, self.groups, (importance or L2())(self.net, self.groups))
        self._order = None if sensitivity is None else drop_order(self.net, self.groups, sensitivity)
        self._width = 1.0
        self._levels: dict[float, nn.Module] = {}
        self._statistics = nn.ModuleDict()
        self._make_levels()
        self.train(training)

    @property
    def width(self) -> float:
        """The width that ``forward`` runs; one of ``widths``."""
        return self._width

    @width.setter
    def width(self, width: float) -> None:
        self._check(width)
        self._width = width

    @property
    def active(self) -> nn.Module:
        """The level that ``forward`` runs: what `adaedge.Splittable` cuts."""
        return self._levels[self._width]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The network at the width that is set."""
        return self._levels[self._width](*args, **kwargs)

    def level(self, width: float) -> nn.Module:
        """The network at a width, in the shared memory.

        Raises:
            LevelError: if it is none of ``widths``.
        """
        self._check(width)
        return self._levels[width]

    def extract(self, width: float) -> nn.Module:
        """The network at a width as an ordinary module with tensors of its own.

        Raises:
            LevelError: if it is none of ``widths``.
        """
        self._check(width)
        statistics = {name: tensor.clone() for name, tensor in self._own(width).items()}
        plain = make_level(self.net, self.groups, self.kept(width), statistics, shared=False)
        return plain.train(self.training)

    def kept(self, width: float) -> dict[str, int]:
        """Name of each group → channels that a width keeps of it.

        Example:
            >>> elastic = Elastic(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2)), (torch.rand(1, 4),))
            >>> elastic.kept(0.75)
            {'0': 6}
        """
        counts = allocate(self.groups, self._order, width)
        return {group.name: group.rounded(counts[group.name], self._multiple) for group in self.groups}

    def indices(self, width: float) -> dict[str, Index]:
        """Name of each tensor that a width narrows → the positions it keeps in each dimension; ``None`` for all."""
        shapes = {name: tuple(tensor.shape) for name, tensor in self.net.state_dict().items()}
        return indices(self.groups, self.kept(width), shapes)

    def macs(self, width: float) -> int:
        """Multiply-accumulates of a width, whether or not it is one of ``widths``, at the example."""
        return int(self._cost(width, count_macs))

    def choose(self, **budget: Any) -> float:
        """Add the widest level within a budget to ``widths``, and return its width, a multiple of 1/128.

        Args:
            **budget: one field of `Budget`: ``macs=``, ``latency_s=``, or ``energy_j=`` with ``power=``.

        Raises:
            LevelError: if not exactly one budget is given, or even the narrowest level exceeds it.

        Example:
            >>> elastic = Elastic(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2)), (torch.rand(1, 4),), widths=(1.0,))
            >>> elastic.macs(1.0), elastic.choose(macs=24), elastic.widths
            (48, 0.5, (1.0, 0.5))
        """
        given = Budget(**budget)
        timed = given.macs is None  # as a level runs, which is on the shared memory
        width = widest(lambda width: self._cost(width, given.cost, shared=timed), *given.limit)
        self.widths = _checked((*self.widths, width))
        self._make_levels()
        self.train(self.training)
        return width

    def recalibrate(self, batches: Iterable[Any], widths: Sequence[float] | None = None) -> None:
        """Batch-norm statistics of levels from data: means over all batches.

        Args:
            batches: a tensor, or a tuple of the network's arguments, each.
            widths: which levels; without them all but the full width, whose statistics came with the network.
        """
        batches = list(batches)
        for width in self.widths[1:] if widths is None else widths:
            recalibrate(self.level(width), batches)

    def train(self, mode: bool = True) -> Self:
        """Set every level to training or evaluation."""
        super().train(mode)
        for level in self._levels.values():
            level.train(mode)
        return self

    def save(self, path: str | Path) -> None:
        """Write weights, statistics and channel order to one safetensors file."""
        order = self._order and [(segment.group, segment.channels) for segment in self._order]
        groups = [group.name for group in self.groups]
        document = {"widths": self.widths, "groups": groups, "order": order, "multiple": self._multiple}
        tensors = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        safetensors.torch.save_file(tensors, path, {"adaedge-elastic": json.dumps(document)})

    @classmethod
    def load(
        cls, path: str | Path, net: nn.Module, args: Sequence[Any], *, kwargs: Mapping[str, Any] | None = None
    ) -> Elastic:
        """Read what ``save`` wrote.

        Args:
            path: the file.
            net: a network of the same architecture, whatever its weights.
            args: an example of its positional arguments.
            kwargs: an example of its keyword arguments.

        Raises:
            ModelError: if the file is not of this network.
        """
        with safetensors.safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get("adaedge-elastic")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if text is None:
            raise ModelError(f"{path} holds no Elastic; write one with `Elastic.save`")
        document = json.loads(text)
        elastic = cls(net, args, (1.0,), kwargs=kwargs, multiple=document.get("multiple", 1))
        if document["groups"] != [group.name for group in elastic.groups]:
            raise ModelError(f"{path} was written of a network with other channel groups; load it with that network")
        order = document["order"]
        elastic._order = None if order is None else tuple(Segment(*entry) for entry in order)
        elastic.widths = _checked(document["widths"])
        elastic._make_levels()
        elastic.load_state_dict(tensors)
        return elastic.train(net.training)

    def _check(self, width: float) -> None:
        if width not in self.widths:
            held = ", ".join(f"{held:g}" for held in self.widths)
            raise LevelError(f"no width {width:g}; this network has {held}. Name it in `widths` when it is wrapped.")

    def _cost(self, width: float, measure: Callable[..., float], *, shared: bool = False) -> float:
        level = make_level(self.net, self.groups, self.kept(width), shared=shared).eval()
        return measure(level if shared else level.requires_grad_(False), *self._example)

    def _own(self, width: float) -> dict[str, torch.Tensor]:
        """A level's own batch-norm statistics."""
        if width == 1.0:
            return {name: tensor for name, tensor in self.net.named_buffers() if is_statistic(name)}
        return cast("Statistics", self._statistics[_key(width)]).tensors()

    def _make_levels(self) -> None:
        """Make every narrower tree anew; the tensors are those that are registered."""
        self._levels = {1.0: self.net}
        for width in self.widths[1:]:
            known = _key(width) in self._statistics
            level = make_level(self.net, self.groups, self.kept(width), self._own(width) if known else None)
            if not known:
                self._statistics[_key(width)] = Statistics(level)
            self._levels[width] = level

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        """Move or convert: the full tensors are, and the views are made anew."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._make_levels()
        self.train(self.training)
        return self

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_levels": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._make_levels()
        self.train(self.training)


def _key(width: float) -> str:
    return f"{width!r}".replace(".", "_")


def _checked(widths: Sequence[float]) -> tuple[float, ...]:
    for width in widths:
        if not 0 < width <= 1:
            raise LevelError(f"width is the fraction of channels kept, in (0, 1]; got {width}")
    return tuple(sorted({1.0, *map(float, widths)}, reverse=True))
