"""The answer codec of a name, and the default one of a model.

May import: ``errors``; of this part the codecs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Protocol

from adaedge.arrays import Array
from adaedge.errors import CodecError
from adaedge.payload.answers.best import Best
from adaedge.payload.answers.boxes import Boxes
from adaedge.payload.answers.labels import LabelMap, is_logits_map
from adaedge.payload.answers.levels import Levels
from adaedge.payload.answers.values import Values
from adaedge.payload.message import Segment, TensorHeader

Arrays = tuple[Array, ...]
Encoded = tuple[tuple[TensorHeader, ...], Segment]

SMALL_BYTES = 4096
"""Outputs of at most so many bytes cross raw by default."""
_VALUES = re.compile(r"(raw|f16)(\+zstd)?")
_LABELS = re.compile(r"labels(?:(-aligned)?@([1-9][0-9]{0,4})x([1-9][0-9]{0,4}))?")
_BEST = re.compile(r"best@([1-9][0-9]{0,2})")


class AnswerCodec(Protocol):
    """Outputs → answer ⇄ segment."""

    @property
    def name(self) -> str:
        """The codec's name: ``answer_codec(name)`` is this codec."""
        ...

    def reduce(self, outputs: Sequence[Array]) -> Arrays:
        """The answer: what the user gets.

        Raises:
            CodecError: if this codec makes no answer of such outputs.
        """
        ...

    def encode(self, answer: Sequence[Array]) -> Encoded:
        """How an answer is written, which its types and shapes alone decide, and the bytes.

        Raises:
            CodecError: if it is no answer that ``reduce`` makes.
        """
        ...

    def decoder(self, headers: Sequence[TensorHeader]) -> Callable[[Segment], Arrays]:
        """What makes answers of their bytes, in memory of their own; it takes no more than such answers do.

        It raises `PayloadError` of a segment that is not what ``encode`` writes of such an answer.

        Args:
            headers: how the answers are written, as ``encode`` says.
        """
        ...


class Spec(Protocol):
    """An output before there is one: its NumPy type and shape."""

    @property
    def dtype(self) -> str:
        """NumPy name of its type."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """The dimensions of the output, batch included."""
        ...


def answer_codec(name: str) -> AnswerCodec:
    """The answer codec of that name.

    Raises:
        CodecError: if there is none.

    Example:
        >>> import numpy as np
        >>> indices, scores = answer_codec("best@2").reduce([np.array([[0.5, 3.0, 1.0]], np.float32)])
        >>> indices.tolist(), scores.tolist()
        ([[1, 2]], [[3.0, 1.0]])
    """
    if match := _VALUES.fullmatch(name):
        return Values(half=match[1] == "f16", compressed=match[2] is not None)
    if name == Levels().name:
        return Levels()
    if name == Boxes().name:
        return Boxes()
    if match := _LABELS.fullmatch(name):
        return LabelMap((int(match[2]), int(match[3])) if match[2] else None, aligned=match[1] is not None)
    if match := _BEST.fullmatch(name):
        return Best(int(match[1]))
    raise CodecError(
        f"no answer codec {name!r}; there are raw, raw+zstd, f16, f16+zstd, u8+zstd, boxes, labels, labels@HxW,"
        " labels-aligned@HxW and best@K, such as labels@129x129 and best@5"
    )


def default_answer(outputs: Sequence[Spec], classes: Sequence[str] = ()) -> str:
    """Name of the default answer codec of a model. It changes no value, but for label maps of known classes.

    ``labels`` where the one output is (N, C, h, w) and the model names C classes, so that its meaning is known;
    otherwise ``raw`` up to `SMALL_BYTES`, and ``raw+zstd`` beyond.

    Args:
        outputs: type and shape of each output.
        classes: names of the classes that the model tells apart; empty where it names none.

    Example:
        >>> default_answer([TensorHeader("float32", (1, 1000))])
        'raw'
        >>> default_answer([TensorHeader("float32", (1, 21, 33, 33))], classes=["background", *"abcdefghijklmnopqrst"])
        'labels'
    """
    kinds = [is_logits_map(one.dtype, one.shape) and one.shape[1] == len(classes) for one in outputs]
    if kinds == [True]:
        return "labels"
    total = sum(TensorHeader(one.dtype, one.shape).nbytes for one in outputs)
    return "raw" if total <= SMALL_BYTES else "raw+zstd"
