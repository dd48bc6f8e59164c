"""Substitution: how many bits buy how many multiply-accumulates, at equal accuracy and latency, on a link that varies.

May import: ``errors``, ``operating_point``, ``energy``, ``report.canvas``.
"""

from adaedge.substitution.exchange import Relief, Spread, Substitution, substitute
from adaedge.substitution.hull import Vertex, isoquant
from adaedge.substitution.hull_picture import draw_substitution

__all__ = ["Relief", "Spread", "Substitution", "Vertex", "draw_substitution", "isoquant", "substitute"]
