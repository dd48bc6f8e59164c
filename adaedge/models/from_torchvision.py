"""Models of torchvision, video included.

May import: ``errors``, ``bundle.manifest``.
"""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torchvision import models
from torchvision.transforms import _presets as presets

from adaedge.bundle.preprocessing import Preprocessing
from adaedge.models.construction import fill, made, trained_or_random, unknown
from adaedge.models.model import Model, imagenet_labels, known_interpolation, random_example
from adaedge.models.object_detectors import detector_of

_CLIP_FRAMES = 16


def load(name: str, pretrained: bool, arguments: dict[str, Any]) -> Model:
    """A torchvision model.

    Raises:
        ModelError: if torchvision has no such model, or the arguments do not fit it.
    """
    if name not in models.list_models():
        raise unknown(name, "torchvision", models.list_models())
    published: Any = getattr(models.get_model_weights(name), "DEFAULT", None)
    module, trained = _module(name, pretrained, arguments, published)
    transform = published.transforms() if published else None
    if isinstance(transform, presets.VideoClassification):
        geometry = replace(_preprocessing(transform), frames=_CLIP_FRAMES)
        labels = () if "num_classes" in arguments else tuple(published.meta["categories"])
        return Model(name, module, _example(module, transform), {}, geometry, labels, trained)
    if isinstance(transform, presets.ObjectDetection):
        args = _detector_example(module)
        found = detector_of(module, args)
        names = () if "num_classes" in arguments else tuple(published.meta["categories"])
        return Model(name, module, args, {}, found.preprocessing if found else None, names, trained)
    preprocessing = _preprocessing(transform) if isinstance(transform, presets.ImageClassification) else None
    classes = arguments.get("num_classes", len(published.meta["categories"])) if preprocessing else 0
    return Model(name, module, _example(module, transform), {}, preprocessing, imagenet_labels(classes), trained)


def _module(name: str, pretrained: bool, arguments: dict[str, Any], published: Any) -> tuple[nn.Module, bool]:
    label = f"torchvision:{name}"
    random = partial(made, label, partial(_untrained, name, arguments), arguments)
    if not pretrained:
        return random(), False
    return trained_or_random(label, partial(_trained, name, arguments, published), random)


def _untrained(name: str, arguments: dict[str, Any]) -> nn.Module:
    """The module with random weights. Detectors and segmenters would fetch a trained backbone unless told not to."""
    backbone = "weights_backbone" in inspect.signature(models.get_model_builder(name)).parameters
    module: nn.Module = models.get_model(
        name, **{"weights": None} | ({"weights_backbone": None} if backbone else {}) | arguments
    )
    return module


def _trained(name: str, arguments: dict[str, Any], published: Any) -> nn.Module:
    if published is None:
        raise OSError("torchvision publishes none")
    # These two were trained on inputs that they rescale themselves.
    scaled = {"transform_input": True} if name in ("googlenet", "inception_v3") else {}
    state = published.get_state_dict(check_hash=True, weights_only=True)
    module = _untrained(name, scaled | arguments)
    fill(module, state, f"torchvision:{name}")
    return module


def _example(module: nn.Module, transform: Any) -> tuple[Any, ...]:
    height, width = _size(transform)
    path = type(module).__module__
    if ".optical_flow" in path:
        first, second = torch.rand(2, 1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
        return first, second
    return (random_example((3, _CLIP_FRAMES, height, width) if ".video" in path else (3, height, width)),)


def _detector_example(module: Any) -> tuple[Any, ...]:
    """A list of one image: of the size that an SSD has anyway, else of a camera's."""
    fixed = module.transform.fixed_size
    height, width = (480, 640) if fixed is None else (int(fixed[1]), int(fixed[0]))
    return ([random_example((3, height, width))[0]],)


def _size(transform: Any) -> tuple[int, int]:
    crop = getattr(transform, "crop_size", None) or getattr(transform, "resize_size", None) or [224]
    return int(crop[0]), int(crop[-1])


def _preprocessing(transform: Any) -> Preprocessing:
    size = _size(transform)
    return Preprocessing(
        size=size,
        crop=size[0] / transform.resize_size[0],
        interpolation=known_interpolation(transform.interpolation.value),
        mean=tuple(transform.mean),
        std=tuple(transform.std),
    )
