"""The table of operators of PyTorch's ONNX exporter, read once in a process.

May import: nothing of adaedge.

``torch.onnx.export`` parses the source of its 500 operators anew at each call (torch 2.9 to 2.14): most of a second,
and a bundle takes dozens of exports. An export only reads the table.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def operators_read_once() -> Iterator[None]:
    """Let exports inside share one table of operators; a PyTorch that keeps it elsewhere is left as it is."""
    registry = _registry()
    parsing = vars(registry).get("from_torchlib")
    if parsing is None:
        yield
        return
    registry.from_torchlib = staticmethod(_kept(registry.from_torchlib.__func__, registry))
    try:
        yield
    finally:
        registry.from_torchlib = parsing


def _registry() -> Any:
    """The exporter's class of such tables, or an empty one where this PyTorch has no such class."""
    try:
        exporter = importlib.import_module("torch.onnx._internal.exporter._registration")
    except ImportError:
        return type("NoRegistry", (), {})
    return getattr(exporter, "ONNXRegistry", type("NoRegistry", (), {}))


@functools.cache
def _kept(parse: Callable[..., Any], registry: type) -> Callable[..., Any]:
    return functools.cache(functools.partial(parse, registry))
