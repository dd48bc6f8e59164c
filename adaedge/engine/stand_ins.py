"""Engines that hold no graph.

May import: of this part ``protocol``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

from adaedge.arrays import Array
from adaedge.engine.protocol import Arrays


@final
class Passthrough:
    """The half of a model that holds nothing: the head at ``input``, the tail at ``output``.

    Example:
        >>> import numpy as np
        >>> Passthrough().run([np.ones(2)])[0].tolist()
        [1.0, 1.0]
    """

    def run(self, inputs: Sequence[Array]) -> Arrays:
        """The inputs themselves."""
        return tuple(inputs)


@final
class FakeEngine:
    """A Python function in the place of a graph, for tests of what surrounds an engine.

    Example:
        >>> import numpy as np
        >>> FakeEngine(lambda x: (x + 1,)).run((np.zeros(2),))[0].tolist()
        [1.0, 1.0]
    """

    def __init__(self, function: Callable[..., Arrays]) -> None:
        self._function = function

    def run(self, inputs: Sequence[Array]) -> Arrays:
        """What the function returns."""
        return self._function(*inputs)
