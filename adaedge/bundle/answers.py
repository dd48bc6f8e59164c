"""A bundle's answers: how they are made of the model's outputs, how they are written, and how they nest.

May import: ``errors``, ``payload``, ``metrics``, ``engine``, ``detection``; of this part ``batches``, ``entries``,
``frames``, ``manifest``, ``structure``.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, final

import numpy as np

from adaedge.arrays import Array
from adaedge.bundle.batches import check
from adaedge.bundle.entries import TensorSpec
from adaedge.bundle.frames import in_frame
from adaedge.bundle.manifest import Manifest
from adaedge.bundle.structure import nest
from adaedge.detection.postprocessing import NAMES
from adaedge.engine import Arrays
from adaedge.errors import BundleError, CodecError
from adaedge.payload import Request
from adaedge.payload.answers import Best, answer_codec, wire
from adaedge.payload.answers.wire import AnswerHeader
from adaedge.payload.message import Segment

if TYPE_CHECKING:
    from adaedge.metrics import Metric

_MARGIN_BYTES = 2**16
_FACTOR = 2  # no answer codec writes more than this of an answer, whatever it holds


@final
class AnswerFormat:
    """Makes, writes, reads and nests a bundle's answers. Thread-safe.

    Args:
        manifest: names the answer codec, and the model's outputs.

    Attributes:
        codec: makes the answer of the model's outputs, and writes it.

    Raises:
        BundleError: if there is no such codec.
    """

    def __init__(self, manifest: Manifest) -> None:
        try:
            self.codec = answer_codec(manifest.answer)
        except CodecError as error:
            raise BundleError(f"this bundle cannot answer: {error}") from error
        self._outputs, self._structure = manifest.outputs, manifest.structure
        self._detection, self._geometry, self._labels = manifest.postprocessing, manifest.preprocessing, manifest.labels

    @cached_property
    def specs(self) -> tuple[TensorSpec, ...]:
        """The arrays of an answer, which follow from the outputs and the codec.

        Raises:
            CodecError: if the codec makes no answer of such outputs.
        """
        specs = self._before_codec
        answer = self.codec.reduce([np.zeros(spec.shape, spec.dtype) for spec in specs])
        names = [spec.name for spec in specs]
        names = names if len(names) == len(answer) else [f"answer {at}" for at in range(len(answer))]
        return tuple(TensorSpec(name, one.dtype.name, one.shape) for name, one in zip(names, answer, strict=True))

    @property
    def _before_codec(self) -> tuple[TensorSpec, ...]:
        """What the answer codec is given: the outputs, or the boxes that are made of them."""
        if self._detection is None:
            return self._outputs
        frames = self._outputs[0].shape[:1]
        return tuple(TensorSpec(name, dtype, (*frames, *shape)) for name, dtype, shape in self._detection.shapes)

    @cached_property
    def _decode(self) -> Callable[[Segment], Arrays]:
        return self.codec.decoder(self.codec.encode([np.zeros(spec.shape, spec.dtype) for spec in self.specs])[0])

    @cached_property
    def _most_bytes(self) -> int:
        answer_bytes = sum(math.prod(spec.shape) * np.dtype(spec.dtype).itemsize for spec in self.specs)
        return _MARGIN_BYTES + _FACTOR * answer_bytes

    def reduce(self, outputs: Sequence[Array]) -> Arrays:
        """The answer: what a user gets of the model's outputs, wherever they were computed; of a detector's its boxes.

        Raises:
            CodecError: if the codec makes no answer of them.
        """
        return self.codec.reduce(outputs if self._detection is None else self._detection.run(outputs))

    def write(self, answer: Sequence[Array]) -> Segment:
        """The bytes of an answer.

        Raises:
            CodecError: if it is no answer of this bundle.
        """
        check(answer, self.specs, CodecError, f"answers of {self.codec.name}")
        return self.codec.encode(answer)[1]

    def read(self, data: Segment, request: Request) -> tuple[AnswerHeader, Arrays]:
        """The header of an answer, and the answer.

        Raises:
            PayloadError: if it is truncated, foreign, oversized, corrupted, or the answer to something else.
        """
        header, segment = wire.decode(data, request, max_bytes=self._most_bytes)
        return header, self._decode(segment)

    def default_metric(self) -> Metric:
        """The metric that fits the answers of a bundle, where the user chose none.

        Raises:
            MetricError: if no rule says how to judge it.
        """
        from adaedge.metrics import BoxF1, default_metric  # a terminal that judges nothing starts without them

        if self._detection is not None:
            return BoxF1(least_score=0.0)  # what is below the threshold is no part of the answer
        return default_metric(self.specs, self._labels)

    def nested(self, answer: Sequence[Any], frame: Any = None) -> Any:
        """An answer as the model itself nests its outputs, in plain dictionaries, lists and tuples.

        A tensor alone, and what was nowhere said to nest, is a tuple of arrays. Where a codec makes several arrays of
        the one output, a tuple of them is in its place.

        A detector's is a dictionary of ``boxes`` (M, 4), ``scores`` and ``labels`` (M,) of the boxes that there are,
        best first; of a batch a list of them. Boxes are x1, y1, x2, y2 in pixels.

        Args:
            answer: as ``reduce`` makes it.
            frame: the frame, uint8 (H, W, 3), in whose pixels boxes are told; in those of the model's input without.
        """
        if self._detection is not None:
            found = [self._found(one, frame) for one in zip(*answer, strict=True)]
            return found[0] if len(found) == 1 else found
        if self._structure is None:
            return tuple(answer)
        found = nest(self._structure, self._leaves(tuple(answer)))
        return (found,) if isinstance(self._structure, int) and not isinstance(found, tuple) else found

    def _found(self, answer: Sequence[Array], frame: Any) -> dict[str, Array]:
        """What was found in one frame."""
        boxes, scores, labels = answer
        here = labels >= 0
        is_frame = isinstance(frame, np.ndarray) and frame.ndim == 3 and self._geometry is not None
        if is_frame and self._geometry is not None:
            boxes = in_frame(boxes, frame.shape, self._geometry)
        return dict(zip(NAMES, (boxes[here], scores[here], labels[here]), strict=True))

    def described(self, answer: Arrays, frame: Any = None) -> Any:
        """An answer in short, for a line of JSON: nested likewise, a dictionary in each output's place.

        That is the best class and its score, of one row of scores or of ``best@K``; of anything else type, shape and a
        CRC-32 of its bytes, by which equal ones are told. A detector's boxes, scores and labels are there as they are,
        boxes in pixels of the frame, as `nested` tells them.
        """
        if self._detection is not None:
            return _as_json(_listed(self.nested(answer, frame)))
        return _as_json(nest(self._structure, [self._leaf_described(leaf) for leaf in self._leaves(answer)]))

    def best_class(self, answer: Sequence[Array]) -> int | None:
        """The class that an answer gives; ``None`` where its first output is not one row of scores, nor ``best@K``."""
        is_boxes = self._detection is not None
        found = self._best(self._leaves(tuple(answer))[0]) if answer and not is_boxes else None
        return None if found is None else found[0]

    def _leaves(self, answer: tuple[Any, ...]) -> tuple[Any, ...]:
        """What stands in the place of each output."""
        if len(answer) == len(self._outputs):
            return answer
        return (answer,)

    def _best(self, leaf: Array | Arrays) -> tuple[int, float] | None:
        if isinstance(leaf, tuple):
            if not isinstance(self.codec, Best) or len(leaf[0]) != 1:
                return None
            return int(leaf[0][0, 0]), float(leaf[1][0, 0])
        is_row = leaf.ndim == 2 and leaf.shape[0] == 1 and leaf.shape[1] > 1 and np.issubdtype(leaf.dtype, np.floating)
        if not is_row:
            return None
        best = int(leaf.argmax())
        return best, float(leaf[0, best])

    def _leaf_described(self, leaf: Array | Arrays) -> Any:
        best = self._best(leaf)
        if best is not None:
            return {"class": best[0], "score": best[1] if math.isfinite(best[1]) else None}
        if isinstance(leaf, tuple):
            return [_digest(one) for one in leaf]
        return _digest(leaf)


def _listed(found: Any) -> Any:
    """Arrays as lists."""
    if isinstance(found, dict):
        return {name: _listed(one) for name, one in found.items()}
    return [_listed(one) for one in found] if isinstance(found, list) else found.tolist()


def _digest(array: Array) -> dict[str, Any]:
    crc = zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return {"dtype": array.dtype.name, "shape": [*array.shape], "crc32": f"{crc:08x}"}


def _as_json(value: Any) -> Any:
    """What reading its JSON would give."""
    if isinstance(value, dict):
        return {str(name): _as_json(one) for name, one in value.items()}
    return [_as_json(one) for one in value] if isinstance(value, list | tuple) else value
