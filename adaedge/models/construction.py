"""Make a module and fill it with weights; an error names what does not fit.

May import: ``errors``.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from adaedge.errors import ModelError


def made(label: str, make: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
    """The object that ``make`` returns.

    Raises:
        ModelError: if the constructor refuses the arguments.
    """
    try:
        return make()
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise ModelError(f"{label} cannot be made with the arguments {dict(arguments)}: {error}") from error


def trained_or_random(
    label: str, trained: Callable[[], nn.Module], random: Callable[[], nn.Module], hint: str = ""
) -> tuple[nn.Module, bool]:
    """The module with trained weights; with random ones, and a warning, where those cannot be had."""
    try:
        return trained(), True
    except (OSError, RuntimeError, ValueError) as error:
        problem = str(error).strip() or type(error).__name__
    warnings.warn(
        f"{label} has random weights: trained ones could not be had ({problem.splitlines()[0].rstrip('.')}). Give a"
        f" file with `weights=FILE.safetensors` (`--weights FILE`).{hint} If random weights are meant, say"
        " `pretrained=False`.",
        UserWarning,
        stacklevel=6,  # the caller of `adaedge.models.load`
    )
    return random(), False


def unknown(name: str, source: str, known: Iterable[str]) -> ModelError:
    """The error for a name that is no model."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.0)
    return ModelError(f"no model {name!r} in {source}; nearest: {', '.join(near)}")


def fill_from_file(module: nn.Module, path: Path) -> None:
    """Load a safetensors file into a module, strictly.

    Raises:
        ModelError: if the file cannot be read or does not fit.
    """
    if path.suffix != ".safetensors":
        raise ModelError(f"weights are read from a .safetensors file; got {path}. Convert it with `safetensors.torch`.")
    try:
        state = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelError(f"cannot read the weights {path}: {error}") from error
    fill(module, state, str(path))


def fill(module: nn.Module, state: Mapping[str, torch.Tensor], origin: str) -> None:
    """Load a state dict into a module, strictly.

    Raises:
        ModelError: if a name is missing, unexpected, or of another shape.
    """
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        problem = "; ".join(line.strip() for line in str(error).splitlines()[1:3])
        raise ModelError(
            f"the weights of {origin} do not fit {type(module).__name__}: {problem[:300]}. Give the weights of this"
            " very model, with its own parameter names, and the `model_args` that they were trained with."
        ) from error
