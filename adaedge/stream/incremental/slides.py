"""A network of clips whose window slides: of a clip only the new frames are computed, with what is held of the others.

May import: ``errors``, ``engine``; of this part ``cache``, ``plan``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import final

import numpy as np

from adaedge.arrays import Array
from adaedge.engine import Arrays, Engine
from adaedge.errors import CacheError
from adaedge.stream.incremental.cache import Cache
from adaedge.stream.incremental.plan import FrameStats, Held


@dataclass(frozen=True, slots=True)
class SlidingPlan:
    """A network of clips, for a window that moves by ``step`` frames.

    Attributes:
        clip: what the network takes.
        axis: its dimension along which frames are.
        step: how many frames are new.
        held: tensors that are kept between windows.
        outputs: how many the network has.
        macs_share: multiply-accumulates of a slide, as a share of a clip's.
        is_exact: whether a slide equals the clip but for rounding: where no operator before time is pooled looks at
            more than one slot, so that no zero of padding is in the place of a frame.
        name: of the network, with its weights.
    """

    clip: Held
    axis: int
    step: int
    held: tuple[Held, ...]
    outputs: int
    macs_share: float
    is_exact: bool
    name: str = ""

    @property
    def content_hash(self) -> str:
        """A short hash of all of it."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]

    @property
    def slide(self) -> tuple[int, ...]:
        """The shape of the new frames."""
        return tuple(self.step if at == self.axis else length for at, length in enumerate(self.clip.shape))


@final
class SlidingRunner:
    """A plan with the engines that compute it. It holds nothing of any stream: caches come in and go out.

    Args:
        plan: see `SlidingPlan`.
        whole: a clip → the network's outputs, then what is held.
        slide: the new frames and what is held → the same.
    """

    def __init__(self, plan: SlidingPlan, whole: Engine, slide: Engine) -> None:
        self.plan, self.whole, self.slide, self.content_hash = plan, whole, slide, plan.content_hash

    def run(self, frames: Array, cache: Cache | None = None) -> tuple[Arrays, Cache]:
        """The network's outputs for the window that ends with these frames, and what the next one takes.

        Args:
            frames: a whole clip without a cache; the new frames with one.
            cache: what the last window left; ``None`` for the first one, or to refresh.

        Raises:
            CacheError: if the frames are of another size or type, or the cache is of another network or was used.
        """
        plan = self.plan
        wanted = plan.clip.shape if cache is None else plan.slide
        if (frames.shape, str(frames.dtype)) != (wanted, plan.clip.dtype):
            what = "a clip without a cache" if cache is None else "the new frames with a cache"
            raise CacheError(
                f"this network takes {what}, {plan.clip.dtype} {wanted}; got {frames.dtype} {frames.shape}. Wrap it"
                " again for another size or type."
            )
        if cache is None:
            made = self.whole.run([frames])
        else:
            made = self.slide.run([frames, *cache.take(self.content_hash, plan.held)[0]])
        share = plan.step / plan.clip.shape[plan.axis]
        stats = FrameStats(1.0, 1.0, "refresh") if cache is None else FrameStats(share, plan.macs_share, "incremental")
        held = [np.array(value, order="C") for value in made[plan.outputs :]]
        outputs = tuple(np.array(value, order="C") for value in made[: plan.outputs])
        finite = all(np.isfinite(value).all() for value in held if value.dtype.kind == "f")
        found = Cache(self.content_hash, held, [], stats, frames=0 if cache is None else cache.frames + 1)
        if not finite:
            found.take(self.content_hash)  # a number that is none would stay for a window's length
        return outputs, found
