"""Scheduling: policies choose among predictions, `Scheduler` holds their state, `LinkState` knows the link.

May import: ``late``, ``errors``, ``operating_point``, ``energy``, ``channel``. No sockets, no clocks, no tensors:
observations carry their time.
"""

from typing import TYPE_CHECKING

from adaedge.late import late_names
from adaedge.scheduling.deadlines import default_margin_s, offload_timeout_s
from adaedge.scheduling.least_energy import ExpectedEnergy, LeastEnergy
from adaedge.scheduling.ledger import Ledger
from adaedge.scheduling.link_state import Exchange, Failure, LinkState, Purpose, UploadRecord, patience_with, trips_of
from adaedge.scheduling.past import Past
from adaedge.scheduling.policy import (
    AlwaysLocal,
    AlwaysPicture,
    AlwaysVideo,
    Choice,
    Fixed,
    LeastLatency,
    Neurosurgeon,
    Policy,
)
from adaedge.scheduling.prediction import Predictions, predict
from adaedge.scheduling.probing import PROBE_BYTES, ProbePlan
from adaedge.scheduling.scheduler import Scheduler, State
from adaedge.scheduling.table import Limits, Table
from adaedge.scheduling.two_answers import TwoAnswers
from adaedge.scheduling.worth import LONGEST_PROBE_S, Worth

if TYPE_CHECKING:
    from adaedge.scheduling.bandit import LinearBandit
    from adaedge.scheduling.best_of import BestOf
    from adaedge.scheduling.robust_mpc import RobustMPC
    from adaedge.scheduling.virtual_queues import VirtualQueues
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            "BestOf": "best_of",
            "LinearBandit": "bandit",
            "RobustMPC": "robust_mpc",
            "VirtualQueues": "virtual_queues",
        },
    )

__all__ = [
    "LONGEST_PROBE_S",
    "PROBE_BYTES",
    "AlwaysLocal",
    "AlwaysPicture",
    "AlwaysVideo",
    "BestOf",
    "Choice",
    "Exchange",
    "ExpectedEnergy",
    "Failure",
    "Fixed",
    "LeastEnergy",
    "LeastLatency",
    "Ledger",
    "Limits",
    "LinearBandit",
    "LinkState",
    "Neurosurgeon",
    "Past",
    "Policy",
    "Predictions",
    "ProbePlan",
    "Purpose",
    "RobustMPC",
    "Scheduler",
    "State",
    "Table",
    "TwoAnswers",
    "UploadRecord",
    "VirtualQueues",
    "Worth",
    "default_margin_s",
    "offload_timeout_s",
    "patience_with",
    "predict",
    "trips_of",
]
