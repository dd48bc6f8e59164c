"""A large network, a student, and who teaches it: what the tests of both ends share. Processes import it."""

from __future__ import annotations

import torch
from torch import nn

import adaedge
from adaedge.distillation import Lessons, SoftTargets
from adaedge.taught import UpdateKey

KEY = UpdateKey("a secret of thirty-two characters")
EXAMPLE = (torch.zeros(1, 8),)


def networks():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 40)).eval()
    return net, nn.Sequential(nn.Linear(8, 40), nn.ReLU(), nn.Linear(40, 40)).eval()


def built():
    net, student = networks()
    return adaedge.build(net, EXAMPLE, adaedge.Space([], networks={"small": student}))


def teacher(folder):
    lessons, bundle = Lessons(steps=40, rate=0.01), adaedge.Bundle.load(folder)
    return adaedge.StreamTeacher(bundle, "small", networks()[1], EXAMPLE, KEY, loss=SoftTargets(), lessons=lessons)
