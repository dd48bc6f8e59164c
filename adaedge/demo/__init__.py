"""The main job, shown: a real clip through a real network on two processes, over a fading link, by six policies.

May import everything but ``cli``.
"""

from adaedge.demo.show import Shown, run

__all__ = ["Shown", "run"]
