"""A teacher in a process of its own: what it gives again, what it makes anew, what it cannot serve."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import adaedge
from adaedge.distillation import TeacherProcess
from adaedge.errors import PayloadError
from adaedge.operating_point import OperatingPoint
from adaedge.taught import TaughtNetwork

sys.path.insert(0, str(Path(__file__).parents[1] / "taught"))
import taught_linear

FULL = OperatingPoint("output")
ENDS_S = 120.0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher") / "bundle"
    taught_linear.built().save(path)
    return adaedge.Bundle.load(path), path


@pytest.fixture
def teacher(bundle):
    with TeacherProcess(partial(taught_linear.teacher, bundle[1])) as process:
        yield process


def shown(bundle, process, count=20, seed=0):
    for inputs in np.random.default_rng(seed).standard_normal((count, 1, 1, 8)).astype(np.float32):
        process.label((inputs[0] + 1.5,), bundle.run(FULL, (inputs[0] + 1.5,)))


def asked(process, holding):
    """The next update, however often one has to ask for it."""
    end_s = time.monotonic() + ENDS_S
    while not (data := process.update(holding)) and time.monotonic() < end_s:
        time.sleep(0.02)
    assert data
    return data


def test_what_was_lost_comes_again_and_what_was_rolled_back_is_made_anew(bundle, teacher):
    bundle = bundle[0].with_threads(1)
    taught = TaughtNetwork(bundle, "small", taught_linear.KEY)
    own = taught.holding
    shown(bundle, teacher)
    first = asked(teacher, own)
    assert teacher.update(own) == first  # it never arrived
    assert taught.receive(first) == 1
    shown(bundle, teacher, seed=1)
    second = asked(teacher, taught.holding)
    assert second != first
    assert taught.receive(second) == 2
    taught.roll_back()
    assert (taught.holding.version, taught.holding.newest) == (1, 2)
    shown(bundle, teacher, seed=2)
    third = asked(teacher, taught.holding)
    assert third != second
    assert taught.receive(third) == 3

    for strange in (replace(own, version=7, newest=7), replace(taught.holding, weights="ab" * 16), own):
        with pytest.raises(PayloadError, match=r"which is none of this teacher's 3 of 'small'\. Delete the terminal's"):
            teacher.update(strange)
    with pytest.raises(PayloadError, match="none of this teacher's"):
        teacher.update(replace(taught.holding, newest=9))  # no update of this teacher would be taken


def test_a_teacher_that_has_ended_is_told(bundle, teacher, caplog):
    bundle = bundle[0].with_threads(1)
    holding = TaughtNetwork(bundle, "small", taught_linear.KEY).holding
    teacher._process.terminate()
    teacher._process.join()
    with pytest.raises(PayloadError, match="the teacher's process has ended"):
        teacher.update(holding)


def test_labels_that_nobody_looks_at_are_dropped(bundle, caplog):
    with TeacherProcess(partial(taught_linear.teacher, bundle[1]), waiting=1) as process:
        shown(bundle[0], process, count=200)
    assert "a labelled frame is dropped" in caplog.text
