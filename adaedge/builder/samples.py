"""Samples: what a build is calibrated and scored on: pictures that stand alone, and clips, whose frames are in order.

May import: ``errors``, ``clip``, ``operating_point``, ``engine``, ``bundle``, ``stream``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar, final

import numpy as np

from adaedge.bundle import Preprocessing
from adaedge.bundle.frames import inputs_of, prepare
from adaedge.clip import FPS, Clip, Frame, as_clip
from adaedge.engine import Arrays
from adaedge.errors import SourceError
from adaedge.operating_point import REFRESH
from adaedge.stream import ChangeDetector, MovedBlocks
from adaedge.stream.change import change_between, look_of, picture_of
from adaedge.stream.window import slid

T = TypeVar("T")

_STRIDES = (1, 4, 16)
"""Each clip is played at these strides too: what changes in 4 and 16 frames is what slower cameras see."""
_BINS = 4
_LEAST_STEP = 0.005  # amounts of change that are nearer to each other are one


@dataclass(frozen=True, slots=True, eq=False)
class SampleClip:
    """Frames of one camera in order; one frame alone where a sample is a picture.

    Attributes:
        inputs: of each frame, the model's inputs.
        looks: of each frame, what a change is measured on; ``None`` where the sample is no frame.
        kept_looks: likewise by the detector of kept answers.
        fps: frames a second.
        slide: where the model takes a window, what it shows as it slides over every so many of the frames; ``None``
            where each frame's inputs are its own.
    """

    inputs: tuple[Arrays, ...]
    looks: tuple[Any, ...]
    kept_looks: tuple[Any, ...] = ()
    fps: float = FPS
    slide: Callable[[int], Sequence[Arrays]] | None = None

    def plays(self) -> list[list[tuple[Arrays, float]]]:
        """The clip at several strides: each frame, and its change against the frame before it there; 1 at the first."""
        strides = [stride for stride in _STRIDES if stride == 1 or len(self.inputs) >= 2 * stride]
        return [self._play(stride) for stride in strides]

    def _play(self, stride: int) -> list[tuple[Arrays, float]]:
        order = range(0, len(self.inputs), stride)
        shown = self.inputs[::stride] if self.slide is None else self.slide(stride)
        befores = (None, *(self.looks[at] for at in order))
        changes = [change_between(before, self.looks[at]) for before, at in zip(befores, order, strict=False)]
        return list(zip(shown, changes, strict=True))


@final
@dataclass(frozen=True)
class Samples:
    """The pictures and clips that a build is calibrated and scored on.

    Attributes:
        clips: clips and pictures, as they were given.
    """

    clips: tuple[SampleClip, ...] = ()

    @classmethod
    def read(
        cls, given: object, preprocessing: Preprocessing | None, detector: ChangeDetector | None = None
    ) -> Samples:
        """What ``calibrate`` of ``build`` takes: see there; ``detector`` looks at frames for kept answers.

        Raises:
            SourceError: if something of it is none of what it takes, or a clip does not decode.
        """
        if given is None:
            return cls()
        sources = [given] if isinstance(given, Clip | str | Path) else given
        if not isinstance(sources, Iterable):
            raise TypeError(f"samples are frames, tuples of arrays or clips, in a list; got {type(given).__name__}")
        return cls(tuple(_sample(source, preprocessing, detector or MovedBlocks()) for source in sources))

    @classmethod
    def of(cls, inputs: Arrays) -> Samples:
        """One picture, or whatever the model takes."""
        return cls((SampleClip((inputs,), (None,), (None,)),))

    @cached_property
    def inputs(self) -> list[Arrays]:
        """Every frame's inputs, one after another."""
        return [inputs for clip in self.clips for inputs in clip.inputs]

    @property
    def has_clips(self) -> bool:
        """Whether any of them has frames in order."""
        return any(len(clip.inputs) > 1 for clip in self.clips)

    @cached_property
    def changes(self) -> tuple[float, ...]:
        """The amounts of change, ascending, at which stateful codecs are measured; the last is 1, a refresh.

        The others are the means of so many equal parts of what the clips show, at several strides.
        """
        seen = sorted(change for clip in self.clips for play in clip.plays() for _, change in play[1:])
        known = [change for change in seen if change < REFRESH]
        found: list[float] = []
        for part in np.array_split(known, min(_BINS, len(known)) or 1):
            if len(part) and (not found or part.mean() - found[-1] >= _LEAST_STEP):
                found.append(round(float(part.mean()), 4))
        return (*(change for change in found if change < REFRESH), REFRESH)

    def divided(self, most: int) -> tuple[list[int], list[int]]:
        """Which frames something is fitted on, at most so many, and which it is judged on: none of those.

        Of a clip the first half is for fitting, the second for judging, for neighbours are alike. Of pictures as few as
        every second one are for judging, and all are where there is but one.
        """
        pictures: list[int] = []
        halves: list[int] = []
        at = 0
        for clip in self.clips:
            length = len(clip.inputs)
            if length == 1:
                pictures.append(at)
            else:
                halves += range(at, at + length // 2)
            at += length
        pictures = pictures[:: max(2, -(-len(pictures) // most))]
        fit = evenly_spaced(sorted(pictures + halves), most)
        set_aside = {*pictures, *halves}
        return fit, [frame for frame in range(at) if frame not in set_aside] or list(range(at))

    def runs(self, most: int) -> list[list[int]]:
        """Frames in order that tables of changes are fitted on: of each clip the beginning of its first half.

        Args:
            most: at most about so many in all.
        """
        found, at = [], 0
        clips = sum(len(clip.inputs) > 1 for clip in self.clips)
        for clip in self.clips:
            length = min(len(clip.inputs) // 2, max(2, most // max(clips, 1)))
            if length > 1:
                found.append(list(range(at, at + length)))
            at += len(clip.inputs)
        return found

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.clips)


def evenly_spaced(items: Sequence[T], most: int) -> list[T]:
    """At most so many of them, the first among them, at equal distances."""
    return list(items[:: max(1, -(-len(items) // most))])


def _sample(source: Any, preprocessing: Preprocessing | None, detector: ChangeDetector) -> SampleClip:
    fps = FPS
    if isinstance(source, Clip | str | Path) or _is_list_of_frames(source, preprocessing):
        clip = as_clip(source)
        frames: Iterable[Any] = clip
        fps = clip.fps
    elif isinstance(source, list) and source and all(isinstance(one, tuple) for one in source):
        frames = source  # a clip, each frame of which is a tuple of the model's inputs
    elif isinstance(source, list) and not source:
        raise SourceError("a clip holds at least one frame; got none")
    else:
        frames = [source]
    is_window = preprocessing is not None and preprocessing.frames > 1 and not _are_inputs(source)
    prepared: list[Any] = []
    looks: list[Any] = []
    kept: list[Any] = []
    for frame in frames:  # one after another: a clip at the camera's size would not fit into memory
        inputs = (prepare(frame, preprocessing),) if is_window and preprocessing else inputs_of(frame, preprocessing)
        prepared.append(inputs)
        looks.append(look_of(frame, inputs))
        picture = picture_of(frame, inputs)
        kept.append(None if picture is None else detector.look(picture))
    if is_window and preprocessing and prepared:
        slide = partial(_slide, np.concatenate([frame for (frame,) in prepared]), preprocessing)
        return SampleClip(tuple(slide(1)), tuple(looks), tuple(kept), fps, slide)
    return SampleClip(tuple(prepared), tuple(looks), tuple(kept), fps)


def _are_inputs(source: Any) -> bool:
    """Whether a sample, or each frame of it, is a tuple of the model's inputs, or a window by itself."""
    one = source[0] if isinstance(source, list) and source else source
    return isinstance(one, tuple) or (isinstance(one, np.ndarray) and one.ndim > 4)


def _slide(frames: Frame, preprocessing: Preprocessing, stride: int) -> Sequence[Arrays]:
    return slid(frames[::stride], preprocessing)


def _is_list_of_frames(source: Any, preprocessing: Preprocessing | None) -> bool:
    if preprocessing is None:
        return False
    if isinstance(source, np.ndarray):
        return source.ndim == 4
    return isinstance(source, list) and all(isinstance(one, np.ndarray) and one.ndim == 3 for one in source)
