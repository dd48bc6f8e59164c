"""The boxes of a detector's raw heads with their gradients: what a bottleneck inside a detector is fitted for.

May import: ``detection``, ``metrics``.

Raw heads are no answer yet: of a hundred thousand boxes a few dozen become answers, and the logits say which. So
features are judged by the boxes that may become answers, before the suppression, which has no gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from adaedge.detection import Postprocessing
from adaedge.detection.anchors import anchor_boxes
from adaedge.detection.postprocessing import FILL, MOST_GROWTH, Arrays
from adaedge.metrics import BoxF1

_LEAST_SIDE = 1.0  # pixels


@final
class DetectorBoxes(nn.Module):
    """A tail that returns raw heads, and behind it the boxes (N, M, 4) and scores (N, M) that they stand for.

    M is the most boxes that an answer holds: those of the best scores. A score is that of the box's best class.

    Args:
        tail: returns box codes (N, A, 4), logits (N, A, C) and, with ``centerness``, (N, A, 1).
        postprocessing: how they are read.

    Example:
        >>> post = Postprocessing((10, 20), (10, 20), "softmax", "centres", "box", 0.5, 1, background=1)
        >>> heads = torch.tensor([[[0.5, 0.5, 0.5, 1.0]]]), torch.tensor([[[3.0, 0.0]]])
        >>> boxes, scores = DetectorBoxes(nn.Identity(), post)(heads)
        >>> boxes.tolist(), round(float(scores), 3)
        ([[[5.0, 0.0, 15.0, 10.0]]], 0.953)
    """

    def __init__(self, tail: nn.Module, postprocessing: Postprocessing) -> None:
        super().__init__()
        self.tail, self.postprocessing = tail, postprocessing
        self.anchors = torch.from_numpy(anchor_boxes(postprocessing.grids))

    def forward(self, *features: Any) -> tuple[Tensor, Tensor]:
        """Boxes in pixels of the image inside the network, and scores, best first."""
        codes, logits, *centres = (leaf for leaf in pytree.tree_leaves(self.tail(*features)))
        scores, which = self._scores(logits.float(), *centres).topk(min(self.postprocessing.most, codes.shape[1]))
        chosen = codes.float().gather(1, which[..., None].expand(-1, -1, 4))
        anchors = self.anchors.to(codes.device)[which] if self.postprocessing.grids else None
        boxes = self._boxes(chosen, anchors)
        # Edges count relative to the box's sides: of one without any, the least error would outweigh all others.
        sides = (boxes[..., 2:] - boxes[..., :2]).amin(-1, keepdim=True)
        return torch.where(sides >= _LEAST_SIDE, boxes, boxes.detach()), scores

    def lost(self, found: Sequence[Any], wanted: Sequence[Any]) -> float | None:
        """1 − F1 of the answers, suppression included; ``None`` where none of them holds a box.

        Args:
            found: what the tail returned with a bottleneck.
            wanted: what it returned without.
        """
        expected, given = ([self._answer(heads) for heads in each] for each in (wanted, found))
        if not any((labels != FILL).any() for _, _, labels in expected):
            return None
        return 1 - BoxF1(least_score=0.0).score(expected, given).value

    def _answer(self, heads: Any) -> Arrays:
        return self.postprocessing.run([leaf.numpy(force=True) for leaf in pytree.tree_leaves(heads)])

    def _scores(self, logits: Tensor, centres: Tensor | None = None) -> Tensor:
        post = self.postprocessing
        if post.scores == "softmax":
            scores = logits.softmax(-1)
            if post.background is not None:
                classes = [at for at in range(scores.shape[-1]) if at != post.background % scores.shape[-1]]
                scores = scores[..., classes]
            return scores.amax(-1)
        scores = logits.sigmoid().amax(-1)
        return scores if centres is None else (scores * centres.float().sigmoid()[..., 0]).sqrt()

    def _boxes(self, codes: Tensor, anchors: Tensor | None) -> Tensor:
        """As `Postprocessing` does it in NumPy."""
        post = self.postprocessing
        corners = codes.new_tensor([post.size[1], post.size[0]] * 2)
        if anchors is None:
            half = codes[..., 2:] / 2
            return torch.cat([codes[..., :2] - half, codes[..., :2] + half], -1) * corners
        sides, middle = anchors[..., 2:] - anchors[..., :2], (anchors[..., 2:] + anchors[..., :2]) / 2
        if post.boxes == "distances":
            codes = codes * torch.cat([sides, sides], -1)
            boxes = torch.cat([middle - codes[..., :2], middle + codes[..., 2:]], -1)
        else:
            codes = codes / codes.new_tensor(post.weights)
            middle = codes[..., :2] * sides + middle
            half = codes[..., 2:].clamp_max(MOST_GROWTH).exp() * sides / 2
            boxes = torch.cat([middle - half, middle + half], -1)
        return torch.minimum(boxes.clamp_min(0), corners)
