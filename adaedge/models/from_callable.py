"""Models that the user's own code makes.

May import: ``errors``, ``named_objects``.
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

from torch import nn

from adaedge.errors import ModelError
from adaedge.models.construction import made
from adaedge.models.model import Model, random_example
from adaedge.named_objects import own

_OTHERWISE = ". A model is named timm:NAME, torchvision:NAME, transformers:NAME_OR_FOLDER or package.module:callable"


def load(module_path: str, attribute: str, pretrained: bool, arguments: dict[str, Any]) -> Model:
    """The model that ``module_path.attribute(**arguments)`` returns; ``pretrained`` says whether it is trained.

    Raises:
        ModelError: if there is no such callable, or it returns no model.

    Warns:
        UserWarning: if the model is in training mode; `adaedge.models.load` puts it into evaluation mode.
    """
    label = f"{module_path}:{attribute}"
    make = own(label, None, ModelError, otherwise=_OTHERWISE)
    returned = made(label, partial(make, **arguments), arguments)
    module, *example = returned if isinstance(returned, tuple) else (returned, (random_example((3, 224, 224)),))
    if not isinstance(module, nn.Module) or len(example) not in (1, 2):
        raise ModelError(
            f"{label} returned {type(returned).__name__}; return a torch.nn.Module, (module, args) or"
            " (module, args, kwargs)"
        )
    if module.training:
        warnings.warn(
            f"{label} returned a network in training mode; it is taken in evaluation mode: dropout off, batch-norm by"
            " its running statistics. Call `.eval()` on it before, if that is meant.",
            UserWarning,
            stacklevel=3,
        )
    args, kwargs = (*example, {})[:2]
    return Model(label, module, tuple(args), dict(kwargs), trained=pretrained)
