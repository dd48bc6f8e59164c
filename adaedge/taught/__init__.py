"""A network that is taught on the terminal's own stream: its updates, and the terminal's end of them.

May import: ``errors``, ``operating_point``, ``payload``, ``metrics``, ``engine``, ``bundle``. Never torch: who teaches
is in ``distillation``.
"""

from adaedge.taught.gate import Gate
from adaedge.taught.held_weights import HeldWeights
from adaedge.taught.taught_network import TaughtNetwork
from adaedge.taught.update import Update, UpdateKey
from adaedge.taught.weight_delta import Delta, apply, fingerprint

__all__ = ["Delta", "Gate", "HeldWeights", "TaughtNetwork", "Update", "UpdateKey", "apply", "fingerprint"]
