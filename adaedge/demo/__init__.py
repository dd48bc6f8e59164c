"""The main job, shown: a real clip through a real network on two processes, over a fading link, by five policies.

May import everything but ``cli``.
"""

from adaedge.demo.show import Shown, run

__all__ = ["Shown", "run"]
