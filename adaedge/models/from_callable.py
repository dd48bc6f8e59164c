"""Models that the user's own code makes.

May import: ``errors``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from adaedge.errors import ModelError
from adaedge.models.construction import made
from adaedge.models.model import Model, random_example


def load(module_path: str, attribute: str, pretrained: bool, arguments: dict[str, Any]) -> Model:
    """What ``module_path.attribute(**arguments)`` returns. Whether its weights are trained, ``pretrained`` says.

    Raises:
        ModelError: if there is no such callable, or it returns no model.
    """
    label = f"{module_path}:{attribute}"
    try:
        make: Callable[..., Any] = getattr(importlib.import_module(module_path), attribute)
    except (ImportError, AttributeError) as error:
        raise ModelError(
            f"no callable {label} ({error}). A model is named timm:NAME, torchvision:NAME,"
            " transformers:NAME_OR_FOLDER or package.module:callable; the module must be importable from here."
        ) from error
    returned = made(label, partial(make, **arguments), arguments)
    module, *example = returned if isinstance(returned, tuple) else (returned, (random_example((3, 224, 224)),))
    if not isinstance(module, nn.Module) or len(example) not in (1, 2):
        raise ModelError(
            f"{label} returned {type(returned).__name__}; return a torch.nn.Module, (module, args) or"
            " (module, args, kwargs)"
        )
    args, kwargs = (*example, {})[:2]
    return Model(label, module, tuple(args), dict(kwargs), trained=pretrained)
