"""Levels: widths (nested channel slices of one weight set) and precisions (calibrated number formats).

May import: ``errors``, ``operating_point``, ``energy``, ``graph``.
"""

import adaedge.extras.prepare  # noqa: F401 -- says what is missing
from adaedge.levels.channel_groups import ChannelGroup, Counter, Member
from adaedge.levels.elastic import WIDTHS, Elastic
from adaedge.levels.importance import L2, Importance, Taylor

__all__ = ["L2", "WIDTHS", "ChannelGroup", "Counter", "Elastic", "Importance", "Member", "Taylor"]
