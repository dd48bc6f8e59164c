"""A Ray cluster on this machine, as `adaedge serve --ray local` and a Serve config file start it. Needs ``ray``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from adaedge.errors import LinkError
from adaedge.operating_point import OperatingPoint
from adaedge.runtime import Credentials, GrpcLink, Terminal

pytest.importorskip("ray", reason="the extra `ray` is not installed")
FEATURES = OperatingPoint("relu", codec="u8")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.xdist_group("ray")]


@contextmanager
def process(*arguments):
    """A program that prints a line of JSON when it is ready, and what it printed."""
    environment = os.environ | {"RAY_DEDUP_LOGS": "0", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, *map(str, arguments)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    told = []
    reader = threading.Thread(target=lambda: told.extend(running.stderr))
    reader.start()
    try:
        line = running.stdout.readline()
        assert line, "".join(told)
        yield running, json.loads(line)
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(60)
        reader.join()
        running.stdout.close()
        running.stderr.close()


@pytest.fixture(scope="module")
def folder(bundle, tmp_path_factory):
    path = tmp_path_factory.mktemp("cluster") / "tiny.bundle"
    bundle.save(path)
    return path


def replicas(running):
    """Of the cluster that a process of ours started."""
    found = []
    for one in psutil.Process(running.pid).children(recursive=True):
        with suppress(psutil.Error):  # it may end meanwhile
            found += [one] * ("ServeReplica:adaedge:Replica" in " ".join(one.cmdline()))
    return found


@pytest.fixture(scope="module")
def edge(folder, tmp_path_factory):
    state = tmp_path_factory.mktemp("state")
    options = ("--ray", "local", "--replicas", "2", "--listen", "127.0.0.1:0", "--state", state)
    with process("-m", "adaedge", "serve", folder, *options) as (running, ready):
        credentials = Credentials.stored(state)
        opened = partial(GrpcLink, ready["address"], certificate=credentials.certificate, token=credentials.token)
        yield running, ready, opened
    assert running.returncode == 0
    assert not psutil.pid_exists(running.pid)


def test_it_answers_and_keeps_a_stream_where_it_is(edge, bundle, scheduler, frames):
    running, ready, opened = edge
    assert ready["bundle"] == bundle.digest
    assert len(replicas(running)) == 2
    with Terminal(bundle, scheduler, opened(), preload=False) as terminal:
        sizes = []
        for frame in frames[:10]:
            measurement = terminal.infer(frame).measurement
            assert (measurement.answered_by, measurement.failure) == ("edge", "")
            sizes.append(measurement.payload_bytes - measurement.probe_bytes)
        assert max(sizes[1:]) < 0.6 * sizes[0]


def test_a_replica_that_is_killed_is_a_refresh_and_no_lost_frame_and_comes_back(edge, bundle, scheduler, frames):
    running, _, opened = edge
    sizes, seen = [], iter(frames * 1000)

    def infer():
        measurement = terminal.infer(next(seen)).measurement
        assert (measurement.answered_by, measurement.failure) == ("edge", "")
        sizes.append(measurement.payload_bytes - measurement.probe_bytes)

    with Terminal(bundle, scheduler, opened(), preload=False) as terminal:
        infer()
        for victim in replicas(running):  # one of the two holds the stream
            victim.kill()
            killed_s = time.monotonic()
            while victim.pid in {one.pid for one in replicas(running)} or len(replicas(running)) < 2:
                assert time.monotonic() < killed_s + 30, "no new replica"
                infer()
                time.sleep(0.02)
            for _ in range(50):
                infer()
                time.sleep(0.02)
    assert any(size > sizes[0] for size in sizes)  # what the new one does not know, and a refresh
    assert sorted(sizes)[len(sizes) // 2] < 0.8 * sizes[0]  # in between the stream was held


def test_many_calls_at_once_are_answered(edge, bundle, frames):
    link = edge[2]()
    payload = bundle.encode(FEATURES, bundle.head("relu").run((frames[0][None],)))
    with ThreadPoolExecutor(6) as threads:
        replies = [*threads.map(lambda _: link.exchange(payload, 10.0).data, range(120))]
    link.close()
    assert {bundle.decode_answer(reply, bundle.read(payload).request)[1][0].shape for reply in replies} == {(1, 10)}


CONFIG = """
import json, signal, sys, threading
from pathlib import Path
import yaml
from adaedge.cluster.application import connect, stop
from ray import serve
from ray.serve.schema import ServeDeploySchema

document = yaml.safe_load(Path(sys.argv[1]).read_text())
application = document["applications"][0]
application["args"] |= {"bundle": sys.argv[2], "state": sys.argv[3], "listen": "127.0.0.1:0"}
for deployment in application.get("deployments", []):
    deployment.pop("ray_actor_options", None)
ServeDeploySchema.parse_obj(document) if hasattr(ServeDeploySchema, "parse_obj") else ServeDeploySchema(**document)
module, _, name = application["import_path"].partition(":")
connect("local", 4)
serve.start(proxy_location="Disabled")
built = getattr(__import__(module, fromlist=[name]), name)(application["args"])
handle = serve.run(built, name="adaedge", route_prefix=None)
print(json.dumps({"address": handle.where.remote().result()}), flush=True)
done = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: done.set())
done.wait()
stop()
"""


def test_the_config_file_of_deploy_runs(folder, bundle, frames, tmp_path):
    config = Path(__file__).parents[2] / "deploy" / "ray-serve.yaml"
    state = tmp_path / "state"
    credentials = Credentials.stored(state)
    with process("-c", CONFIG, config, folder, state) as (_, ready):
        link = GrpcLink(ready["address"], certificate=credentials.certificate, token=credentials.token)
        link.hello(bundle.digest, 5.0)
        payload = bundle.encode(FEATURES, bundle.head("relu").run((frames[0][None],)))
        assert len(link.exchange(payload, 5.0).data) > 20
        link.close()


def test_a_bundle_that_is_on_no_machine_is_told(tmp_path):
    from adaedge.cluster.application import connect

    with pytest.raises(LinkError, match=r"no Ray cluster at 127\.0\.0\.1:1: .*Start one with `ray start --head`"):
        connect("127.0.0.1:1", 1)
