"""Postprocessing: what makes boxes, scores and labels of a detector's raw heads, as the manifest keeps it.

May import: ``errors``; of this part all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np

from adaedge.arrays import Array
from adaedge.detection.anchors import AnchorGrid, anchor_boxes
from adaedge.detection.candidates import Candidates, of_boxes, of_classes, of_levels
from adaedge.detection.suppression import suppressed
from adaedge.errors import BundleError, CodecError

Arrays = tuple[Array, ...]

NAMES = ("boxes", "scores", "labels")
FILL = -1
"""The label and the score of a row that holds no box."""
_KNOWN = {
    "scores": ("sigmoid", "softmax", "centerness"),
    "boxes": ("deltas", "distances", "centres"),
    "choice": ("level", "class", "box"),
}
MOST_GROWTH = math.log(1000 / 16)  # of a side, as in Faster R-CNN: an anchor of 16 pixels becomes 1000 at most


@dataclass(frozen=True, slots=True)
class Postprocessing:
    """Raw heads → boxes. The heads are box codes (N, A, 4), logits (N, A, C) and, with ``centerness``, (N, A, 1).

    It does what torchvision's SSD, RetinaNet and FCOS and transformers' DETR and YOLOS do behind their heads, from the
    same numbers. Boxes are x1, y1, x2, y2.

    Attributes:
        size: height and width of the image inside the network, in pixels: anchors are told in them.
        image: height and width of the model's input, in whose pixels the answer's boxes are.
        scores: ``softmax`` or ``sigmoid`` of the logits, or ``centerness``: √(sigmoid · sigmoid of the third head).
        boxes: how boxes are written. ``deltas``: of an anchor's centre and logarithm of its sides (Faster R-CNN);
            ``distances`` of an anchor's centre from the four sides, in the anchor's own (FCOS): both are clipped to the
            image; ``centres``: x, y, width and height as fractions of the image (DETR), without anchors.
        choice: what comes before the suppression: the best ``candidates`` of each feature map (``level``) or of each
            ``class``, or of the boxes with their best class alone (``box``).
        threshold: boxes with scores that are not above it are left out.
        most: so many boxes at most are an answer.
        candidates: see ``choice``.
        overlap: boxes of one class share at most this, as intersection over union; ``None``: nothing is suppressed.
        background: the class that is no object; ``None`` where all are.
        grids: anchors, one grid for each feature map; empty for ``centres``.
        weights: what ``deltas`` were multiplied by.

    Raises:
        BundleError: if fields contradict each other.

    Example:
        >>> post = Postprocessing((10, 20), (10, 20), "softmax", "centres", "box", 0.5, 3, background=1)
        >>> boxes, scores, labels = post.run([np.array([[[0.5, 0.5, 0.5, 1.0]]]), np.array([[[3.0, 0.0]]])])
        >>> boxes[0, 0].tolist(), round(float(scores[0, 0]), 3), labels.tolist()
        ([5.0, 0.0, 15.0, 10.0], 0.953, [[0, -1, -1]])
    """

    size: tuple[int, int]
    image: tuple[int, int]
    scores: str
    boxes: str
    choice: str
    threshold: float
    most: int
    candidates: int = 1000
    overlap: float | None = None
    background: int | None = None
    grids: tuple[AnchorGrid, ...] = ()
    weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        try:
            self._check()
        except TypeError as error:
            raise BundleError(f"thresholds, sizes and counts of a post-processing are numbers: {error}") from error

    def _check(self) -> None:
        for name, known in _KNOWN.items():
            if (given := getattr(self, name)) not in known:
                raise BundleError(f"{name} of a post-processing is one of {', '.join(known)}; got {given!r}")
        if not all(len(pair) == 2 and all(side >= 1 for side in pair) for pair in (self.size, self.image)):
            raise BundleError(f"size and image are (height, width) in pixels; got {self.size} and {self.image}")
        if not (0 <= self.threshold < 1 and (self.overlap is None or 0 <= self.overlap <= 1)):
            raise BundleError(f"threshold lies in [0, 1), overlap in [0, 1]; got {self.threshold} and {self.overlap}")
        if not (1 <= self.most < 2**16 and self.candidates >= 1):
            raise BundleError(
                f"an answer is 1 to 65535 boxes, of 1 or more candidates; got {self.most} and {self.candidates}"
            )
        if (self.boxes == "centres") == bool(self.grids):
            raise BundleError(f"deltas and distances have anchors, centres have none; got {len(self.grids)} grids")
        if (self.scores == "softmax") == (self.choice == "level"):
            raise BundleError(
                f"sigmoids are chosen by level, softmax by class or box; got {self.scores} by {self.choice}"
            )
        if len(self.weights) != 4 or not all(weight > 0 for weight in self.weights):
            raise BundleError(f"weights are four numbers above 0; got {self.weights}")

    @property
    def shapes(self) -> tuple[tuple[str, str, tuple[int, ...]], ...]:
        """Name, type and shape of each array of an answer to one frame; rows beyond its boxes have label −1."""
        boxes, scores, labels = NAMES
        return (boxes, "float32", (self.most, 4)), (scores, "float32", (self.most,)), (labels, "int32", (self.most,))

    def run(self, outputs: Sequence[Array]) -> Arrays:
        """Boxes (N, ``most``, 4), scores and labels (N, ``most``), best first; the rest is filled: see ``shapes``.

        Raises:
            CodecError: if the outputs are not such heads.
        """
        self.check_heads([one.shape for one in outputs])
        frames = [self._frame(*(head[at] for head in outputs)) for at in range(len(outputs[0]))]
        return tuple(np.stack(parts) for parts in zip(*frames, strict=True))

    def check_heads(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """Refuse outputs that are no heads of this detector.

        Raises:
            CodecError: if their shapes are other ones.
        """
        wanted = 3 if self.scores == "centerness" else 2
        count = sum(grid.size for grid in self.grids)
        fits = len(shapes) == wanted and all(len(shape) == 3 and shape[:2] == shapes[0][:2] for shape in shapes)
        fits = fits and shapes[0][2] == 4 and (not count or shapes[0][1] == count) and shapes[-1][2] >= 1
        if not fits:
            raise CodecError(
                f"the heads of this detector are boxes (N, {count or 'A'}, 4), logits (N, {count or 'A'}, classes)"
                f"{' and centerness (N, A, 1)' if wanted == 3 else ''}; got {', '.join(map(str, shapes)) or 'nothing'}."
                " Let the model return these, in this order."
            )

    def _frame(self, codes: Array, logits: Array, centres: Array | None = None) -> Arrays:
        found = self._candidates(logits, centres)
        boxes = self._boxes(codes[found.boxes], found.boxes)
        stay = suppressed(boxes, found.scores, found.labels, self.overlap, self.most)
        ratio = _float32(self.image) / _float32(self.size)
        filled = (
            np.zeros((self.most, 4), np.float32),
            np.full(self.most, FILL, np.float32),
            np.full(self.most, FILL, np.int32),
        )
        filled[0][: len(stay)] = boxes[stay] * np.tile(ratio[::-1], 2)
        filled[1][: len(stay)], filled[2][: len(stay)] = found.scores[stay], found.labels[stay]
        return filled

    def _candidates(self, logits: Array, centres: Array | None) -> Candidates:
        if self.choice == "level":
            ends = [*accumulate(grid.size for grid in self.grids)] or [len(logits)]
            return of_levels(logits, centres, ends, self.threshold, self.candidates)
        choose = of_classes if self.choice == "class" else of_boxes
        return choose(logits, self.background, self.threshold, self.candidates)

    def _boxes(self, codes: Array, which: Array) -> Array:
        """The boxes that codes stand for, in pixels of the image inside the network."""
        codes = codes.astype(np.float32)
        if self.boxes == "centres":
            middle, half = codes[:, :2], codes[:, 2:] / np.float32(2)
            return np.asarray(np.concatenate([middle - half, middle + half], axis=1) * _corners(self.size))
        anchor = _anchors(self.grids)[which]
        sides = anchor[:, 2:] - anchor[:, :2]
        if self.boxes == "distances":
            middle, codes = (anchor[:, :2] + anchor[:, 2:]) * np.float32(0.5), codes * np.tile(sides, 2)
            corners = np.concatenate([middle - codes[:, :2], middle + codes[:, 2:]], axis=1)
        else:
            codes = codes / _float32(self.weights)
            middle = codes[:, :2] * sides + (anchor[:, :2] + np.float32(0.5) * sides)
            half = np.exp(np.minimum(codes[:, 2:], np.float32(MOST_GROWTH))) * sides * np.float32(0.5)
            corners = np.concatenate([middle - half, middle + half], axis=1)
        return np.asarray(np.clip(corners, 0, _corners(self.size)))


def _float32(values: Sequence[float]) -> Array:
    return np.array(values, np.float32)


def _corners(size: Sequence[float]) -> Array:
    """Width, height, width, height of (height, width): what the corners of a box lie within."""
    return np.tile(_float32(size)[::-1], 2)


@lru_cache(8)
def _anchors(grids: tuple[AnchorGrid, ...]) -> Array:
    """Once for each detector that this process runs: a RetinaNet has 100,000."""
    found = anchor_boxes(grids)
    found.setflags(write=False)
    return found
