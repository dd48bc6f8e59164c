"""Clip: frames of one camera in order; what a frame is; and the one reader of videos.

May import: ``errors``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt

from adaedge.errors import SourceError

Frame = npt.NDArray[np.uint8]
FPS = 30.0
"""Frames a second of a list that does not say."""
_WAY_OUT = {
    None: "Does a player show it? Copy it again, or convert it to H.264 in MP4.",
    "v4l2": "Is the camera connected, free, and readable by this user?",
}


def is_frame(sample: object) -> bool:
    """Whether it is a frame: uint8 (height, width, 3), neither of them 0.

    Example:
        >>> is_frame(np.zeros((48, 64, 3), np.uint8)), is_frame(np.zeros((48, 64, 3))), is_frame("frame.png")
        (True, False, False)
    """
    if not isinstance(sample, np.ndarray):
        return False
    return sample.dtype == np.uint8 and sample.ndim == 3 and sample.shape[2] == 3 and sample.size > 0


def check_frame(sample: object) -> None:
    """Refuse what is no frame.

    Raises:
        SourceError: if it is none.
    """
    if not is_frame(sample):
        raise SourceError(f"a frame is uint8 (height, width, 3); got {_said(sample)}")


@final
@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Frames of one camera in order. Iterating yields them, as often as asked.

    Attributes:
        frames: uint8 (H, W, 3) in RGB, all of one size: a list, or what is read anew each time.
        fps: frames a second.

    Raises:
        SourceError: if there are no frames, or they are not such frames; where they are read, while iterating.

    Example:
        >>> clip = Clip([np.zeros((48, 64, 3), np.uint8)] * 3, fps=25.0)
        >>> [frame.shape for frame in clip]
        [(48, 64, 3), (48, 64, 3), (48, 64, 3)]
    """

    frames: Iterable[Frame]
    fps: float

    def __post_init__(self) -> None:
        if not 0 < self.fps < math.inf:
            raise SourceError(f"a clip has more than 0 frames a second; got fps={self.fps}")
        if isinstance(self.frames, Iterator):
            raise SourceError("a clip's frames are iterated more than once: give a list in place of an iterator")
        if isinstance(self.frames, Sequence | np.ndarray):
            for _ in self:  # a mistake shows here, and not in the middle of a calibration
                pass

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """The clip in a video file. Its frames are decoded while iterating, so they need no memory.

        Raises:
            SourceError: if there is no such file, it cannot be decoded or holds no video; while iterating, if it breaks
                off: then all frames before that were yielded.
        """
        if not Path(path).is_file():
            raise SourceError(f"there is no file {path}. Name a video file.")
        return cls(_Video(str(path)), _fps(str(path)))

    def __iter__(self) -> Iterator[Frame]:
        """The frames, each checked."""
        first: tuple[int, ...] | None = None
        for index, frame in enumerate(self.frames):
            if not is_frame(frame):
                raise SourceError(f"a frame is uint8 (height, width, 3); frame {index} of the clip is {_said(frame)}")
            first = frame.shape if first is None else first
            if frame.shape != first:
                raise SourceError(f"a clip's frames have one size; frame 0 is {first}, frame {index} {frame.shape}")
            yield frame
        if first is None:
            raise SourceError("a clip holds at least one frame; got none")


def as_clip(source: Clip | str | Path | Sequence[Frame], fps: float = FPS) -> Clip:
    """A clip, the path of a video, or a list of frames as a clip.

    Args:
        source: see above.
        fps: frames a second of a list; a video says so itself.

    Raises:
        SourceError: if it is none of these.

    Example:
        >>> as_clip([np.zeros((48, 64, 3), np.uint8)]).fps
        30.0
    """
    if isinstance(source, Clip):
        return source
    if isinstance(source, str | Path):
        return Clip.read(source)
    if isinstance(source, list | tuple | np.ndarray):
        return Clip(source, fps)
    raise SourceError(f"a clip is a Clip, the path of a video or a list of frames; got a {type(source).__name__}")


def decode(name: str, demuxer: str | None = None) -> Iterator[Frame]:
    """The frames of a video file or, with the demuxer ``"v4l2"``, of a camera.

    Raises:
        SourceError: at the first frame if it cannot be decoded or holds no frames; later if it breaks off.
    """
    import av  # 0.15 s and 17 MB that a terminal without a video never pays

    count = 0
    try:
        with av.open(name, format=demuxer) as container:
            stream = _video_stream(container, name)
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                yield frame.to_ndarray(format="rgb24")
                count += 1
            _refuse_short(name, count, stream.frames)
    except (av.FFmpegError, OSError, ValueError) as error:
        if count:
            raise SourceError(
                f"{name} breaks off after {count} frames: {error}. What came before it was used."
            ) from error
        raise SourceError(f"{name} does not decode: {error}. {_WAY_OUT[demuxer]}") from error
    if not count:
        raise SourceError(f"{name} holds no frame that decodes. {_WAY_OUT[demuxer]}")


@dataclass(frozen=True, slots=True)
class _Video:
    """A video file whose frames are decoded anew each time."""

    name: str

    def __iter__(self) -> Iterator[Frame]:
        return decode(self.name)


def _fps(name: str) -> float:
    import av

    try:
        with av.open(name) as container:
            stream = _video_stream(container, name)
            return float(stream.average_rate or stream.guessed_rate or FPS)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SourceError(f"{name} does not decode: {error}. {_WAY_OUT[None]}") from error


def _video_stream(container: Any, name: str) -> Any:
    if not container.streams.video:
        raise SourceError(f"{name} holds no video. Name a file with a video in it.")
    return container.streams.video[0]


def _refuse_short(name: str, count: int, announced: int) -> None:
    # An edit list may hide a few frames that the container counts.
    if 0 < count < 0.98 * announced - 2:
        raise SourceError(f"{name} breaks off after {count} of {announced} frames. What came before it was used.")


def _said(frame: object) -> str:
    return f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else f"a {type(frame).__name__}"
