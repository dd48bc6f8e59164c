"""Imported first by each part that prepares models: where torch is missing, says which extra brings it.

May import: ``extras.missing``.
"""

from adaedge.extras.missing import require

require("torch", "what prepares models")
