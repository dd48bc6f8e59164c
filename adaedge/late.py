"""Names of a package that are there, but whose modules are imported when they are first used (PEP 562).

May import: ``extras``. A terminal that answers frames needs a third of what adaedge can do, and starts before it has
imported the rest.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from adaedge.extras import load


def late_names(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A package's ``__getattr__`` and ``__dir__``.

    Type checkers do not follow them: in the package, import the same names under ``TYPE_CHECKING``.

    Args:
        package: its ``__name__``. Its ``__all__`` lists all of its names.
        homes: name → the package's module that holds it. A name that is not here is imported at once.

    Raises:
        AttributeError: from ``__getattr__``, if the package has no such name; it lists those that it has.
        MissingExtraError: from ``__getattr__``, if the module needs an extra that is not installed.

    Example:
        >>> import adaedge.channel
        >>> "Trace" in dir(adaedge.channel), adaedge.channel.Trace.__module__
        (True, 'adaedge.channel.trace')
    """

    def find(name: str) -> Any:
        if name not in homes:
            public = sorted(entry for entry in sys.modules[package].__all__ if not entry.startswith("_"))
            raise AttributeError(f"{package} has no {name!r}; it has: {', '.join(public)}")
        value = getattr(load(f"{package}.{homes[name]}", f"{package}.{name}"), name)
        setattr(sys.modules[package], name, value)  # the next time it is found as any other
        return value

    def names() -> list[str]:
        return sorted(sys.modules[package].__all__)

    return find, names
