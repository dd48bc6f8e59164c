"""The tensors that the graphs of a bundle share, each stored once.

May import: nothing of adaedge.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(slots=True)
class WeightFile:
    """Gathers tensors; tied ones, and those that several graphs use, have one name.

    Attributes:
        tensors: name → array, in C order.

    Example:
        >>> file = WeightFile()
        >>> file.add("embedding", np.ones((4, 2))), file.add("head", np.ones((4, 2))), len(file.tensors)
        ('embedding', 'embedding', 1)
    """

    tensors: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    _names: dict[tuple[str, tuple[int, ...], bytes], str] = field(default_factory=dict)

    def add(self, name: str, array: npt.NDArray[Any]) -> str:
        """The name under which the file holds this array: ``name``, or that of an equal one."""
        array = np.ascontiguousarray(array)
        content = (array.dtype.str, array.shape, hashlib.sha256(array.data).digest())
        if content not in self._names:
            while name in self.tensors:
                name += "'"
            self._names[content] = name
            self.tensors[name] = array
        return self._names[content]
