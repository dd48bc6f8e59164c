"""What is not installed, and which extra brings it: ``pip install 'adaedge[prepare]'``.

May import: ``errors``. Imports nothing that an extra brings. ``extras.prepare`` and ``extras.demo`` are imported first
by the parts that need these extras, so that what is missing is said before anything of it is imported.
"""

from adaedge.extras.missing import EXTRAS, explained, load, require

__all__ = ["EXTRAS", "explained", "load", "require"]
