"""The type of an array of any kind and shape, which every part speaks of.

May import: nothing of adaedge. What an array's axes and its dtype are is said where it is taken or returned.
"""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]
