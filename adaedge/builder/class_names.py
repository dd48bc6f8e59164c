"""The names of a model's classes, as the model itself has them.

May import: ``levels``.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from adaedge.levels import Elastic

_UNNAMED = "LABEL_0"  # what transformers writes where nobody gave names


def class_names(net: nn.Module) -> tuple[str, ...]:
    """The names in ``net.config.id2label``, as transformers keeps them, by their index; empty where it has none.

    Example:
        >>> net = nn.Linear(2, 2)
        >>> net.config = type("Config", (), {"id2label": {1: "dog", 0: "cat"}})()
        >>> class_names(net)
        ('cat', 'dog')
    """
    wrapped: Any = net.net if isinstance(net, Elastic) else net
    names = getattr(getattr(wrapped, "config", None), "id2label", None)
    if not isinstance(names, dict):
        return ()
    ordered = tuple(str(names[index]) for index in sorted(names))
    return () if ordered[:1] == (_UNNAMED,) else ordered
