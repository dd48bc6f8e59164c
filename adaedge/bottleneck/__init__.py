"""The semantic bottleneck: what crosses a split point, in as few bytes as the network's prediction can bear.

May import: ``errors``, ``payload``, ``graph``, ``levels``.
"""

from adaedge.bottleneck.bottleneck import Bottleneck

__all__ = ["Bottleneck"]
