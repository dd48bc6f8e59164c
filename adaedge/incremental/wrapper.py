"""Incremental: a network that computes, of each frame, only what changed since the last.

May import: ``errors``, ``graph``, ``stream``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import nn
from torch.utils import _pytree as pytree

from adaedge.errors import CacheError, CaptureError
from adaedge.graph.capture import evaluating
from adaedge.graph.signature import Signature
from adaedge.incremental.planning import Planned, TorchEngine, leaves_of, planned
from adaedge.stream.incremental import Cache, FrameStats, IncrementalRunner, Tolerance

_DENSE = FrameStats(1.0, 1.0, "dense")


@final
class Incremental(nn.Module):
    """A network whose forward takes a frame and a cache, and hands back its output and the next frame's cache.

    What did not change is taken from the cache; where most of a frame changed, or where that is cheaper, all is
    computed. With a tolerance of 0 outputs equal the network's own but for rounding (within 1e-5 of the largest value).
    The cache is all that is remembered: one wrapper serves any number of streams. A network that cannot be captured,
    and whatever of one is not known to depend on a neighbourhood only, runs as ever.

    Args:
        net: the network; nothing of it is changed. It runs in evaluation mode, without gradients.
        args: an example of its positional arguments; frames have the same sizes and types.
        tolerance: a change counts where it is larger than this share of a tensor's own spread (of an input, the mean
            absolute difference over 8 × 8 elements against its standard deviation; inside, root mean squares).
        kwargs: an example of its keyword arguments.
        audit_every: one frame in so many is computed dense as well, and the tolerance halved where the outputs'
            cosine is below ``floor``; 0 for none.
        floor: see there.

    Attributes:
        stats: of the last frame that any stream computed; `Cache.stats` are a stream's own.
        obstacle: why all frames run dense; ``None`` where they need not.

    Raises:
        CacheError: if the tolerance is no share.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1)).eval()
        >>> frame = torch.zeros(1, 3, 256, 256)
        >>> stream = Incremental(net, (frame,))
        >>> output, cache = stream(frame, None)
        >>> frame = frame.clone()
        >>> frame[..., 100:108, 60:68] = 1.0
        >>> output, cache = stream(frame, cache)
        >>> torch.allclose(output, net(frame), atol=1e-6), stream.stats.path, stream.stats.macs_share < 0.02
        (True, 'incremental', True)
    """

    def __init__(
        self,
        net: nn.Module,
        args: Sequence[Any],
        tolerance: float = 0.0,
        *,
        kwargs: Mapping[str, Any] | None = None,
        audit_every: int = 0,
        floor: float = 0.98,
    ) -> None:
        super().__init__()
        if not 0 <= tolerance < 1:
            raise CacheError(f"tolerance is a share of a tensor's spread, in [0, 1); got {tolerance}")
        self.net = net
        self._signature = Signature.of(args, kwargs or {})
        self.stats = FrameStats(0.0, 0.0, "none")
        self.obstacle: CaptureError | None = None
        self.planned: Planned | None = None
        try:
            self.planned = planned(net, self._signature)
        except CaptureError as error:
            self.obstacle = error
            return
        self._runner = IncrementalRunner(
            self.planned.plan,
            [TorchEngine(graph) for graph in self.planned.graphs],
            TorchEngine(self.planned.whole),
            Tolerance(tolerance, audit_every, floor),
        )

    def forward(self, *args: Any, cache: Cache | None = None, **kwargs: Any) -> tuple[Any, Cache]:
        """The network's output for a frame, and the cache for the next.

        Args:
            *args: the network's arguments, then the cache; ``None`` on a stream's first frame, or to refresh.
            cache: the cache, where it is not the last positional argument.
            **kwargs: the network's keyword arguments.

        Raises:
            CacheError: if the cache is another network's, or was used by an earlier frame; or the frame is of another
                type than the example.
            SplitError: if the call differs from the example's in structure or size.
        """
        expected = len(pytree.tree_unflatten(list(self._signature.leaves), self._signature.spec)[0])
        if len(args) == expected + 1:
            *args, cache = args  # type: ignore[assignment]
        if self.planned is None:
            return self._as_ever(args, kwargs)
        tensors = self._signature.flatten(args, kwargs)
        arrays = [tensor.detach().cpu().contiguous().numpy() for tensor in tensors]
        made, after = self._runner.run(arrays, cache)
        self.stats = after.stats
        device = tensors[0].device if tensors else torch.device("cpu")
        leaves = leaves_of(self.planned, [torch.from_numpy(array).to(device) for array in made])
        return pytree.tree_unflatten(leaves, self.planned.out_spec), after

    def _as_ever(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, Cache]:
        with torch.no_grad(), evaluating(self.net):
            output = self.net(*args, **kwargs)
        self.stats = _DENSE
        return output, Cache("dense", [], [], _DENSE)
