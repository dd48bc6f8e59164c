"""Imported first by the demo, which needs every extra: said at once, not after minutes when the report is drawn.

May import: ``extras.missing``.
"""

from adaedge.extras.missing import EXTRAS, require

for package in EXTRAS:
    require(package, "the demo", "demo")
