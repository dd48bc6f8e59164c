"""What does an edge of many machines add to an answer, and what does it do where a replica is lost?

`adaedge serve --ray local` against `adaedge serve`, both in processes of their own on this machine, with a tiny
network, so that what surrounds it is seen. Three questions:

- **added**: calls to the one and to the other take turns, a payload of 2 kB and one of 40 kB; the difference of the
  medians. Bar 1.5 ms.
- **killed**: eight terminals with streams (H.264) at ten frames a second; then one of two replicas is killed with
  SIGKILL. Bars: 0 frames unanswered, and as many replicas as before answer within 5 s.
- **two replicas**: answers a second with one and with two, asked by more terminals than either can answer. Where there
  are not cores enough for two replicas, computing is put in the place of sleeping: a tail of which every call sleeps
  20 ms (`SLEEPS`; the row says so). Bar 1.7 times.

    python -m benchmarks.ray_edge [--smoke]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]

from adaedge.bundle import Bundle
from adaedge.energy import RASPBERRY_PI_4, WIFI_2012, EnergyModel
from adaedge.errors import LinkError
from adaedge.operating_point import OUTPUT, Cost, OperatingPoint, Profile
from adaedge.runtime import Credentials, GrpcLink, Terminal
from adaedge.scheduling import Fixed, Scheduler
from benchmarks import result
from benchmarks.soak import pictures
from benchmarks.tiny_bundle import tiny_bundle

FEATURES, VIDEO = OperatingPoint("relu", codec="u8"), OperatingPoint("input", codec="h264@28")
CALLS, TERMINALS, PERIOD_S, DEADLINE_S, AFTER_S, LOAD_S, ASKING = 400, 8, 0.1, 0.2, 12.0, 8.0, 6
BARS = {"added_s": 0.0015, "unanswered": 0, "back_s": 5.0, "two_over_one": 1.7}
# Ray's processes import it before anything else. One worker a replica: the next call waits for its turn.
SLEEPS = """
import os, sys, time
if os.environ.get("ADAEDGE_SLEEP_S") and "ray" in " ".join(sys.orig_argv):
    from adaedge.runtime.edge_session import EdgeSession
    answer = EdgeSession.answer
    def slow(self, *given, **named):
        time.sleep(float(os.environ["ADAEDGE_SLEEP_S"]))
        return answer(self, *given, **named)
    EdgeSession.answer = slow
"""


@contextmanager
def served(folder: Path, *options: str, **environment: str) -> Iterator[tuple[psutil.Process, str]]:
    """An edge server in a process of its own: the process, and its address."""
    command = [sys.executable, "-m", "adaedge", "serve", str(folder / "b"), "--listen", "127.0.0.1:0"]
    running = subprocess.Popen(
        [*command, "--state", str(folder / "state"), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | environment,
    )
    assert running.stdout is not None
    try:
        yield psutil.Process(running.pid), json.loads(running.stdout.readline())["address"]
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(60)


def opened(folder: Path, address: str) -> GrpcLink:
    credentials = Credentials.stored(folder / "state")
    return GrpcLink(address, certificate=credentials.certificate, token=credentials.token)


def payload(bundle: Bundle, size: int) -> bytes:
    frame = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
    return bundle.encode(FEATURES, bundle.head("relu").run((frame,)))


def added(folder: Path, size: int, calls: int) -> dict[str, Any]:
    """Seconds of a call, to one server and to the ingress of a replica, in turns."""
    bundle = tiny_bundle(size)
    bundle.save(folder / "b")
    data, took_s = payload(bundle, size), {"single": [], "ray": []}
    with served(folder) as (_, alone), served(folder, "--ray", "local", "--replicas", "1") as (_, many):
        links = {"single": opened(folder, alone), "ray": opened(folder, many)}
        for call in range(calls + 50):
            for name, link in links.items():
                begin_s = time.perf_counter()
                link.exchange(data, 5.0)
                took_s[name] += [time.perf_counter() - begin_s] * (call >= 50)
        for link in links.values():
            link.close()
    row: dict[str, Any] = {"what": "added", "payload_bytes": len(data), "calls": calls}
    for name, seconds in took_s.items():
        row |= {f"{name}_p50_s": float(np.median(seconds)), f"{name}_p99_s": float(np.quantile(seconds, 0.99))}
    return row | {"added_s": row["ray_p50_s"] - row["single_p50_s"]}


def replicas(running: psutil.Process) -> set[int]:
    found = set()
    for one in running.children(recursive=True):
        with suppress(psutil.Error):
            found |= {one.pid} if "ServeReplica:adaedge:Replica" in " ".join(one.cmdline()) else set()
    return found


def killed(folder: Path, after_s: float) -> dict[str, Any]:
    """What terminals see of a replica that is killed."""
    bundle = tiny_bundle(codecs=[VIDEO.codec])
    bundle.save(folder / "b")
    seen: list[tuple[float, str, bool]] = []
    with served(folder, "--ray", "local", "--replicas", "2") as (running, address):
        begin_s, kill_s = time.monotonic() + 2.0, time.monotonic() + 6.0
        ask = (folder, address, bundle, begin_s, kill_s + after_s, seen)
        threads = [threading.Thread(target=_watch_stream, args=(number, *ask)) for number in range(TERMINALS)]
        for thread in threads:
            thread.start()
        time.sleep(kill_s - time.monotonic())
        before = replicas(running)
        psutil.Process(min(before)).kill()
        while len(now := replicas(running)) < len(before) or min(before) in now:
            time.sleep(0.05)
        process_s = time.monotonic() - kill_s
        back_s = _answers_again(running, before, folder, address, bundle, kill_s)
        for thread in threads:
            thread.join()
    by = Counter(name for _, name, _ in seen)
    refreshed = sum(refresh for at_s, _, refresh in seen if at_s >= kill_s)
    here = [at_s - kill_s for at_s, name, _ in seen if name != "edge" and at_s >= kill_s]
    return {"what": "killed", "frames": len(seen), "unanswered": by["nobody"], "answered_by": dict(by),
            "refreshed_after": refreshed, "process_s": process_s, "back_s": back_s,
            "last_answered_at_home_s": max(here, default=0.0)}  # fmt: skip


def _answers_again(
    running: psutil.Process, before: set[int], folder: Path, address: str, bundle: Bundle, kill_s: float
) -> float:
    """Seconds from the kill until the new replica has answered: until its process used its processor for payloads."""
    new, data, link = (replicas(running) - before).pop(), payload(bundle, 64), opened(folder, address)
    fresh = psutil.Process(new)
    with suppress(LinkError):
        while not [one for one in fresh.net_connections("tcp") if one.status == "ESTABLISHED" and _served(one, fresh)]:
            link.exchange(data, 1.0)
            time.sleep(0.02)
    link.close()
    return time.monotonic() - kill_s


def _served(connection: Any, process: psutil.Process) -> bool:
    """Whether a connection came to a port on which the process listens with TLS: only the ingress makes one."""
    listening = {one.laddr.port for one in process.net_connections("tcp") if one.status == "LISTEN"}
    return connection.laddr.port in listening


def _watch_stream(
    number: int, folder: Path, address: str, bundle: Bundle, begin_s: float, end_s: float, seen: list[Any]
) -> None:
    costs = {
        VIDEO: Cost(0.001, payload_bytes=900, answer_bytes=150, finish_s=0.001),
        OperatingPoint(OUTPUT): Cost(0.02),
    }
    scheduler = Scheduler(
        Profile(costs, bundle.digest, "", ""),
        EnergyModel(RASPBERRY_PI_4, WIFI_2012),
        deadline_s=DEADLINE_S,
        period_s=PERIOD_S,
        policy=Fixed(VIDEO),
    )
    frames, first_bytes = pictures(number), 0
    with Terminal(bundle, scheduler, opened(folder, address)) as terminal:
        for count in range(round((end_s - begin_s) / PERIOD_S)):
            time.sleep(max(0.0, begin_s + PERIOD_S * (count + number / TERMINALS) - time.monotonic()))
            measured = terminal.infer(frames[count % len(frames)]).measurement
            size = measured.payload_bytes - measured.probe_bytes
            first_bytes = first_bytes or size
            seen.append((time.monotonic(), measured.answered_by or "nobody", size >= first_bytes))


def goodput(folder: Path, count: int, sleep_s: float, lasts_s: float) -> dict[str, Any]:
    """Answers a second of so many replicas, of which each sleeps as long for every payload."""
    bundle = tiny_bundle()
    bundle.save(folder / "b")
    (folder / "sitecustomize.py").write_text(SLEEPS)
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    more = {"PYTHONPATH": path, "ADAEDGE_SLEEP_S": str(sleep_s)}
    data, answered, refused = payload(bundle, 64), [], []
    with served(folder, "--ray", "local", "--replicas", str(count), **more) as (_, address):
        end_s = time.monotonic() + lasts_s

        def ask() -> None:
            link = opened(folder, address)
            while time.monotonic() < end_s:
                try:
                    link.exchange(data, 2.0)
                    answered.append(time.monotonic())
                except LinkError:
                    refused.append(time.monotonic())
            link.close()

        threads = [threading.Thread(target=ask) for _ in range(ASKING)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    counted = [at_s for at_s in answered if at_s > end_s - lasts_s / 2]
    return {"what": "goodput", "replicas": count, "sleeps_s": sleep_s, "terminals": ASKING,
            "answers_per_s": len(counted) / (lasts_s / 2), "refused": len(refused)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="all three, shorter; nothing written")
    smoke = parser.parse_args().smoke
    rows = []
    for measure in (
        *(
            lambda folder, size=size: added(folder, size, 50 if smoke else CALLS)
            for size in ((64,) if smoke else (64, 280))
        ),
        lambda folder: killed(folder, 4.0 if smoke else AFTER_S),
        *(lambda folder, count=count: goodput(folder, count, 0.02, 3.0 if smoke else LOAD_S) for count in (1, 2)),
    ):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(Path(folder)))
        print(json.dumps(rows[-1]), flush=True)
    told = {row["what"]: row for row in rows}
    one, two = (row["answers_per_s"] for row in rows if row["what"] == "goodput")
    found = {
        "added_s": max(row["added_s"] for row in rows if row["what"] == "added"),
        "unanswered": told["killed"]["unanswered"],
        "back_s": told["killed"]["back_s"],
        "two_over_one": two / one,
    }
    print(json.dumps(found))
    if not smoke:
        result.write("ray_edge", rows, period_s=PERIOD_S, deadline_s=DEADLINE_S, found=found, bars=BARS)


if __name__ == "__main__":
    main()
