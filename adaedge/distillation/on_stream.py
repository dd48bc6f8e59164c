"""`teach`: a recorded stream, run as it would be with a terminal that is taught by an edge server.

May import: ``errors``, ``operating_point``, ``engine``, ``bundle``, ``taught``, ``stream``; of this part
``stream_teacher``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, final

from adaedge.bundle import Bundle
from adaedge.distillation.stream_teacher import StreamTeacher
from adaedge.engine import Arrays
from adaedge.errors import TrainingError
from adaedge.operating_point import INPUT, OUTPUT, OperatingPoint
from adaedge.stream import Playback
from adaedge.taught import Gate, TaughtNetwork


@dataclass(frozen=True, slots=True)
class Pace:
    """When frames are labelled and weights are sent, in seconds of the stream.

    Attributes:
        labels_per_s: frames that are sent up to be labelled.
        period_s: between two updates.
        delay_s: from the last label of an update until the terminal runs it: upload, training, download.
        codec: how the frames to be labelled cross at ``input``; a stream of their own.

    Raises:
        TrainingError: if a time cannot be.
    """

    labels_per_s: float = 2.0
    period_s: float = 2.0
    delay_s: float = 1.0
    codec: str = "h264-444@30"

    def __post_init__(self) -> None:
        if not (self.labels_per_s > 0 and 0 <= self.delay_s <= self.period_s and self.period_s > 0):
            raise TrainingError(
                "frames are labelled more than 0 times a second, and an update arrives before the next one is begun:"
                f" 0 ≤ delay_s ≤ period_s; got {self}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class TaughtFrame:
    """The result of one frame of the stream.

    Attributes:
        at_s: when it was seen.
        answer: the student's, with the weights that the terminal had then.
        version: of these weights.
        label_bytes: sent up for its label; 0 where it was not labelled.
        update_bytes: of an update that arrived just before it; else 0.
        may_answer: whether the gate was open; always where there is none.
    """

    at_s: float
    answer: Arrays
    version: int
    label_bytes: int
    update_bytes: int
    may_answer: bool


@final
@dataclass(slots=True)
class TaughtStream:
    """A stream that was taught.

    Attributes:
        frames: in their order.
        fps: frames a second.
        held_back: how often the teacher sent nothing, for it would have gained nothing.
    """

    fps: float
    frames: list[TaughtFrame] = field(default_factory=list)
    held_back: int = 0

    @property
    def up_bps(self) -> float:
        """Bits a second for labels."""
        return 8 * sum(frame.label_bytes for frame in self.frames) * self.fps / len(self.frames)

    @property
    def down_bps(self) -> float:
        """Bits a second for updates."""
        return 8 * sum(frame.update_bytes for frame in self.frames) * self.fps / len(self.frames)


def teach(
    bundle: Bundle,
    taught: TaughtNetwork,
    teacher: StreamTeacher,
    frames: Iterable[Any],
    fps: float,
    *,
    pace: Pace | None = None,
    gate: Gate | None = None,
) -> TaughtStream:
    """Run a recorded stream: the student answers each frame on the terminal, and is taught meanwhile.

    Frames to be labelled cross as they would: encoded, decoded at the other end, and answered there by the full
    network. So the student learns from what the edge server sees. Time is the stream's own: how fast this machine
    trains does not count, and ``pace.delay_s`` says how long it takes.

    Args:
        bundle: holds the full network and the student.
        taught: the terminal's end of the student, of this bundle.
        teacher: the edge server's end.
        frames: in order, each as `Bundle.inputs_of` takes it: an image of any size, or the inputs as a tuple of arrays.
        fps: how many are seen a second.
        pace: when frames are labelled and weights are sent.
        gate: told of each labelled frame what the student answered before it learned that.

    Returns:
        The result of each frame.

    Raises:
        TrainingError: if the stream is empty, or the training fails.
        PayloadError: if an update is refused, for the two ends are not of one beginning.

    Example:
        >>> import adaedge, numpy as np, torch
        >>> from torch import nn
        >>> from adaedge.distillation import Lessons, SoftTargets
        >>> from adaedge.taught import UpdateKey
        >>> _ = torch.manual_seed(0)
        >>> net, small = nn.Linear(8, 40).eval(), nn.Linear(8, 40).eval()
        >>> example, key = (torch.zeros(1, 8),), UpdateKey("a secret that both ends share")
        >>> bundle = adaedge.build(net, example, adaedge.Space([], networks={"small": small}))
        >>> taught = adaedge.TaughtNetwork(bundle, "small", key)
        >>> teacher = adaedge.StreamTeacher(bundle, "small", small, example, key, loss=SoftTargets())
        >>> frames = [(frame,) for frame in np.random.default_rng(0).standard_normal((90, 1, 8)).astype(np.float32)]
        >>> run = teach(bundle, taught, teacher, frames, 10.0, pace=Pace(codec="raw"))
        >>> [frame.version for frame in run.frames[::30]], sum(frame.label_bytes > 0 for frame in run.frames)
        ([0, 1, 2], 18)
    """
    pace, run = pace or Pace(), TaughtStream(fps)
    link = Playback(bundle, OperatingPoint(INPUT, codec=pace.codec))
    own = OperatingPoint(OUTPUT, network=taught.network)
    coming: tuple[float, bytes] | None = None
    next_update_s = pace.period_s
    for index, frame in enumerate(frames):
        at_s, update_bytes = index / fps, 0
        if coming and at_s >= coming[0]:
            taught.receive(coming[1])
            update_bytes, coming = len(coming[1]), None
        inputs = bundle.inputs_of(frame)
        is_open = gate is None or gate.is_open
        answer, version = bundle.run(own, inputs), taught.version
        label_bytes = 0
        if _is_due(index, fps, pace.labels_per_s):
            data = link.encode(inputs)
            engine, shown = link.receive(data)
            outputs, label_bytes = engine.run(shown), len(data)
            teacher.label_seen(shown, outputs)
            if gate:
                gate.saw(bundle.answers.reduce(outputs), answer)
        run.frames.append(TaughtFrame(at_s, answer, version, label_bytes, update_bytes, is_open))
        if at_s >= next_update_s:
            next_update_s += pace.period_s
            made = teacher.update()
            coming = None if made is None else (at_s + pace.delay_s, made)
            run.held_back += made is None
    if not run.frames:
        raise TrainingError("the stream holds no frames; nothing was taught")
    return run


def _is_due(index: int, fps: float, labels_per_s: float) -> bool:
    """Whether a frame is the first of its turn.

    Example:
        >>> [index for index in range(11) if _is_due(index, fps=10.0, labels_per_s=2.0)]
        [0, 5, 10]
    """
    return index == 0 or int(index * labels_per_s / fps) > int((index - 1) * labels_per_s / fps)
