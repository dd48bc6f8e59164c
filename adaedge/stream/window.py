"""Window: the frames that are held for a model that takes several as one input.

May import: ``errors``, ``clip``, ``engine``, ``bundle``.
"""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import Any, final

import numpy as np
import numpy.typing as npt

from adaedge.bundle.frames import inputs_of, prepare
from adaedge.bundle.preprocessing import Preprocessing
from adaedge.clip import is_frame
from adaedge.engine import Arrays

Frames = npt.NDArray[np.uint8]


@final
class Window:
    """The last frames of one camera, prepared. Safe to use from several threads, which see the order of their calls.

    At a stream's beginning the first frame fills the window. What is given whole, a clip or the model's inputs, leaves
    it as it is.

    Args:
        preprocessing: how many frames, how far apart; ``None`` where the input is not an image.

    Attributes:
        seen: how many frames came.

    Example:
        >>> window = Window(Preprocessing(size=(4, 4), frames=3, stride=2))
        >>> frames = [np.full((8, 8, 3), value, np.uint8) for value in range(6)]
        >>> inputs = [window.inputs_of(frame)[0] for frame in frames]
        >>> [clip[0, :, 0, 0, 0].tolist() for clip in inputs]
        [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 1, 3], [0, 2, 4], [1, 3, 5]]
    """

    def __init__(self, preprocessing: Preprocessing | None) -> None:
        self._preprocessing = preprocessing
        self._held: deque[Frames] = deque(maxlen=1 if preprocessing is None else preprocessing.span)
        self._lock = Lock()
        self.seen = 0

    def inputs_of(self, sample: Any) -> Arrays:
        """The model's inputs once this frame has come; of anything else than a frame as ``Bundle.inputs_of`` says.

        Raises:
            SourceError: if it is nothing that the model takes.
        """
        if self._preprocessing is None or self._preprocessing.frames == 1 or not is_frame(sample):
            return inputs_of(sample, self._preprocessing)
        return self.add(prepare(sample, self._preprocessing))

    def add(self, frame: Frames) -> Arrays:
        """The same for a frame that is prepared, uint8 (1, height, width, 3)."""
        assert self._preprocessing is not None
        with self._lock:
            self._held.extend([frame] * (1 if self._held else self._preprocessing.span))
            self.seen += 1
            return (np.stack(list(self._held)[:: self._preprocessing.stride], axis=1),)

    def new_share(self, before: int) -> float:
        """About what share of its frames came after so many had come; 0 for one frame at most."""
        return new_share(self._preprocessing, self.seen - before)


def new_share(preprocessing: Preprocessing | None, came: int) -> float:
    """About what share of a bundle's window is new once so many frames came; 0 for one frame at most."""
    return 0.0 if preprocessing is None else share_of_new(came, preprocessing.frames, preprocessing.stride)


def share_of_new(came: int, frames: int, stride: int) -> float:
    """About what share of a window is new once so many frames of the camera came; 0 for one frame at most.

    Example:
        >>> share_of_new(4, frames=8, stride=2), share_of_new(2, frames=8, stride=2)
        (0.25, 0.0)
    """
    new = -(-came // stride)
    return min(1.0, new / frames) if new > 1 and frames > 1 else 0.0


def slid(frames: Frames, preprocessing: Preprocessing) -> list[Arrays]:
    """The windows that slide over a clip, one for each frame: views of one copy of it.

    Args:
        frames: prepared, uint8 (frames, height, width, 3).
        preprocessing: how many, how far apart.
    """
    before = np.repeat(frames[:1], preprocessing.span - 1, axis=0)
    padded = np.concatenate((before, frames))
    places = range(len(frames))
    return [(padded[None, at : at + preprocessing.span : preprocessing.stride],) for at in places]
