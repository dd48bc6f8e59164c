"""TeacherProcess: a `StreamTeacher` in a process of its own, beside an edge server that answers frames meanwhile.

May import: ``errors``, ``engine``, ``taught``; of this part ``stream_teacher``.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from queue import Empty, Full, Queue
from typing import Self, final

import torch

from adaedge.distillation.stream_teacher import StreamTeacher
from adaedge.engine import Arrays
from adaedge.errors import PayloadError, TrainingError
from adaedge.taught import HeldWeights

_log = logging.getLogger(__name__)
_BEFORE_IT_ENDS_S = 5.0


@dataclass(frozen=True, slots=True)
class _Made:
    """What a lesson came to: what a terminal holds before and after it, and the update if there is one."""

    before: HeldWeights
    after: HeldWeights
    data: bytes = b""
    wrong: str = ""


@final
class TeacherProcess:
    """Teaches the student of one terminal; give it to an `EdgeServer` as ``teaching``. Thread-safe.

    Each question for an update begins the next lesson; what that made is the reply to a later one. An update that was
    lost on the way is sent again; one that the terminal rolled back is not, and the next builds upon what it holds.

    Args:
        make: makes the teacher, in the new process; a function of a module, for that is how the process finds it.
        threads: of PyTorch there.
        waiting: labelled frames that may wait for it; one more is dropped.

    Example:
        docs/how-to/teach-on-the-stream.md has one that runs.
    """

    def __init__(self, make: Callable[[], StreamTeacher], *, threads: int = 1, waiting: int = 32) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._ours, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_teach, args=(make, theirs, threads), daemon=True, name="adaedge-teacher")
        self._jobs: Queue[tuple[Arrays, Arrays] | bool | None] = Queue(waiting)
        self._lock, self._at_work = threading.Lock(), False
        self._last: _Made | None = None  # until the process is ready
        self._newest = 0
        self._process.start()
        theirs.close()
        threading.Thread(target=self._hand_over, name="adaedge-teacher", daemon=True).start()

    def label(self, inputs: Arrays, outputs: Arrays) -> None:
        """A frame as the edge server saw it, and what the full network answers."""
        try:
            self._jobs.put_nowait((inputs, outputs))
        except Full:
            _log.warning("a labelled frame is dropped: the teacher is not done with those before")

    def update(self, holding: HeldWeights) -> bytes:
        """The update upon what a terminal holds; empty while the teacher is at work, or where nothing would be gained.

        Raises:
            PayloadError: if the terminal holds what this teacher never made, or the teacher has ended.
        """
        with self._lock:
            self._hear()
            last = self._last
            if last is None:
                return b""
            is_before, is_after = _are_same(holding, last.before), _are_same(holding, last.after)
            if not (is_before or is_after) or holding.newest > self._newest:
                raise PayloadError(
                    f"the terminal holds version {holding.version} of {holding.network!r}, which is none of this"
                    f" teacher's {last.after.version} of {last.after.network!r}. Delete the terminal's file of taught"
                    " weights and start both ends anew."
                )
            if last.data and is_before and holding.newest < last.after.version:
                return last.data
            self._begin(lost=not is_after)
            return b""

    def _begin(self, *, lost: bool) -> None:
        """Ask for a lesson, unless one is under way, or labels enough wait to be looked at first."""
        if not self._at_work:
            with contextlib.suppress(Full):
                self._jobs.put_nowait(lost)
                self._at_work = True

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(Empty):  # what waits is not looked at any more
            while True:
                self._jobs.get_nowait()
        self._jobs.put(None)
        self._process.join(_BEFORE_IT_ENDS_S)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _hear(self) -> None:
        """Take what the process has said."""
        try:
            while self._ours.poll():
                made: _Made = self._ours.recv()
                self._at_work = False
                if made.wrong:
                    _log.warning("the terminal's weights stand: %s", made.wrong)
                if made.data or self._last is None or not _are_same(made.after, self._last.after):
                    self._last, self._newest = made, max(self._newest, made.after.version)
        except (EOFError, OSError) as error:
            raise PayloadError("the teacher's process has ended; the edge server's log says why") from error

    def _hand_over(self) -> None:
        """Send the jobs, which waits while the process is at work."""
        try:
            while (job := self._jobs.get()) is not None:
                self._ours.send(job)
            self._ours.send(None)
        except OSError:
            _log.warning("the teacher's process has ended")


def _are_same(one: HeldWeights, other: HeldWeights) -> bool:
    return (one.network, one.version, one.weights) == (other.network, other.version, other.weights)


def _teach(make: Callable[[], StreamTeacher], ours: Connection, threads: int) -> None:
    """The process: labelled frames as they come, a lesson when one is asked for, until ``None`` comes."""
    torch.set_num_threads(threads)
    teacher = make()
    ours.send(_Made(teacher.holding, teacher.holding))
    while (job := ours.recv()) is not None:
        if not isinstance(job, bool):
            try:
                teacher.label_seen(*job)
            except TrainingError as error:
                _log.warning("a frame teaches nothing: %s", error)
            continue
        if job:
            teacher.lost()
        before, data, wrong = teacher.holding, None, ""
        try:
            data = teacher.update()
        except TrainingError as error:
            wrong = str(error)
        ours.send(_Made(before, teacher.holding, data or b"", wrong))
