"""The main job, shown: a real clip through a real network on two processes, over a fading link, by six policies.

May import everything but ``cli``.
"""

import adaedge.extras.demo  # noqa: F401 -- says what is missing
from adaedge.demo.show import Shown, run

__all__ = ["Shown", "run"]
