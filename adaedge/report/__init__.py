"""Records of frames → summary, table, plots, one self-contained HTML page.

May import: everything above it in the tree; never torch. matplotlib and rich are imported when something is
drawn; the extra ``report`` brings matplotlib.
"""

from adaedge.report.comparison import Comparison, Rules, judge
from adaedge.report.everywhere import energy_everywhere
from adaedge.report.frontier import DominatedPoints, Frontier, Place
from adaedge.report.origin import Origin, environment
from adaedge.report.otlp import open_telemetry
from adaedge.report.page import Context, write_html
from adaedge.report.summary import PointUse, PolicySummary, summarize
from adaedge.report.table import comparison_table

__all__ = [
    "Comparison",
    "Context",
    "DominatedPoints",
    "Frontier",
    "Origin",
    "Place",
    "PointUse",
    "PolicySummary",
    "Rules",
    "comparison_table",
    "energy_everywhere",
    "environment",
    "judge",
    "open_telemetry",
    "summarize",
    "write_html",
]
