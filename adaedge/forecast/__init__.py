"""Forecast: which of local, full and partial offload pays, before anything is built; the window in which partial does.

May import: ``energy``, ``operating_point``, ``bundle``, ``report.canvas``.
"""

from adaedge.forecast.window import MODES, Forecast, Offer, Window, Workload
from adaedge.forecast.workloads import of_bundle, of_profile

__all__ = ["MODES", "Forecast", "Offer", "Window", "Workload", "of_bundle", "of_profile"]
