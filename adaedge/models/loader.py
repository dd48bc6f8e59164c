"""One function: a name becomes a model.

May import: ``errors``, ``extras``. A source's library is imported when a model of it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from adaedge.errors import ModelError
from adaedge.extras import load as load_module
from adaedge.models.construction import fill_from_file
from adaedge.models.model import Model

_SOURCES = ("timm", "torchvision", "transformers")


def load(
    name: str,
    *,
    weights: str | Path | None = None,
    pretrained: bool = True,
    model_args: Mapping[str, Any] | None = None,
) -> Model:
    """Make a model by name.

    Args:
        name: ``timm:NAME``; ``torchvision:NAME``; ``transformers:NAME``, which is a class
            (``ViTForImageClassification``, its configuration from ``model_args``), a folder, or a name on the hub; or
            ``package.module:callable``, which returns a module that takes an image of 224×224, or ``(module, args)``,
            or ``(module, args, kwargs)``. A network that takes a clip at two rates is wrapped in `TwoRates` there.
        weights: a safetensors file with exactly the module's own parameter names.
        pretrained: whether to look for trained weights. Without, neither weights nor network are needed.
        model_args: arguments of the constructor, the configuration, or the callable.

    Raises:
        ModelError: if there is no such model, or the arguments or weights do not fit it.
        MissingExtraError: if the source's library is not installed.

    Warns:
        UserWarning: if trained weights were wanted and cannot be had: they are random then.

    Example:
        >>> model = load("timm:resnet18", pretrained=False)
        >>> model.args[0].shape, model.labels[0], model.trained
        (torch.Size([1, 3, 224, 224]), 'tench, Tinca tinca', False)
    """
    source, _, rest = name.partition(":")
    if not source or not rest:
        raise ModelError(
            "a model is named timm:NAME, torchvision:NAME, transformers:NAME_OR_FOLDER or package.module:callable;"
            f" got {name!r}"
        )
    wanted = pretrained and weights is None
    model = _from(source, rest, wanted, dict(model_args or {}))
    if weights is not None:
        fill_from_file(model.module, Path(weights))
    model.module.eval()
    return replace(model, name=name, trained=model.trained or weights is not None)


def _from(source: str, name: str, pretrained: bool, arguments: dict[str, Any]) -> Model:
    if source in _SOURCES:
        loader = load_module(f"adaedge.models.from_{source}", f"{source}:{name}")
        model: Model = loader.load(name, pretrained, arguments)
        return model
    from adaedge.models import from_callable

    return from_callable.load(source, name, pretrained, arguments)
