"""The loss of an answer where features have errors: one loss for each kind of answer.

May import: ``metrics``.

Each is a random scalar whose gradient g says what the answer depends on: half the expected square of g · error is the
loss to second order. `lost` measures the loss itself on answers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from adaedge.metrics import BoxF1
from adaedge.metrics.boxes import find_boxes

Loss = Callable[[Any, torch.Generator], Tensor]
_SURE = 1e-3
"""No score counts as surer than this."""


def class_loss(output: Any, generator: torch.Generator) -> Tensor:
    """The negative log-probability of labels drawn from the prediction itself, (N, classes) logits, summed.

    Half the expected square of its gradient · error is the divergence of the prediction, in nats, to second order.

    Example:
        >>> logits = torch.tensor([[100.0, 0.0, 0.0]])
        >>> abs(float(class_loss(logits, torch.Generator())))
        0.0
    """
    logits = answer(output)
    drawn = torch.multinomial(logits.detach().softmax(1).cpu(), 1, generator=generator).to(logits.device)
    return -logits.log_softmax(1).gather(1, drawn).sum()


def map_loss(output: Any, generator: torch.Generator) -> Tensor:
    """`class_loss` at each position of (N, classes, …) logits, labels drawn independently, with random signs, summed.

    It is a sum over positions of the nats at each: the signs keep products of two positions out of the square.
    It is divided by the square root of the positions, so that half the expected square is the divergence of a
    position's prediction in nats, to second order, as a mean over the map.

    Example:
        >>> logits = torch.tensor([[100.0, 0.0], [0.0, 100.0]]).T[None]
        >>> abs(float(map_loss(logits, torch.Generator())))
        0.0
    """
    logits = _by_position(answer(output))
    logs = logits.log_softmax(1)
    drawn = torch.multinomial(logs.detach().exp().cpu(), 1, generator=generator).to(logs.device)
    signs = _signs(drawn.shape, generator).to(logs)
    return -(logs.gather(1, drawn) * signs).sum() / math.sqrt(_positions(answer(output)))


def dense_loss(output: Any, generator: torch.Generator) -> Tensor:
    """The values of a map (N, channels, …) in units of their channel's deviation over the frame, with random signs.

    Half the expected square is the squared error relative to the variance, as a mean over channels and positions: of
    a depth or a flow each position counts by itself, and no channel by its unit.
    """
    values = answer(output).float()
    flat = values / _deviation(values.detach())
    return (flat * _signs(flat.shape, generator).to(flat)).sum() * math.sqrt(2 / math.prod(flat.shape[1:]))


def box_loss(output: Any, generator: torch.Generator) -> Tensor:
    """Edges of boxes (…, M, 4) in units of their sides, and drawn outcomes of their scores (…, M), with random signs.

    F1 counts a box whose score is high enough, if it overlaps enough. So an edge counts by the score, relative to the
    side that it bounds, and a score as the probability that it is. Half the expected square is the sum of half the
    squared relative errors and of the divergence of each outcome in nats, by expected box.
    """
    boxes, scores = _boxes(output)
    held = scores.detach().clamp(0, 1)
    sides = (boxes[..., 2:] - boxes[..., :2]).detach().abs().clamp_min(1e-6)
    weight = held / held.sum(-1, keepdim=True).clamp_min(1)
    edges = boxes / torch.cat([sides, sides], -1) * weight.sqrt()[..., None]
    moved = (edges * _signs(edges.shape, generator).to(edges)).sum()
    sure = scores.clamp(_SURE, 1 - _SURE)
    drawn = torch.bernoulli(sure.detach().cpu(), generator=generator).to(sure.device)
    outcome = torch.where(drawn > 0, sure, 1 - sure).log() / held.sum(-1, keepdim=True).clamp_min(1).sqrt()
    return moved - (outcome * _signs(outcome.shape, generator).to(outcome)).sum()


def direction_loss(output: Any, generator: torch.Generator) -> Tensor:
    """A random projection of each sample's normalised output, summed.

    Half the expected square of its gradient · error is 1 − cosine of the output, to second order: the projection is on
    a standard normal vector, whose expected outer product is the identity.
    """
    flat = nn.functional.normalize(answer(output).flatten(1).float(), dim=1)
    return (flat * torch.randn(flat.shape, generator=generator).to(flat.device)).sum()


def lost(found: Sequence[Any], wanted: Sequence[Any], loss: Loss) -> float | None:
    """The loss of answers, measured; ``None`` for a loss that is not of this file, or where no box is expected.

    It is the mean divergence in nats for classes, 1 − cosine for directions, the squared error relative to the variance
    for a dense map, 1 − `overlap` for labels, and 1 − F1 for boxes.

    Args:
        found: the outputs with a bottleneck.
        wanted: the outputs without.
        loss: which of them.
    """
    if loss is map_loss:
        return 1 - overlap([answer(one) for one in found], [answer(one) for one in wanted])
    if loss is box_loss:
        if (best := _best_score(wanted)) <= 0:
            return None  # nothing is found in any of these images
        expected, given = (
            [[part.numpy(force=True) for part in _leaves(one)] for one in each] for each in (wanted, found)
        )
        return 1 - BoxF1(least_score=min(0.5, best)).score(expected, given).value
    measures: dict[Loss, Callable[[Tensor, Tensor], Tensor]]
    measures = {class_loss: _nats, direction_loss: _turned, dense_loss: _unexplained}
    apart = measures.get(loss)
    if apart is None:
        return None
    pairs = [(answer(one), answer(other)) for one, other in zip(found, wanted, strict=True)]
    return sum(float(apart(*pair)) for pair in pairs) / len(pairs)


def overlap(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """Intersection over union of the labels of (N, classes, …) logits, all classes but the most frequent together.

    A class counts by how much of it there is: one that flickers at a few positions cannot decide alone, as it could in
    a mean over classes. The most frequent, often the background, would hide all others.
    """
    classes = wanted[0].shape[1]
    same, here, there = torch.zeros(3, classes, dtype=torch.long)
    for one, other in zip(found, wanted, strict=True):
        labels, true = one.argmax(1).flatten().cpu(), other.argmax(1).flatten().cpu()
        same += torch.bincount(true[labels == true], minlength=classes)
        here += torch.bincount(labels, minlength=classes)
        there += torch.bincount(true, minlength=classes)
    union = here + there - same
    if (union > 0).sum() > 1:
        union[there.argmax()] = same[there.argmax()] = 0
    return float(same.sum() / union.sum())


def answer(output: Any) -> Tensor:
    """The judged part of an output: its first floating-point tensor; the first tensor where there is none."""
    leaves = _leaves(output)
    return next((leaf for leaf in leaves if leaf.is_floating_point()), leaves[0])


def _leaves(output: Any) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, Tensor)]


def _boxes(output: Any) -> tuple[Tensor, Tensor]:
    leaves = _leaves(output)
    found = find_boxes([part.detach().numpy(force=True) for part in leaves])
    assert found is not None, "a loss of boxes is taken for outputs that hold them"
    return leaves[found[0]], leaves[found[1]]


def _best_score(outputs: Sequence[Any]) -> float:
    return max(float(scores.max()) if scores.numel() else 0.0 for _, scores in map(_boxes, outputs))


def _by_position(logits: Tensor) -> Tensor:
    """(N, classes, …) as (positions of all, classes)."""
    return logits.movedim(1, -1).flatten(0, -2).float()


def _positions(logits: Tensor) -> int:
    return math.prod(logits.shape[2:])


def _signs(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    return 2 * torch.randint(0, 2, tuple(shape), generator=generator) - 1


def _deviation(values: Tensor) -> Tensor:
    """Of each channel over a frame's positions, (N, channels, 1…); where a channel is even, of all of the frame."""
    places = tuple(range(2, values.dim()))
    own = values.std(places, correction=0, keepdim=True)
    whole = values.std(tuple(range(1, values.dim())), correction=0, keepdim=True)
    return torch.where(own > 1e-3 * whole, own, whole).clamp_min(1e-12)


def _nats(found: Tensor, wanted: Tensor) -> Tensor:
    return nn.functional.kl_div(found.log_softmax(1), wanted.log_softmax(1), log_target=True, reduction="batchmean")


def _turned(found: Tensor, wanted: Tensor) -> Tensor:
    return 1 - nn.functional.cosine_similarity(found.flatten(1), wanted.flatten(1)).mean()


def _unexplained(found: Tensor, wanted: Tensor) -> Tensor:
    return ((found - wanted) / _deviation(wanted)).square().mean()
