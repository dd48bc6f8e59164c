"""Tasks: classification, segmentation and detection by a terminal or by a bundle alone.

May import: ``errors``, ``operating_point``, ``engine``, ``bundle``; of this part ``terminal``. The three
most frequent tasks, called and answered as the pipelines of Hugging Face's transformers are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from adaedge.arrays import Array
from adaedge.bundle import Bundle
from adaedge.errors import BundleError, SourceError
from adaedge.operating_point import OUTPUT, OperatingPoint
from adaedge.runtime.terminal import Terminal

CLASSIFY, SEGMENT, DETECT = "image-classification", "image-segmentation", "object-detection"
TASKS = (CLASSIFY, SEGMENT, DETECT)
_BOX = ("xmin", "ymin", "xmax", "ymax")
_NAMES = ("boxes", "scores", "labels")
Answer = list[dict[str, Any]]


def pipeline(task: str, model: Bundle | Terminal, *, top_k: int = 5, threshold: float = 0.5) -> ImagePipeline:
    """A call that answers pictures with the names of what they show.

    Args:
        task: ``image-classification``, ``image-segmentation`` or ``object-detection``.
        model: an entered terminal, whose scheduler then chooses where each frame is computed; or a bundle, which
            computes everything here.
        top_k: of a classification, so many of the best classes.
        threshold: of a detection, the least score.

    Raises:
        BundleError: if there is no such task, or the bundle's answers are none of this task.

    Example:
        >>> import numpy as np
        >>> from adaedge.runtime.tasks import probabilities
        >>> probabilities(np.log([1.0, 3.0])).round(2).tolist()
        [0.25, 0.75]
    """
    return ImagePipeline(task, model, top_k=top_k, threshold=threshold)


@final
class ImagePipeline:
    """Answers pictures; see `pipeline`. As thread-safe as its terminal.

    Attributes:
        task: which.
        bundle: what answers.
    """

    def __init__(self, task: str, model: Bundle | Terminal, *, top_k: int, threshold: float) -> None:
        self.task, self._model, self._top_k, self._threshold = task, model, top_k, threshold
        self.bundle: Bundle = model.bundle if isinstance(model, Terminal) else model
        if task not in TASKS:
            raise BundleError(f"no task {task!r}; there are: {', '.join(TASKS)}")
        specs = self.bundle.answers.specs
        read = {CLASSIFY: self._classes, SEGMENT: self._masks, DETECT: self._boxes}
        try:  # on an answer of nothing: whether it can be read does not depend on the frame
            read[task](tuple(np.zeros(spec.shape, spec.dtype) for spec in specs))
        except (BundleError, ValueError, IndexError) as error:
            came = ", ".join(f"{spec.name} {spec.dtype} {spec.shape}" for spec in specs)
            raise BundleError(
                f"this bundle's answers ({came}) are none of {task}: {_WANTED[task]}. Choose the task that it was"
                " trained for."
            ) from error
        self._read = read[task]

    def __call__(self, picture: Any) -> Answer | list[Answer]:
        """What a picture shows, the best first; of a list of pictures, one answer each, in order.

        Args:
            picture: a uint8 frame (H, W, 3), a Pillow image, the path of an image, or a list of these.

        Returns:
            Of a classification ``{"label", "score"}``, the score a probability among the classes that the bundle
            answers with (all of them, or with ``best@K`` those K). Of a segmentation ``{"label", "score": None,
            "mask"}``, the mask a bool array over the bundle's label map, for each class that is there, the largest
            first. Of a detection ``{"label", "score", "box"}``, the box in ``xmin``, ``ymin``, ``xmax``, ``ymax``: in
            pixels of the picture where the bundle has a post-processing, else as the model gives it.

        Raises:
            SourceError: if it is no picture that decodes, or does not fit the bundle.
        """
        if isinstance(picture, list):
            return [self._read(*self._answer(frame_of(one))) for one in picture]
        return self._read(*self._answer(frame_of(picture)))

    def _answer(self, frame: Array) -> tuple[tuple[Array, ...], Array]:
        if isinstance(self._model, Terminal):
            return self._model.infer(frame).answer, frame
        return self._model.run(OperatingPoint(OUTPUT), self._model.inputs_of(frame)), frame

    def _label(self, index: int) -> str:
        names = self.bundle.manifest.labels
        return names[index] if 0 <= index < len(names) else f"class {index}"

    def _classes(self, answer: tuple[Array, ...], _: Array | None = None) -> Answer:
        if self.bundle.manifest.answer.startswith("best@"):
            indices, scores = (one.reshape(-1) for one in answer)
        else:
            (row,) = answer[0]  # one row of scores, or it is no classification
            if row.ndim != 1 or row.size < 2 or row.dtype.kind != "f":
                raise BundleError("no row of scores")
            indices, scores = np.arange(row.size), row
        shares = probabilities(scores)
        best = np.argsort(-shares, kind="stable")[: self._top_k]
        return [{"label": self._label(int(indices[at])), "score": float(shares[at])} for at in best]

    def _masks(self, answer: tuple[Array, ...], _: Array | None = None) -> Answer:
        if len(answer) != 1 or len(answer[0]) != 1:
            raise BundleError("no map of labels")
        found = answer[0][0]
        labels = found.argmax(0) if found.ndim == 3 else found
        if labels.ndim != 2 or labels.dtype.kind not in "iu":
            raise BundleError("no map of labels")
        classes, counts = np.unique(labels, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return [{"label": self._label(int(classes[at])), "score": None, "mask": labels == classes[at]} for at in order]

    def _boxes(self, answer: tuple[Array, ...], frame: Array | None = None) -> Answer:
        boxes, scores, labels = self._named(answer, frame)
        if not boxes.shape[:1] == scores.shape == labels.shape or boxes.shape[1:] != (4,):
            raise BundleError("no boxes with scores and labels")
        kept = [at for at in np.argsort(-scores, kind="stable") if scores[at] >= self._threshold]
        return [
            {
                "label": self._label(int(labels[at])),
                "score": float(scores[at]),
                "box": dict(zip(_BOX, map(float, boxes[at]), strict=True)),
            }
            for at in kept
        ]

    def _named(self, answer: tuple[Array, ...], frame: Array | None) -> list[Array]:
        """Boxes (n, 4), scores (n,) and labels (n,), by the names of the model's outputs."""
        nested = self.bundle.answers.nested(answer, frame)
        inner = nested[0] if isinstance(nested, list | tuple) and isinstance(nested[0], dict) else nested
        named = inner if isinstance(inner, Mapping) else dict(_by_name(self.bundle, answer))
        if not {*_NAMES} <= {*named}:
            raise BundleError("no boxes, scores and labels")
        lead = [np.asarray(named[name]) for name in _NAMES]
        return [one[0] if one.ndim == wanted + 1 else one for one, wanted in zip(lead, (2, 1, 1), strict=True)]


_WANTED = {
    CLASSIFY: "it wants one row of scores",
    SEGMENT: "it wants one map of labels, or of scores",
    DETECT: f"it wants outputs named {', '.join(_NAMES)}",
}


def _by_name(bundle: Bundle, answer: Sequence[Array]) -> list[tuple[str, Array]]:
    return [(spec.name, one) for spec, one in zip(bundle.answers.specs, answer, strict=True)]


def probabilities(scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Scores as they are where they are probabilities already; otherwise their softmax, in float64."""
    wide = np.asarray(scores, np.float64)
    if (wide >= 0).all() and abs(wide.sum() - 1) < 1e-3:
        return wide
    shares: npt.NDArray[np.float64] = np.exp(wide - wide.max())
    shares /= shares.sum()
    return shares


def frame_of(picture: Any) -> Array:
    """A picture as a uint8 frame (H, W, 3).

    Raises:
        SourceError: if it is none.
    """
    if isinstance(picture, np.ndarray):
        return picture
    try:
        if isinstance(picture, str | Path):
            with Image.open(picture) as image:
                return np.asarray(image.convert("RGB"))
        if isinstance(picture, Image.Image):
            return np.asarray(picture.convert("RGB"))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError) as error:
        raise SourceError(f"{picture} is not an image that decodes: {error}. Remove or repair it.") from error
    raise SourceError(
        f"a picture is a uint8 frame (H, W, 3), a Pillow image or the path of one; got {type(picture).__name__}"
    )
