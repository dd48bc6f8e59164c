"""Losses by kind of answer: which is taken, that it is the metric it stands for, and what is measured of it."""

import numpy as np
import pytest
import torch
from torch import nn

from adaedge import Bottleneck, Splittable
from adaedge.bottleneck import box_loss, class_loss, dense_loss, direction_loss, map_loss
from adaedge.bottleneck.losses import answer, lost, overlap
from adaedge.bottleneck.output_kinds import known, loss_for
from adaedge.errors import CodecError

IMAGE = torch.zeros(1, 3, 8, 8)


class Features(nn.Module):
    """Tokens of an image without a classifier: the first one, normalised."""

    def __init__(self):
        super().__init__()
        self.embed, self.mix = nn.Linear(6, 12), nn.Linear(12, 12)
        self.norm = nn.LayerNorm(12)

    def forward(self, tokens):
        return self.norm(self.mix(self.embed(tokens).relu()).relu())[:, 0]


class Ending(nn.Module):
    """Two convolutions and an ending."""

    def __init__(self, end):
        super().__init__()
        self.first, self.last, self.end = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 1), end

    def forward(self, image):
        return self.end(self.last(self.first(image).relu()))


def detections(y):
    """Four values a position as boxes, the fifth as a score."""
    flat = y.flatten(2).transpose(1, 2)
    return {"scores": flat[..., 4].sigmoid(), "boxes": flat[..., :4], "labels": flat[..., :4].argmax(-1)}


def chosen(net, example, split):
    return loss_for(Splittable(net.eval(), (example,)).at(split)[1].before_argmax())


def wide(y):
    return nn.functional.interpolate(y, scale_factor=2.0, mode="bilinear")


@pytest.mark.parametrize(("end", "loss"), [
    (lambda y: y, map_loss), (wide, map_loss), (lambda y: wide(y).argmax(1), map_loss),
    (lambda y: {"out": y, "aux": y.relu()}, map_loss), (lambda y: y.relu().argmax(1), map_loss),
    (lambda y: y.mean((2, 3)), class_loss), (lambda y: y.mean((2, 3)).argmax(1), class_loss),
    (lambda y: y.relu(), dense_loss), (lambda y: y[:, :1], dense_loss), (detections, box_loss),
    (lambda y: y.flatten(1).relu(), direction_loss), (lambda y: y.flatten(2), direction_loss),
], ids=["map", "interpolated", "labels", "two", "relu_labels", "classes", "class", "features", "depth", "boxes",
        "vector", "sequence"])  # fmt: skip
def test_the_kind_of_output_chooses(end, loss):
    assert chosen(Ending(end), IMAGE, "first") is loss


def test_classes_are_told_from_features():
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten()]
    assert chosen(nn.Sequential(*layers, nn.Linear(144, 5)), IMAGE, "0") is class_loss
    assert chosen(nn.Sequential(*layers), IMAGE, "0") is direction_loss
    assert chosen(nn.Sequential(*layers, nn.Linear(144, 5), nn.LayerNorm(5)), IMAGE, "0") is direction_loss
    assert chosen(Features(), torch.zeros(1, 17, 6), "embed") is direction_loss


def test_without_a_graph_the_shape_chooses():
    by_shape = loss_for(nn.Identity())
    for output, loss in [
        (torch.zeros(1, 5), class_loss), (torch.zeros(1, 5, 2, 2), map_loss), (torch.zeros(1, 1, 2, 2), dense_loss),
        (torch.zeros(1, 1), direction_loss), ((torch.zeros(1, 2, 4), torch.zeros(1, 2)), box_loss),
    ]:  # fmt: skip
        assert known(by_shape, output) is loss
    assert known(map_loss, torch.zeros(1, 5)) is map_loss
    assert known(by_shape, torch.zeros(1, 5)) is class_loss


def half_mean_square(loss, output, error, draws=4000):
    """Half the mean square of gradient · error, over many draws: as many samples of one batch, each drawn apart."""
    leaves = [one.repeat(draws, *[1] * (one.dim() - 1)).requires_grad_() for one in output]
    drawn = loss(tuple(leaves), torch.Generator().manual_seed(0))
    found = torch.autograd.grad(drawn, leaves, materialize_grads=True)
    products = sum((one * wrong).flatten(1).sum(1) for one, wrong in zip(found, error, strict=True))
    return float(products.double().square().mean()) / 2


@pytest.mark.parametrize("loss", [class_loss, direction_loss])
def test_half_the_expected_square_of_gradient_times_error_is_the_loss(loss):
    torch.manual_seed(0)
    output, error = torch.randn(1, 6), 0.01 * torch.randn(1, 6)
    assert half_mean_square(loss, [output], [error]) == pytest.approx(lost([output + error], [output], loss), rel=0.1)


def exact_fisher(logits):
    """Σ over positions of diag(p) − p pᵀ, as a matrix over the whole map (classes · positions)²."""
    p = logits.softmax(1)[0].flatten(1).double()
    classes, positions = p.shape
    whole = torch.zeros(classes, positions, classes, positions, dtype=torch.float64)
    for at in range(positions):
        whole[:, at, :, at] = torch.diag(p[:, at]) - torch.outer(p[:, at], p[:, at])
    return whole.reshape(classes * positions, -1)


def test_a_maps_loss_has_the_exact_fisher_information_as_second_moment():
    torch.manual_seed(0)
    logits, draws = 2 * torch.randn(1, 3, 2, 2), 20000
    leaf = logits.repeat(draws, 1, 1, 1).requires_grad_()
    found = torch.autograd.grad(map_loss(leaf, torch.Generator().manual_seed(0)), leaf)[0].flatten(1).double()
    moment, fisher = found.T @ found / draws, exact_fisher(logits) / 4
    # An entry's standard error, from the draws themselves: cross terms between positions are zero within it.
    products = found[:, :, None] * found[:, None]
    error = products.std(0) / draws**0.5
    assert ((moment - fisher).abs() <= 5 * error + 1e-9).all()
    assert np.trace(moment.numpy()) == pytest.approx(np.trace(fisher.numpy()), rel=0.03)


def test_a_maps_loss_is_the_mean_divergence_whatever_the_size_and_batch():
    torch.manual_seed(1)
    small = torch.randn(1, 4, 3, 3)
    for logits in (small, small.repeat(1, 1, 2, 2)):
        error = 0.02 * torch.randn(logits.shape, generator=torch.Generator().manual_seed(3))
        nats = nn.functional.kl_div((logits + error).log_softmax(1), logits.log_softmax(1), log_target=True,
                                    reduction="none").sum(1).mean()  # fmt: skip
        assert half_mean_square(map_loss, [logits], [error]) == pytest.approx(float(nats), rel=0.12)


def test_a_dense_maps_loss_is_the_error_relative_to_its_variance():
    torch.manual_seed(0)
    depth = torch.randn(1, 2, 4, 4) * torch.tensor([1.0, 1000.0]).view(2, 1, 1) + 5
    error = 0.01 * torch.randn(1, 2, 4, 4) * torch.tensor([1.0, 1000.0]).view(2, 1, 1)
    wanted = lost([depth + error], [depth], dense_loss)
    assert wanted == pytest.approx(
        float((error.square().mean((2, 3)) / depth.var((2, 3), correction=0)).mean()), rel=1e-4
    )
    assert half_mean_square(dense_loss, [depth], [error]) == pytest.approx(wanted, rel=0.1)
    assert np.isfinite(lost([torch.ones(1, 1, 2, 2)], [torch.zeros(1, 1, 2, 2)], dense_loss)), "an even map"


def test_a_boxs_edges_count_by_its_score_and_side():
    boxes = torch.tensor([[[0.0, 0, 10, 20], [5, 5, 9, 9]]])
    scores = torch.tensor([[0.9, 0.1]])
    moved, surer = torch.tensor([[[0.1, -0.1, 0.2, 0.3], [1.0, 0, 0, 0]]]), torch.tensor([[0.01, -0.01]])
    sides = torch.tensor([[[10.0, 20, 10, 20], [4, 4, 4, 4]]])
    edges = ((moved / sides).square().sum(-1) * scores).sum() / 2
    outcomes = (surer.square() / (scores * (1 - scores))).sum() / 2
    for error, loss in [
        ((moved, 0 * surer), edges),
        ((0 * moved, surer), outcomes),
        ((moved, surer), edges + outcomes),
    ]:
        assert half_mean_square(box_loss, [boxes, scores], error) == pytest.approx(float(loss), rel=0.1)
    same, far = (boxes, scores), (boxes + 100, scores)
    assert lost([same], [same], box_loss) == 0
    assert lost([far], [same], box_loss) == 1
    nothing = (boxes[:, :0], scores[:, :0])
    assert lost([nothing], [nothing], box_loss) is None


def test_what_is_judged_is_the_first_output_with_a_gradient():
    labels, scores = torch.zeros(1, dtype=torch.int64), torch.rand(1, 3)
    assert answer({"labels": labels, "scores": scores}) is scores
    assert answer((labels, labels + 1)) is labels


def test_overlap_is_of_all_classes_but_the_commonest():
    wanted = nn.functional.one_hot(torch.tensor([[[0, 0, 0, 0, 0, 1, 1, 2]]]), 3).movedim(-1, 1).float()
    found = nn.functional.one_hot(torch.tensor([[[0, 0, 0, 0, 0, 0, 1, 2]]]), 3).movedim(-1, 1).float()
    assert overlap([found], [wanted]) == pytest.approx(2 / 3)
    assert lost([found], [wanted], map_loss) == pytest.approx(1 / 3)
    even = torch.zeros(1, 3, 2, 2)
    assert overlap([even], [even]) == 1


def test_of_another_loss_nothing_is_measured():
    assert lost([torch.zeros(1, 2)], [torch.zeros(1, 2)], lambda output, generator: output.sum()) is None
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3)).eval()
    images = [torch.randn(1, 3, 8, 8) for _ in range(6)]
    own = Bottleneck.fit(net, (images[0],), split="1", images=images, loss=lambda output, _: output.square().sum())
    assert len(own.rates) == 10


def test_what_has_no_gradient_is_refused():
    net = Ending(lambda y: y[:, 0] > 0).eval()
    with pytest.raises(CodecError, match=r"its output, bool \(1, 6, 6\), has no gradient, and no argmax .* its scores"):
        Bottleneck.fit(net, (IMAGE,), split="first", images=[torch.rand(1, 3, 8, 8)])
