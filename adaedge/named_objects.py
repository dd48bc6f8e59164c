"""Objects of the user's own that options name as ``package.module:NAME``: a model, a processor, a radio, a policy.

May import: ``errors``.
"""

from __future__ import annotations

import importlib
from typing import Any

from adaedge.errors import AdaedgeError


def own(text: str, kind: type | None, error: type[AdaedgeError], *, otherwise: str = "") -> Any:
    """The object that ``package.module:NAME`` names; the module is imported, so it is code that the user trusts.

    Args:
        text: ``package.module:NAME``.
        kind: what it must be an instance of; ``None`` where it must be callable.
        error: raised, with the way out, where it is not.
        otherwise: what else may be named there, for the message.

    Example:
        >>> own("math:pi", float, AdaedgeError)
        3.141592653589793
    """
    module, _, name = text.partition(":")
    what = "callable" if kind is None else "object"
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as cause:
        raise error(f"no {what} {text} ({cause}){otherwise}; the module must be importable from here") from cause
    if not (callable(found) if kind is None else isinstance(found, kind)):
        wanted = "a callable" if kind is None else f"an instance of {kind.__name__}"
        raise error(f"{text} is {type(found).__name__}, and {wanted} is needed; name an object that the module holds")
    return found
