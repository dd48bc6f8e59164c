"""What a detector leaves to be done behind its graph: raw heads become boxes, scores and labels, in NumPy.

May import: ``errors``. A graph has one shape; how many boxes there are depends on what is seen. So a bundle's graphs
end at a detector's raw heads, and its manifest holds a `Postprocessing`, which is data: where the anchors are, how
boxes are written, which threshold, which suppression. Terminal and edge server run it alike.
"""

from adaedge.detection.anchors import AnchorGrid, anchor_boxes
from adaedge.detection.postprocessing import Postprocessing

__all__ = ["AnchorGrid", "Postprocessing", "anchor_boxes"]
