"""The main job, shown: a robot watches real clips, on two processes, over a fading link, by every policy, three radios.

May import everything but ``cli``.
"""

import adaedge.extras.demo  # noqa: F401 -- says what is missing
from adaedge.demo.show import Shown, run

__all__ = ["Shown", "run"]
