"""Sliding: a network of clips that computes, of each window, only the frames that are new.

May import: ``errors``, ``graph``, ``stream``; of this part ``nodes``, ``planner``, ``slots``.

Operators that look along time at a few slots only (convolutions, pools, everything that works on a slot alone) run on
the new slots and as many of the slots before as they reach back to, which are held; what that makes of the slots before
is thrown away. Where time ends, in a pool over all slots or a classifier, what is held of the old slots stands beside
the new ones. So the old slots keep what they were when they were new: in a clip of its own they would see a frame where
then zeros of padding were, and zeros where then a frame was. That is the only error, and `Sliding.error` measures it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from adaedge.errors import CacheError, CaptureError
from adaedge.graph.capture import capture
from adaedge.graph.costs import measure
from adaedge.graph.extract import subgraph
from adaedge.graph.signature import Signature
from adaedge.incremental.nodes import shape_of
from adaedge.incremental.planner import TorchEngine, asked_of, fingerprint, leaves_of
from adaedge.incremental.slots import SlideWriter, Slots, last_slots
from adaedge.stream.incremental import Cache
from adaedge.stream.incremental.plan import Held
from adaedge.stream.incremental.slides import SlidingPlan, SlidingRunner


@dataclass(frozen=True, slots=True)
class Slid:
    """A plan, with its graphs in PyTorch.

    Attributes:
        plan: see `SlidingPlan`.
        whole: a clip → outputs, then what is held.
        slide: the new frames and what is held → the same.
        leaves: for each leaf of the network's output its place among the outputs, or a constant.
        out_spec: the structure of the output.
    """

    plan: SlidingPlan
    whole: fx.GraphModule
    slide: fx.GraphModule
    leaves: tuple[Any, ...]
    out_spec: pytree.TreeSpec


def slid(net: nn.Module, clip: Tensor, step: int, axis: int = 2) -> Slid:
    """A network of clips as two graphs: of a whole clip, and of the frames that are new.

    Args:
        net: takes one clip; nothing of it is changed.
        clip: an example.
        step: how many frames are new.
        axis: the clip's dimension along which frames are.

    Raises:
        CaptureError: if it cannot be captured, or nothing of it follows a window that moves by so many frames.
    """
    found = capture(net, Signature.of((clip,), {}), dynamic=False)
    entry, *others = found.graph.graph.find_nodes(op="placeholder")
    if others or not 0 < step < clip.shape[axis]:
        raise CaptureError(f"it takes one clip, and 1 to {clip.shape[axis] - 1} frames of it are new; got {step}")
    slots = Slots.of(found, entry, axis, step)
    written = SlideWriter(found, slots, entry)
    if not written.computed:
        raise CaptureError(f"nothing of it follows a window that moves by {step} frames; move it by another number")
    asked, leaves = asked_of(found)
    ends = [(slots.axis(node), count) for node, count in written.kept.items()]
    held = tuple(
        Held((*(shape := shape_of(node))[:at], count, *shape[at + 1 :]), (), _type(node))
        for node, (at, count) in zip(written.kept, ends, strict=True)
    )
    macs = measure(found.graph, found.signature.tensors).macs
    spent = sum(count * written.computed.get(node, 1.0) for node, count in macs.items())
    taken = Held(tuple(clip.shape), (), _type(entry))
    share, name = spent / max(1, sum(macs.values())), fingerprint(found.graph)
    plan = SlidingPlan(taken, axis, step, held, len(asked), share, written.is_exact, name)
    whole = _with_ends(subgraph(found.graph, [entry], [*asked, *written.kept]), len(asked), ends)
    return Slid(plan, whole, written.finished(asked), leaves, found.out_spec)


def _type(node: fx.Node) -> str:
    return str(node.meta["val"].dtype).removeprefix("torch.")


def _with_ends(graph: fx.GraphModule, outputs: int, ends: Sequence[tuple[int, int]]) -> fx.GraphModule:
    """A graph that returns, of what is behind its outputs, the last slots: axis and number of each."""
    returned: Any = graph.graph.output_node().args[0]
    with graph.graph.inserting_before(graph.graph.output_node()):
        last = [last_slots(graph.graph, value, *end) for value, end in zip(returned[outputs:], ends, strict=True)]
    graph.graph.output_node().args = ((*returned[:outputs], *last),)
    graph.recompile()
    return graph


@final
class Sliding(nn.Module):
    """A network of clips whose forward takes the new frames of a window and a cache, and returns the next cache.

    ``plan.is_exact`` says whether its answers are the clip's own. Where temporal convolutions are padded they are not:
    see this module; `error` measures by how much.

    Args:
        net: takes one clip; nothing of it is changed. It runs in evaluation mode, without gradients.
        clip: an example, such as (1, 3, frames, height, width).
        step: how many frames are new in each window; strides in time divide it.
        axis: the clip's dimension along which frames are.

    Attributes:
        plan: see `SlidingPlan`.
        runner: what runs.

    Raises:
        CaptureError: if the network cannot be captured, or nothing of it follows such a window.

    Example:
        >>> net = nn.Sequential(nn.Conv3d(3, 4, (1, 3, 3)), nn.AdaptiveAvgPool3d(1), nn.Flatten()).eval()
        >>> film = torch.rand(1, 3, 12, 16, 16)
        >>> sliding = Sliding(net, film[:, :, :8], step=4)
        >>> output, cache = sliding(film[:, :, :8], None)
        >>> output, cache = sliding(film[:, :, 8:], cache)
        >>> torch.allclose(output, net(film[:, :, 4:]), atol=1e-6), sliding.plan.is_exact, sliding.plan.macs_share
        (True, True, 0.5)
    """

    def __init__(self, net: nn.Module, clip: Tensor, step: int, axis: int = 2) -> None:
        super().__init__()
        found = slid(net, clip, step, axis)
        self.plan, self._leaves, self._spec = found.plan, found.leaves, found.out_spec
        self.runner = SlidingRunner(found.plan, TorchEngine(found.whole), TorchEngine(found.slide))

    def forward(self, frames: Tensor, cache: Cache | None = None) -> tuple[Any, Cache]:
        """The network's output for the window that ends with these frames, and the cache for the next.

        Args:
            frames: a whole clip without a cache; the new frames with one.
            cache: what the last window left; ``None`` for the first one, or to refresh.

        Raises:
            CacheError: if the frames are of another size or type, or the cache is of another network or was used.
        """
        made, after = self.runner.run(frames.detach().cpu().contiguous().numpy(), cache)
        leaves = leaves_of(self._leaves, [torch.from_numpy(array).to(frames.device) for array in made])
        return pytree.tree_unflatten(leaves, self._spec), after

    def error(self, film: Tensor) -> list[float]:
        """How far the first output of each slide is from the clip's own: the norm of the difference by that of it.

        Args:
            film: frames in order, a clip and one slide at least.

        Raises:
            CacheError: if the film is shorter.
        """
        axis, length, step = self.plan.axis, self.plan.clip.shape[self.plan.axis], self.plan.step
        if film.shape[axis] < length + step:
            raise CacheError(f"a film of {film.shape[axis]} frames; at least {length + step} are a clip and a slide")
        arrays = film.detach().cpu().contiguous().numpy()
        first, *rest = range(0, film.shape[axis] - length + 1, step)
        _, cache = self.runner.run(arrays.take(range(first, first + length), axis))
        found = []
        for begin in rest:
            clip = arrays.take(range(begin, begin + length), axis)
            made, cache = self.runner.run(clip.take(range(length - step, length), axis), cache)
            expected = self.runner.run(clip)[0][0].astype("float64")
            apart = float(((made[0] - expected) ** 2).sum() ** 0.5)
            found.append(apart / max(float((expected**2).sum() ** 0.5), 1e-30))
        return found
