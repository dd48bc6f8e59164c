"""One table: which extra brings a package. And the error that says so.

May import: ``errors``.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from adaedge.errors import MissingExtraError

EXTRAS = {
    "torch": "prepare",
    "torchvision": "prepare",
    "timm": "prepare",
    "transformers": "prepare",
    "accelerate": "prepare",
    "torch_pruning": "prepare",
    "onnx": "prepare",
    "onnxscript": "prepare",
    "onnx_ir": "prepare",
    "matplotlib": "report",
    "prometheus_client": "metrics",
    "grpc_health": "metrics",
    "openvino": "openvino",
    "huggingface_hub": "hub",
    "ray": "ray",
}
"""Name of a package, as it is imported → the extra that brings it. ``pyproject.toml`` lists the same."""


def explained(error: ModuleNotFoundError, wanted: str, extra: str | None = None) -> ModuleNotFoundError:
    """The error to raise instead of ``error``: it names the extra, where one brings what is missing.

    Args:
        error: what an import raised.
        wanted: what the user asked for, as the message begins: ``adaedge.Splittable``.
        extra: the extra to name, where more than the package is needed; by default that of the table.

    Returns:
        A :class:`~adaedge.errors.MissingExtraError`; ``error`` itself where no extra brings what is missing.

    Example:
        >>> print(explained(ModuleNotFoundError(name="onnx"), "adaedge.build"))
        adaedge.build needs onnx, which is not installed here. Install it with `pip install 'adaedge[prepare]'`.
    """
    package = error.name
    if package not in EXTRAS:  # a part of a package is another trouble: an old version of it is installed
        return error
    return MissingExtraError(
        f"{wanted} needs {package}, which is not installed here. Install it with"
        f" `pip install 'adaedge[{extra or EXTRAS[package]}]'`.",
        name=package,
    )


def load(module: str, wanted: str, extra: str | None = None) -> Any:
    """Import a module that needs an extra; arguments as in :func:`explained`.

    Raises:
        MissingExtraError: if a package is missing that an extra brings.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise explained(error, wanted, extra) from error


def require(package: str, wanted: str, extra: str | None = None) -> None:
    """See that a package is installed, without importing it; arguments as in :func:`explained`.

    Raises:
        MissingExtraError: if it is not.
    """
    if importlib.util.find_spec(package) is None:
        raise explained(ModuleNotFoundError(name=package), wanted, extra)
