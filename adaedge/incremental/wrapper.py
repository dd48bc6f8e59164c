"""Incremental: a network that computes, of each frame, only what changed since the last.

May import: ``errors``, ``graph``, ``stream``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import nn
from torch.utils import _pytree as pytree

from adaedge.errors import CacheError, CaptureError
from adaedge.graph.capture import Capture, capture, evaluating
from adaedge.graph.signature import Signature
from adaedge.incremental.planner import TorchEngine, leaves_of, planned_of
from adaedge.incremental.tokens import Staged, staged
from adaedge.stream.incremental import Cache, FrameStats, IncrementalRunner, Tolerance
from adaedge.stream.incremental.tokens import Engines, TokenRunner

_DENSE = FrameStats(1.0, 1.0, "dense")


@final
class Incremental(nn.Module):
    """A network whose forward takes a frame and a cache, and returns its output and the next frame's cache.

    What did not change is taken from the cache; where most of a frame changed, or where that is cheaper, all is
    computed. With a tolerance of 0 outputs equal the network's own but for rounding (within 1e-5 of the largest value).
    The cache is all that is remembered: one wrapper serves any number of streams. A network that cannot be captured,
    and whatever of one is not known to depend on a neighbourhood only, runs dense.

    With a tolerance, of a transformer whose attentions are between all tokens (ViT, VideoMAE) only tokens that changed,
    and the oldest few, go through the blocks; keys and values of the others are held. That is approximate: in truth
    every output depends on every token.

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
        runner: what runs: an `IncrementalRunner`, or of a transformer with a tolerance a `TokenRunner`.

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
        self._leaves: tuple[Any, ...] = ()
        try:
            found = capture(net, self._signature, dynamic=False)
            self._spec = found.out_spec
            self.runner: IncrementalRunner | TokenRunner = self._made(found, Tolerance(tolerance, audit_every, floor))
        except CaptureError as error:
            self.obstacle = error

    @property
    def is_exact(self) -> bool:
        """Whether outputs equal the network's own but for rounding."""
        return self.obstacle is not None or not self.runner.tolerance.change

    def _made(self, found: Capture, tolerance: Tolerance) -> IncrementalRunner | TokenRunner:
        if tolerance.change:
            with contextlib.suppress(CaptureError):  # no transformer, or one whose tokens are mixed in other ways
                tokens = staged(found)
                if tokens.plan.staged_macs > tokens.plan.macs / 2:
                    self._leaves = tokens.leaves
                    return token_runner(tokens, tolerance)
        plan = planned_of(found)
        self._leaves = plan.leaves
        engines = [TorchEngine(graph) for graph in plan.graphs]
        return IncrementalRunner(plan.plan, engines, TorchEngine(plan.whole), tolerance, plain=TorchEngine(plan.plain))

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
        if self.obstacle is not None:
            return self._as_ever(args, kwargs)
        tensors = self._signature.flatten(args, kwargs)
        arrays = [tensor.detach().cpu().contiguous().numpy() for tensor in tensors]
        made, after = self.runner.run(arrays, cache)
        self.stats = after.stats
        device = tensors[0].device if tensors else torch.device("cpu")
        leaves = leaves_of(self._leaves, [torch.from_numpy(array).to(device) for array in made])
        return pytree.tree_unflatten(leaves, self._spec), after

    def _as_ever(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, Cache]:
        with torch.no_grad(), evaluating(self.net):
            output = self.net(*args, **kwargs)
        self.stats = _DENSE
        return output, Cache("dense", [], [], _DENSE)


def token_runner(found: Staged, tolerance: Tolerance) -> TokenRunner:
    """A transformer whose stages run in PyTorch."""
    constants = TorchEngine(found.constants).run([])
    engines = Engines(
        TorchEngine(found.front),
        tuple(TorchEngine(graph) for graph in found.stages),
        TorchEngine(found.finish),
        TorchEngine(found.whole),
        dict(zip(found.plan.constants, constants, strict=True)),
    )
    return TokenRunner(found.plan, engines, tolerance)
