"""What feeds an argmax at the end of a tail is found, whatever stands behind it."""

import pytest
import torch
from torch import nn

from adaedge import Splittable

IMAGE = torch.zeros(2, 3, 8, 8)


class Labels(nn.Module):
    """A segmenter whose last step is ``choose``."""

    def __init__(self, choose):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.choose = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 1), choose

    def logits(self, image):
        return self.last(self.first(image).relu())

    def forward(self, image):
        return self.choose(self.logits(image))


def cut(choose):
    net = Labels(choose).eval()
    head, tail = Splittable(net, (IMAGE,)).at("first")
    return net, head, tail


@pytest.mark.parametrize("choose", [
    lambda y: y.argmax(1), lambda y: y.softmax(1).argmax(1, keepdim=True).squeeze(1).to(torch.uint8),
    lambda y: y.max(1)[1], lambda y: y.permute(0, 2, 3, 1).argmax(-1), lambda y: y.topk(1, 1)[1],
    lambda y: y.permute(0, 2, 3, 1).log_softmax(3).topk(1)[1][..., 0], lambda y: {"labels": y.argmax(dim=1)},
], ids=["argmax", "softmax", "max", "last", "topk", "topk_last", "nested"])  # fmt: skip
def test_scores_stand_where_labels_stood(choose):
    net, head, tail = cut(choose)
    image = torch.rand(3, 3, 8, 8)
    scores = tail.before_argmax()(*head(image))
    scores = scores["labels"] if isinstance(scores, dict) else scores
    assert torch.allclose(scores, net.logits(image), atol=1e-6)
    assert scores.requires_grad
    assert torch.equal(torch.utils._pytree.tree_leaves(tail(*head(image)))[0],
                       torch.utils._pytree.tree_leaves(net(image))[0]), "the tail itself stays as it is"  # fmt: skip


@pytest.mark.parametrize("choose", [
    lambda y: y, lambda y: y.max(1)[0], lambda y: (y * 4).long().argmax(1), lambda y: y.argmax(0), lambda y: y > 0,
    lambda y: y.argmax(1) + 1,
], ids=["logits", "values", "integers", "batch", "threshold", "shifted"])  # fmt: skip
def test_what_is_no_choice_of_a_class_stays(choose):
    _, _, tail = cut(choose)
    assert tail.before_argmax() is tail


def test_a_softmax_over_something_else_is_kept():
    net, head, tail = cut(lambda y: y.softmax(2).argmax(1))
    image = torch.rand(2, 3, 8, 8)
    assert torch.allclose(tail.before_argmax()(*head(image)), net.logits(image).softmax(2))


def test_other_outputs_are_kept_and_parameters_shared():
    net, head, tail = cut(lambda y: (y.argmax(1), y.mean((2, 3))))
    image = torch.rand(2, 3, 8, 8)
    scores, mean = tail.before_argmax()(*head(image))
    assert torch.allclose(scores, net.logits(image), atol=1e-6)
    assert torch.allclose(mean, net(image)[1])
    assert {id(one) for one in tail.before_argmax().parameters()} == {id(one) for one in tail.parameters()}
