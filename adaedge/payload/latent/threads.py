"""Matrix products of one frame keep to one thread.

May import: nothing of adaedge.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np  # noqa: F401 -- its library must be there before it is looked for
from threadpoolctl import ThreadpoolController

BLAS = ThreadpoolController().select(user_api="blas").lib_controllers


@contextmanager
def one_thread() -> Iterator[None]:
    """OpenBLAS's other threads would wait for the next product at full power, for longer than a frame takes."""
    many = [(library, count) for library in BLAS if (count := library.get_num_threads()) != 1]
    for library, _ in many:
        library.set_num_threads(1)
    try:
        yield
    finally:
        for library, count in many:
            library.set_num_threads(count)
