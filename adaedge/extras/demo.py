"""Imported first by the demo, which prepares a model and draws a report: said at once, not after minutes.

May import: ``extras.missing``.
"""

from adaedge.extras.missing import EXTRAS, require

NEEDED = ("prepare", "report")
"""What the extra ``demo`` brings of the others, as ``pyproject.toml`` says too."""

for package, extra in EXTRAS.items():
    if extra in NEEDED:
        require(package, "the demo", "demo")
