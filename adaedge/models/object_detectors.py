"""Detectors: a torchvision or transformers network as its raw heads, and what is done behind them, as data.

May import: ``errors``, ``detection``, ``bundle.preprocessing``. torchvision and transformers are not imported here: a
network of theirs that is given has been.

What a detector's heads return has one shape, and can be captured and cut. What comes behind (threshold, suppression)
has not: `detector_of` splits it off, as a `Postprocessing` with the thresholds that the network has.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from adaedge.bundle.preprocessing import Preprocessing
from adaedge.detection import AnchorGrid, Postprocessing, anchor_boxes
from adaedge.errors import ModelError

_TORCHVISION = "torchvision.models.detection"
_KNOWN = ("SSD", "RetinaNet", "FCOS")
_TRANSFORMERS = ("DetrForObjectDetection", "YolosForObjectDetection")
_THRESHOLD = 0.5  # of transformers' `post_process_object_detection`
_NEAR_PIXELS = 0.01


@dataclass(frozen=True, slots=True)
class Detector:
    """A detector, split into what is captured and what is not.

    Attributes:
        heads: returns the raw heads, box codes first, as a tuple of tensors. Its modules are the network's own objects
            under their own names. It takes a normalised image (N, 3, H, W).
        args: an example for it.
        postprocessing: makes boxes of its heads.
        preprocessing: geometry and normalisation of a frame; ``None`` where the network does not say.
    """

    heads: nn.Module
    args: tuple[Tensor]
    postprocessing: Postprocessing
    preprocessing: Preprocessing | None = None


def detector_of(net: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> Detector | None:
    """A network as a detector; ``None`` where it is none of those that are known.

    Known are torchvision's SSD, RetinaNet and FCOS (ssdlite is an SSD) and transformers' DETR and YOLOS.

    Args:
        net: the network; nothing of it is changed.
        args: an example of its arguments: a batch of images (N, 3, H, W) or, of torchvision, a list of images of one
            size. Its size is the size of a bundle's input.
        kwargs: an example of its keyword arguments: none, or transformers' ``pixel_values`` and ``pixel_mask`` of ones.

    Raises:
        ModelError: if it is a detector of torchvision's of another kind, or the example is no such batch.

    Example:
        >>> detector_of(nn.Linear(2, 2), (torch.rand(1, 2),)) is None
        True
    """
    kinds = [f"{kind.__module__}.{kind.__name__}" for kind in type(net).__mro__]
    if any(kind.startswith("transformers.") and kind.endswith(_TRANSFORMERS) for kind in kinds):
        return _of_transformers(net, _images(net, args, kwargs or {}))
    if not any(kind.startswith(_TORCHVISION) and kind.endswith(_KNOWN) for kind in kinds):
        return None
    return _of_torchvision(net, _images(net, args, kwargs or {}))


def _images(net: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
    """The batch in an example."""
    given = [*args, *(value for name, value in kwargs.items() if name == "pixel_values")]
    rest = {*kwargs} - {"pixel_values", "pixel_mask"}
    images = given[0] if len(given) == 1 and not rest else None
    if isinstance(images, list | tuple) and images and all(isinstance(one, Tensor) for one in images):
        images = torch.stack([*images]) if len({one.shape for one in images}) == 1 else None
    if not isinstance(images, Tensor) or images.dim() != 4 or not images.is_floating_point():
        got = ", ".join(map(_shape, (*args, *kwargs.values()))) or "nothing"
        raise ModelError(
            f"an example of {type(net).__name__} is one batch of images, float (N, 3, H, W), all of one size; got"
            f" {got}. Give (torch.rand(1, 3, H, W),)."
        )
    return images.detach()


def _shape(value: Any) -> str:
    if isinstance(value, Tensor):
        return str(tuple(value.shape))
    return f"[{', '.join(map(_shape, value))}]" if isinstance(value, list | tuple) else type(value).__name__


def _with_forward(net: nn.Module, mixin: type[nn.Module]) -> nn.Module:
    """The network with another forward: a second object, of the same modules and parameters."""
    heads = copy.copy(net)
    heads.__class__ = type(type(net).__name__, (mixin, type(net)), {"__module__": __name__})
    return heads


class _AnchoredHeads(nn.Module):
    """The forward of torchvision's one-stage detectors up to their heads."""

    backbone: nn.Module
    head: nn.Module
    resized: tuple[int, int]
    padding: tuple[int, int]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Box codes, logits and, of FCOS, centerness."""
        if tuple(images.shape[-2:]) != self.resized:
            images = nn.functional.interpolate(images, size=self.resized, mode="bilinear", align_corners=False)
        if any(self.padding):
            images = nn.functional.pad(images, (0, self.padding[1], 0, self.padding[0]))
        return tuple(self.head(self.features(images))[name] for name in _names(self))

    def features(self, images: Tensor) -> list[Tensor]:
        """The maps that the heads look at."""
        found = self.backbone(images)
        return [found] if isinstance(found, Tensor) else list(found.values())


def _names(heads: nn.Module) -> tuple[str, ...]:
    names = ("bbox_regression", "cls_logits")
    return (*names, "bbox_ctrness") if hasattr(heads, "center_sampling_radius") else names


class _QueryHeads(nn.Module):
    """The forward of transformers' detectors with their two heads alone."""

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes and logits."""
        found = super().forward(pixel_values)
        return found.pred_boxes, found.logits


def _of_transformers(net: Any, images: Tensor) -> Detector:
    heads, size = _with_forward(net, _QueryHeads), (int(images.shape[2]), int(images.shape[3]))
    queries, labels = getattr(net.config, "num_queries", None) or net.config.num_detection_tokens, net.config.num_labels
    post = Postprocessing(
        size, size, "softmax", "centres", "box", _THRESHOLD, queries, candidates=queries, background=labels
    )
    return Detector(heads, (images,), post)


def _of_torchvision(net: Any, images: Tensor) -> Detector:
    heads: Any = _with_forward(net, _AnchoredHeads)
    modes = {module: module.training for module in net.modules()}
    try:
        net.eval()
        with torch.no_grad():
            inside, _ = net.transform([*images])
            maps = heads.features(inside.tensors[:1])
            boxes = net.anchor_generator(inside, maps)[0]
    finally:
        for module, mode in modes.items():
            module.training = mode
    size, padded = inside.image_sizes[0], inside.tensors.shape[-2:]
    heads.resized, heads.padding = tuple(size), (padded[0] - size[0], padded[1] - size[1])
    image = (int(images.shape[2]), int(images.shape[3]))
    geometry = Preprocessing(
        image, 1.0, "bilinear-sampled", tuple(net.transform.image_mean), tuple(net.transform.image_std), fit="stretch"
    )
    grids = _grids(net, boxes, [tuple(one.shape[-2:]) for one in maps])
    return Detector(heads, (images,), _postprocessing(net, grids, (int(size[0]), int(size[1])), image), geometry)


def _postprocessing(
    net: Any, grids: tuple[AnchorGrid, ...], size: tuple[int, int], image: tuple[int, int]
) -> Postprocessing:
    common: dict[str, Any] = {
        "size": size,
        "image": image,
        "threshold": float(net.score_thresh),
        "most": int(net.detections_per_img),
        "candidates": int(net.topk_candidates),
        "overlap": float(net.nms_thresh),
        "grids": grids,
    }
    if hasattr(net, "center_sampling_radius"):
        if not net.box_coder.normalize_by_size:
            raise ModelError("an FCOS whose box coder does not normalise by the anchor's size is not supported")
        return Postprocessing(scores="centerness", boxes="distances", choice="level", **common)
    kinds: dict[str, Any] = {"scores": "sigmoid", "choice": "level"}
    if any(kind.__name__ == "SSD" for kind in type(net).__mro__):
        kinds = {"scores": "softmax", "choice": "class"}
        common["background"] = 0
    weights: Any = tuple(map(float, net.box_coder.weights))
    return Postprocessing(boxes="deltas", weights=weights, **kinds, **common)


def _grids(net: nn.Module, boxes: Tensor, shapes: Sequence[tuple[int, int]]) -> tuple[AnchorGrid, ...]:
    """The grids that a network's anchors are.

    Raises:
        ModelError: if they are no grids.
    """
    places = sum(rows * columns for rows, columns in shapes)
    own, rest = boxes.double().cpu(), boxes.double().cpu()
    counts = _counts(net, len(own), shapes, places)
    grids = []
    for (rows, columns), count in zip(shapes, counts, strict=True):
        level, rest = rest[: rows * columns * count], rest[rows * columns * count :]
        level = level.reshape(rows, columns, count, 4)
        down = (level[-1, 0, 0, 1] - level[0, 0, 0, 1]).item() / max(rows - 1, 1)
        right = (level[0, -1, 0, 0] - level[0, 0, 0, 0]).item() / max(columns - 1, 1)
        cells = tuple(tuple(cell) for cell in level[0, 0].tolist())
        grids.append(AnchorGrid((int(rows), int(columns)), (down, right), cells))
    found = tuple(grids)
    if not torch.allclose(torch.from_numpy(anchor_boxes(found)).double(), own, rtol=0, atol=_NEAR_PIXELS):
        raise ModelError(
            f"the anchors of {type(net).__name__} are not the same boxes at each place of its feature maps, so that no"
            " bundle can hold them. Use torchvision's AnchorGenerator or DefaultBoxGenerator."
        )
    return found


def _counts(net: Any, total: int, shapes: Sequence[tuple[int, int]], places: int) -> list[int]:
    """How many anchors there are at each place of each feature map."""
    if hasattr(net.anchor_generator, "num_anchors_per_location"):
        return [int(count) for count in net.anchor_generator.num_anchors_per_location()]
    return [total // places] * len(shapes)
