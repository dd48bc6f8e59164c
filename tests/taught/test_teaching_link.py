"""A student is taught over gRPC, by an edge server in another process: what comes, what is refused, what it costs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import adaedge
from adaedge.energy import ComputePower, EnergyModel, presets
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.runtime import FrameRecord, GrpcLink, Pupil, Terminal
from adaedge.scheduling import Fixed, Scheduler

sys.path.insert(0, str(Path(__file__).parent))
taught_linear = pytest.importorskip("taught_linear")  # needs torch

SMALL, FULL, INPUT = OperatingPoint("output", network="small"), OperatingPoint("output"), OperatingPoint("input")
DEADLINE_S = 2.0
WHY = ["signature"] * 3 + ["truncated update", "comes again", "signature", "version 8", "'other'", "of the bundle abab"]
WHY += ["does not make the weights"]
ENDS_S = 120.0  # so long a run may take at most


@pytest.fixture(scope="module")
def built():
    return taught_linear.built()


@pytest.fixture
def bundle(built):
    return built.with_threads(1)


@pytest.fixture(scope="module")
def folder(built, tmp_path_factory):
    """The bundle on disk, for the other process."""
    path = tmp_path_factory.mktemp("edge") / "bundle"
    built.save(path)
    return path


@contextmanager
def edge(which, bundle, folder):
    """The link to an edge server in a process of its own."""
    script, environment = Path(__file__).with_name("edge_process.py"), os.environ | {"PYTHONWARNINGS": "ignore"}
    command = [sys.executable, str(script), which, str(bundle), str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        address, digest = process.stdout.readline().split()
        certificate, token = folder / "certificate.pem", (folder / "token").read_text()
        yield GrpcLink(address, certificate=certificate, token=token), digest
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def terminal_of(bundle, link, pupil):
    costs = {SMALL: Cost(0.001), FULL: Cost(0.01)}
    costs[INPUT] = Cost(0.0, 0.001, payload_bytes=100, decode_s=0.001, tail_s=0.001, answer_bytes=90, finish_s=0.01)
    profile = Profile(costs, bundle.digest, "test", "test")
    energy = EnergyModel(ComputePower(3.7), presets.WIFI_2012)
    return Terminal(bundle, Scheduler(profile, energy, deadline_s=DEADLINE_S, policy=Fixed(SMALL)), link, pupil=pupil)


def frames(seed=0):
    generator = np.random.default_rng(seed)
    while True:
        yield ((1.5 + generator.standard_normal((1, 8))).astype(np.float32),)


def right(bundle, count=400):
    """How often the student answers as the full network does."""
    shown = [inputs for inputs, _ in zip(frames(7), range(count), strict=False)]
    return np.mean([bundle.run(SMALL, each)[0].argmax() == bundle.run(FULL, each)[0].argmax() for each in shown])


def answered(terminal, until, pause_s=0.01):
    """Records of frames, until the measurement of one says that it is enough."""
    records, end_s = [], time.monotonic() + ENDS_S
    for index, inputs in enumerate(frames()):
        result = terminal.infer(inputs)
        records.append(FrameRecord(index, 0.01 * index, DEADLINE_S, result.decision, result.measurement))
        if until(records) or time.monotonic() > end_s:
            return records
        time.sleep(pause_s)
    return records


def test_a_student_learns_over_the_link_while_frames_are_answered(bundle, folder, tmp_path):
    before = right(bundle)
    taught = adaedge.TaughtNetwork(bundle, "small", taught_linear.KEY, path=tmp_path / "small.taught")
    with edge("teacher", folder, tmp_path) as (link, digest):
        assert digest == bundle.digest
        pupil = Pupil(taught, link, labels_per_s=50, period_s=0.2, codec="raw")
        with terminal_of(bundle, link, pupil) as terminal:
            records = answered(terminal, lambda seen: seen[-1].measurement.weights_version >= 3)
        link.close()
    measured = [record.measurement for record in records]
    assert measured[-1].weights_version >= 3
    assert not any(record.missed for record in records)
    assert {one.answered_by for one in measured} == {"terminal"}
    assert right(bundle) > before + 0.1
    versions = [one.weights_version for one in measured]
    assert versions == sorted(versions)
    # Each update came between two frames, and its bytes and joules are in the record of the next one.
    came = [one for one in measured if one.update_bytes]
    assert len(came) >= 2
    assert all(one.teaching_j > 0 and one.teaching_j <= one.energy.total_j for one in came)
    assert sum(one.label_bytes for one in measured) > 20 * 32
    assert sum(one.payload_bytes - one.probe_bytes for one in measured) == 0  # no frame was offloaded
    assert FrameRecord.from_json(records[-1].to_json()) == records[-1]
    again = adaedge.TaughtNetwork(bundle.with_threads(1), "small", taught_linear.KEY, path=tmp_path / "small.taught")
    assert again.holding == taught.holding


def test_whatever_an_edge_server_sends_only_what_fits_is_taken(bundle, folder, tmp_path, caplog):
    taught = adaedge.TaughtNetwork(bundle, "small", taught_linear.KEY)
    with edge("hostile", folder, tmp_path) as (link, _):
        pupil = Pupil(taught, link, labels_per_s=0, period_s=0.005)
        with terminal_of(bundle, link, pupil) as terminal:
            records = answered(terminal, lambda seen: seen[-1].measurement.weights_version == 2, pause_s=0.005)
        link.close()
    measured = [record.measurement for record in records]
    assert measured[-1].weights_version == 2
    assert sum(one.teaching_failure == "refused" for one in measured) == 10
    said = [record.getMessage() for record in caplog.records if "stands" in record.getMessage()]
    assert [text.split(" of ")[0] for text in said] == ["version 0"] * 4 + ["version 1"] * 6
    for text, why in zip(said, WHY, strict=True):
        assert why in text
    assert sum(one.label_bytes for one in measured) == 0
    assert not any(record.missed for record in records)


def test_an_edge_server_that_does_not_teach_is_asked_ever_less_often(bundle):
    from adaedge.runtime import Credentials, EdgeServer

    credentials = Credentials.create()
    taught = adaedge.TaughtNetwork(bundle, "small", taught_linear.KEY)
    with EdgeServer(bundle, credentials=credentials) as server:
        link = GrpcLink(server.address, certificate=credentials.certificate, token=credentials.token)
        pupil = Pupil(taught, link, period_s=0.01, codec="raw")
        with terminal_of(bundle, link, pupil) as terminal:
            records = answered(
                terminal, lambda seen: sum(one.measurement.teaching_failure == "link" for one in seen) >= 4, 0.002
            )
            assert terminal.offloads  # nothing is wrong with the link
        link.close()
    assert pupil._pause_s >= 0.04
    assert records[-1].measurement.weights_version == 0
