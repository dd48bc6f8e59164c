"""What does an edge server answer in time when more is asked of it than it can compute?

An edge server in a process of its own answers terminals in other processes. Each has a JPEG frame of ResNet-10-T every
36 ms and can use an answer for 0.2 s. A terminal is a real link with the runtime's own `LinkMonitor`, and a payload
that was encoded before: what a robot computes by itself would take the edge server's cores here. A frame is the robot's
own to answer where the link is down for it, where it is refused, and where no answer has come 20 ms before the
deadline. Goodput is answers of the edge server in time, per second. Its capacity is the best of a sweep, and the
overload as many terminals as offer six times that. Bars: goodput under overload at least 0.92 of the best; whatever is
refused is refused within 5 ms (99th percentile); where one terminal sends ten frames at a time, what the others get
stays what it was (Jain's index at least 0.98).

    python -m benchmarks.edge_load [--terminals N [--json]] [--smoke]
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from adaedge.channel import HarmonicMean
from adaedge.errors import LinkError, RefusedError
from adaedge.operating_point import OperatingPoint
from adaedge.runtime import Credentials, EdgeServer, GrpcLink, MonotonicClock, serve_forever
from adaedge.runtime.link_monitor import LinkMonitor
from adaedge.scheduling import ProbePlan
from benchmarks import result

POINT = OperatingPoint("input", codec="jpeg@90")
PERIOD_S, DEADLINE_S, LOCAL_S = 0.036, 0.2, 0.02
SWEEP, OVERLOAD, RUN_S, WARM_S = (2, 4, 8), 6, 12.0, 4.0
PROCESSES, GREEDY = 2, 10
BARS = {"overload_over_best": 0.92, "refused_p99_s": 0.005, "jain": 0.98}


def build(path: Path) -> None:
    """The bundle; untrained weights cost as much as trained ones."""
    from adaedge import Space, models
    from adaedge import build as build_bundle

    model = models.load("timm:resnet10t", pretrained=False)
    space = Space(splits=["input"], widths=[1.0], precisions=["fp32"], codecs=[POINT.codec])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        build_bundle(model.module, model.args, space, preprocessing=model.preprocessing, name=model.name).save(path)


def serve(folder: str) -> None:
    """The edge server's process."""
    from adaedge.bundle import Bundle

    server = EdgeServer(Bundle.load(Path(folder) / "b"), credentials=Credentials.stored(folder))
    server.preload()
    print(server.address, flush=True)
    serve_forever(server)


def send(folder: str, address: str, numbers: list[int], begin_s: float) -> None:
    """Terminals of one process: a line of JSON for each, when they are through. Number 0 is the greedy one."""
    from adaedge.bundle import Bundle

    bundle = Bundle.load(Path(folder) / "b")
    coarse = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    payload = bundle.encode(POINT, (bundle.preprocess(np.kron(coarse, np.ones((32, 32, 1), np.uint8))),))
    credentials = Credentials.stored(folder)
    terminals = [Asking(GrpcLink(address, certificate=credentials.certificate, token=credentials.token), bundle.digest)
                 for _ in numbers]  # fmt: skip
    threads = [
        threading.Thread(target=terminal.ask, args=(payload, begin_s + PERIOD_S * (at / GREEDY + number * 0.618 % 1)))
        for number, terminal in zip(numbers, terminals, strict=True)
        for at in range(1 if number else GREEDY)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, terminal in zip(numbers, terminals, strict=True):
        print(json.dumps({"greedy": not number, **terminal.found}), flush=True)


class Asking:
    """A terminal's side of the link. What it asks in the first `WARM_S` does not count."""

    def __init__(self, link: GrpcLink, digest: str) -> None:
        self._link = link
        self._clock = MonotonicClock()
        self._monitor = LinkMonitor(link, digest, HarmonicMean(), self._clock, ProbePlan(), 2.0)
        self.found: dict[str, Any] = {"answered_s": [], "refused_s": [], "given_up": 0, "stayed_local": 0}

    def ask(self, payload: bytes, begin_s: float) -> None:
        """A frame every period, until `RUN_S` are over."""
        due_s = begin_s
        while due_s < begin_s + RUN_S:
            time.sleep(max(0.0, due_s - time.time()))
            self._frame(payload, counts=due_s > begin_s + WARM_S)
            self._monitor.refresh()
            due_s = max(due_s + PERIOD_S, time.time())

    def _frame(self, payload: bytes, *, counts: bool) -> None:
        if not self._monitor.up:
            self.found["stayed_local"] += counts
            return
        start_s = self._clock.now_s()
        try:
            self._link.exchange(payload, DEADLINE_S - LOCAL_S)
        except LinkError as error:
            end_s = self._clock.now_s()
            self._monitor.failed(error, start_s, end_s, len(payload), 0.0)
            if isinstance(error, RefusedError):
                self.found["refused_s"] += [end_s - start_s] * counts
            else:
                self.found["given_up"] += counts
            return
        end_s = self._clock.now_s()
        self._monitor.crossed(start_s, end_s, len(payload), 0.0, None)
        self.found["answered_s"] += [end_s - start_s] * counts


def measure(folder: str, terminals: int, *, greedy: bool = False) -> dict[str, Any]:
    """What so many terminals get, and a greedy one beside them where asked."""
    command = [sys.executable, "-m", "benchmarks.edge_load"]
    server = subprocess.Popen([*command, "serve", folder], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        address, begin_s = server.stdout.readline().strip(), time.time() + 4.0
        numbers = list(range(0 if greedy else 1, terminals + 1))
        senders = [
            subprocess.Popen(
                [*command, "send", folder, address, json.dumps(numbers[at::PROCESSES]), str(begin_s)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for at in range(min(PROCESSES, len(numbers)))
        ]
        rows = [json.loads(line) for sender in senders for line in sender.communicate()[0].splitlines()]
    finally:
        server.terminate()
        server.wait()
    return _row(rows, terminals, greedy)


def _row(rows: list[dict[str, Any]], terminals: int, greedy: bool) -> dict[str, Any]:
    lasted_s = RUN_S - WARM_S
    answered = np.array([second for row in rows for second in row["answered_s"]])
    refused = np.array([second for row in rows for second in row["refused_s"]])
    each = np.array([len(row["answered_s"]) / lasted_s for row in rows if not row["greedy"]])
    given_up, local = (sum(row[name] for row in rows) for name in ("given_up", "stayed_local"))
    return {
        "terminals": terminals,
        "greedy": greedy,
        "goodput_per_s": len(answered) / lasted_s,
        "frames_per_s": (len(answered) + len(refused) + given_up + local) / lasted_s,
        "p50_s": _quantile(answered, 0.5),
        "p99_s": _quantile(answered, 0.99),
        "refused": len(refused),
        "refused_p50_s": _quantile(refused, 0.5),
        "refused_p99_s": _quantile(refused, 0.99),
        "given_up": given_up,
        "stayed_local": local,
        "goodput_of_each_per_s": float(each.mean()),
        "jain": float(each.sum() ** 2 / (len(each) * (each**2).sum())) if each.any() else 0.0,
    }


def _quantile(seconds: np.ndarray[Any, np.dtype[np.float64]], at: float) -> float | None:
    return float(np.quantile(seconds, at)) if len(seconds) else None


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2])
        return
    if sys.argv[1:2] == ["send"]:
        folder, address, numbers, begin_s = sys.argv[2:]
        logging.disable(logging.WARNING)  # whether the link is up is counted
        send(folder, address, json.loads(numbers), float(begin_s))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--terminals", type=int, help="one measurement, nothing written")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.add_argument("--smoke", action="store_true", help="two measurements, nothing written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder) / "b")
        if options.terminals:
            row = measure(folder, options.terminals)
            print(json.dumps(row, indent=1) if options.json else "\n".join(f"{k:20} {v}" for k, v in row.items()))
            return
        rows = [measure(folder, terminals) for terminals in track(SWEEP[:2] if options.smoke else SWEEP, "terminals")]
        best = max(rows, key=lambda row: row["goodput_per_s"])
        rows.append(measure(folder, round(OVERLOAD * best["goodput_per_s"] * PERIOD_S)))
        rows.append(measure(folder, SWEEP[0], greedy=True))
    found = {
        "overload_over_best": rows[-2]["goodput_per_s"] / best["goodput_per_s"],
        "refused_p99_s": rows[-2]["refused_p99_s"],
        "jain": rows[-1]["jain"],
        "beside_a_greedy_one": rows[-1]["goodput_of_each_per_s"] / rows[0]["goodput_of_each_per_s"],
    }
    print(json.dumps(rows, indent=1), json.dumps(found), sep="\n")
    if not options.smoke:
        settings = {"period_s": PERIOD_S, "deadline_s": DEADLINE_S, "run_s": RUN_S, "greedy": GREEDY}
        result.write("edge_load", rows, **settings, found=found, bars=BARS)


if __name__ == "__main__":
    main()
