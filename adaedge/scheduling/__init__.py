"""What to run: policies choose among predictions, `Scheduler` holds their state, `LinkState` knows the link.

May import: ``errors``, ``operating_point``, ``energy``, ``channel``. No sockets, no clocks, no tensors: observations
carry their time.
"""

from adaedge.scheduling.deadlines import default_margin_s, offload_timeout_s
from adaedge.scheduling.ledger import Ledger
from adaedge.scheduling.link_state import Exchange, Failure, LinkState, Purpose, UploadRecord
from adaedge.scheduling.policy import Choice, Fixed, LeastEnergy, LeastLatency, Policy
from adaedge.scheduling.prediction import Predictions, predict
from adaedge.scheduling.probing import PROBE_BYTES, ProbePlan
from adaedge.scheduling.scheduler import Scheduler, State
from adaedge.scheduling.table import Limits, Table
from adaedge.scheduling.worth import Worth

__all__ = [
    "PROBE_BYTES",
    "Choice",
    "Exchange",
    "Failure",
    "Fixed",
    "LeastEnergy",
    "LeastLatency",
    "Ledger",
    "Limits",
    "LinkState",
    "Policy",
    "Predictions",
    "ProbePlan",
    "Purpose",
    "Scheduler",
    "State",
    "Table",
    "UploadRecord",
    "Worth",
    "default_margin_s",
    "offload_timeout_s",
    "predict",
]
