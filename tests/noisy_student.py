"""A bundle of a tiny classifier and of a student that is often, not always, of its opinion; and frames for both."""

from __future__ import annotations

import copy

import numpy as np
import pytest


def built(codec):
    """Split points ``input``, ``1`` and ``output``; the student is the network with noise in its weights."""
    torch = pytest.importorskip("torch")
    from adaedge.builder import Space, build

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(6, 32), torch.nn.ReLU(), torch.nn.Linear(32, 5)).eval()
    student = copy.deepcopy(net)
    with torch.no_grad():
        for weight in student.parameters():
            weight += 0.25 * weight.std() * torch.randn_like(weight)
    return build(net, (torch.zeros(1, 6),), Space(["1"], codecs=[codec], networks={"student": student}))


def frames(count, seed):
    values = np.random.default_rng(seed).standard_normal((count, 1, 6)).astype(np.float32)
    return [(value,) for value in values]
