"""Matrix: which mode and which technique pays, on which network, clip, terminal, radio and link.

May import: ``errors``, ``clip``, ``operating_point``, ``energy``, ``channel``, ``metrics``, ``engine``, ``bundle``,
``stream``, ``profiling``, ``scheduling``, ``runtime.record``, ``simulation``, ``report``, ``forecast``.
"""

from adaedge.matrix.cell import Bench, Cell, Network
from adaedge.matrix.clip_run import play
from adaedge.matrix.network_measurement import floor_for, measure_network, metric_of
from adaedge.matrix.played_clip import ClipHalf, PlayedClip
from adaedge.matrix.pruning import worth_playing
from adaedge.matrix.rows import Row
from adaedge.matrix.scenarios import LINKS, SCENARIOS, Scenario3gpp, link_named, scenario_named
from adaedge.matrix.sweep import FRAMES, cells
from adaedge.matrix.terminals import TERMINALS, Terminal

__all__ = [
    "FRAMES",
    "LINKS",
    "SCENARIOS",
    "TERMINALS",
    "Bench",
    "Cell",
    "ClipHalf",
    "Network",
    "PlayedClip",
    "Row",
    "Scenario3gpp",
    "Terminal",
    "cells",
    "floor_for",
    "link_named",
    "measure_network",
    "metric_of",
    "play",
    "scenario_named",
    "worth_playing",
]
