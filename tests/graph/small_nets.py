"""Small networks that hold one difficulty each, with an example call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


class Residual(nn.Module):
    """In-place activations, one activation module called three times, several tensors across most cuts."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.left, self.right = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.act = nn.ReLU(inplace=True)
        self.fc = nn.Linear(4, 5)

    def forward(self, x):
        x = self.stem(x)
        x = self.act(x + self.act(self.left(x)) * self.right(x).sigmoid())
        return self.fc(self.act(x * 2).mean((2, 3)))


class Structured(nn.Module):
    """Two inputs, keyword arguments, a dictionary of outputs of which some depend on no input."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 6), nn.Linear(3, 6)
        self.scale = nn.Parameter(torch.rand(6))

    def forward(self, x, y, *, gain=1.0, masks=None):
        joint = self.first(x) * self.second(y) * gain
        if masks is not None:
            joint = joint * masks["rows"].unsqueeze(1)
        return {"joint": joint, "pair": (joint.sum(), self.scale * 2), "rows": x.shape[0], "none": None, "x": x}


class Folding(nn.Module):
    """Folds rows into the batch, so that a cut knows the batch only as a multiple."""

    def __init__(self):
        super().__init__()
        self.norm, self.inner, self.out = nn.LayerNorm(4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        batch, rows, _ = x.shape
        folded = self.inner(self.norm(x).reshape(batch * rows, 4)).relu()
        positions = torch.arange(batch * rows, device=x.device).view(-1, 1) * 0.01
        return self.out((folded + positions).reshape(batch, rows, 4).sum(1))


class Attention(nn.Module):
    """Several results of one operator, and scaled dot-product attention."""

    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x):
        q, k, v = self.qkv(x).reshape(x.shape[0], -1, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).flatten(2)), x.abs()


class Random(nn.Module):
    """Noise that must be drawn once, on one side."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        noise = torch.rand(4)
        return self.b(self.a(x + noise) + noise) * noise


class Writing(nn.Module):
    """Writes through views, into slices, and to a tensor that a view was taken of before."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        y = self.a(x)
        seen = y.view(-1, 2, 2)
        y.add_(1)
        z = self.b(y + seen.flatten(1))
        z[:, 0] = 0
        half = z[:, 1:3]
        half.mul_(3)
        return z * seen.sum((1, 2)).unsqueeze(1)


class Slicing(nn.Module):
    """Writes to a view of what it returns."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)

    def forward(self, x):
        y = self.a(x)
        y[:, 1:3].mul_(3)
        return y


class Viewing(nn.Module):
    """Writes to a tensor of which a view was taken before."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)

    def forward(self, x):
        y = self.a(x)
        turned = y.t()
        y.relu_()
        return (turned * 2).t()


class Typed(nn.Module):
    """Writes wider floats into a tensor, whose type stays."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)

    def forward(self, x):
        y = self.a(x)
        return (y * 2).add_(y.double())


class Sizes(nn.Module):
    """Loses the batch on the way and finds it again; reads only the size of its second input."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)

    def forward(self, x, like):
        y = self.a(x).mean(0).sin().cos()
        return y.expand(x.shape[0], 4) * torch.ones(like.shape[0], 1)


@dataclass(frozen=True)
class Case:
    name: str
    net: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def cases(batch=2):
    torch.manual_seed(0)
    structured = {"gain": 0.5, "masks": {"rows": torch.rand(batch)}}
    made = [
        Case("residual", Residual(), (torch.rand(batch, 3, 8, 8),), {}),
        Case("structured", Structured(), (torch.rand(batch, 4), torch.rand(batch, 3)), structured),
        Case("folding", Folding(), (torch.rand(batch, 3, 4),), {}),
        Case("attention", Attention(), (torch.rand(batch, 5, 8),), {}),
        Case("writing", Writing(), (torch.rand(batch, 4),), {}),
        Case("slicing", Slicing(), (torch.rand(batch, 4),), {}),
        Case("viewing", Viewing(), (torch.rand(batch, 4) - 0.5,), {}),
        Case("typed", Typed(), (torch.rand(batch, 4),), {}),
        Case("sizes", Sizes(), (torch.rand(batch, 4), torch.rand(batch, 2)), {}),
        Case("identity", nn.Identity(), (torch.rand(batch, 3),), {}),
    ]
    for case in made:
        case.net.eval()
    return made


def case(name, batch=2):
    return next(entry for entry in cases(batch) if entry.name == name)
