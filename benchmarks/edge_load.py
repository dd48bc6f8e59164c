"""What does an edge server answer in time when more is asked of it than it can compute?

An edge server in a process of its own answers terminals, in other processes, that each send a JPEG frame of ResNet-10-T
every 36 ms and can use an answer for 0.2 s. A terminal is a real link and payloads that were encoded before: what a
robot computes by itself would take the edge server's cores here. An answer that is refused, or not there 20 ms before
the deadline, is the robot's own to give. Goodput is answers in time, per second, of all terminals together; the peak is
the best of the sweep, and the overload six times its terminals. Bars: goodput under overload at least 0.92 of the peak;
whatever is refused is refused within 5 ms (99th percentile); one terminal that sends at ten times its rate takes
nothing from the others (Jain's index of their answers at least 0.98).

    python -m benchmarks.edge_load [--terminals N [--json]] [--smoke]
"""

from __future__ import annotations

import argparse
import json
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

from adaedge.errors import LinkError, LinkTimeoutError, RefusedError
from adaedge.operating_point import OperatingPoint
from adaedge.runtime import Credentials, EdgeServer, GrpcLink, serve_forever
from benchmarks import result

POINT = OperatingPoint("input", codec="jpeg@90")
PERIOD_S, DEADLINE_S, LOCAL_S = 0.036, 0.2, 0.02
SWEEP, OVERLOAD, RUN_S, WARM_S = (2, 4, 6, 8, 12), 6, 8.0, 2.0
PROCESSES, GREEDY = 2, 10
BARS = {"overload_over_peak": 0.92, "refused_p99_s": 0.005, "jain": 0.98}


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


def send(folder: str, address: str, numbers: list[int], fast: list[int], begin_s: float) -> None:
    """Terminals of one process: a line of JSON for each, when they are through."""
    from adaedge.bundle import Bundle

    bundle = Bundle.load(Path(folder) / "b")
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    inputs = (bundle.preprocess(np.kron(coarse, np.ones((32, 32, 1), np.uint8))),)
    payload = bundle.encode(POINT, inputs)
    credentials = Credentials.stored(folder)
    found: dict[int, dict[str, Any]] = {}

    def one(number: int) -> None:
        link = GrpcLink(address, certificate=credentials.certificate, token=credentials.token)
        link.hello(bundle.digest, 10.0)
        period_s = PERIOD_S / GREEDY if number in fast else PERIOD_S
        found[number] = {"terminal": number, "fast": number in fast, **_ask(link, payload, period_s, number, begin_s)}
        link.close()

    threads = [threading.Thread(target=one, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for row in found.values():
        print(json.dumps(row), flush=True)


def _ask(link: GrpcLink, payload: bytes, period_s: float, number: int, begin_s: float) -> dict[str, Any]:
    """Send for `RUN_S`; what is asked in the first `WARM_S` does not count."""
    answered, refused, given_up = [], [], 0
    due_s = begin_s + period_s * (number * 0.618 % 1)
    while due_s < begin_s + RUN_S:
        time.sleep(max(0.0, due_s - time.time()))
        start_s = time.time()
        counts = start_s > begin_s + WARM_S
        try:
            link.exchange(payload, DEADLINE_S - LOCAL_S)
            answered += [time.time() - start_s] * counts
        except RefusedError:
            refused += [time.time() - start_s] * counts
        except (LinkTimeoutError, LinkError):
            given_up += counts
        due_s = max(due_s + period_s, time.time())
    return {"answered_s": answered, "refused_s": refused, "given_up": given_up}


def measure(folder: str, terminals: int, *, fast: int = 0) -> dict[str, Any]:
    """What so many terminals get, of which the first ``fast`` send at ten times the rate."""
    command = [sys.executable, "-m", "benchmarks.edge_load"]
    server = subprocess.Popen([*command, "serve", folder], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        address, begin_s = server.stdout.readline().strip(), time.time() + 4.0
        shares = [list(range(terminals))[at::PROCESSES] for at in range(PROCESSES)]
        senders = [
            subprocess.Popen(
                [*command, "send", folder, address, json.dumps(share), json.dumps(list(range(fast))), str(begin_s)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for share in shares
            if share
        ]
        rows = [json.loads(line) for sender in senders for line in sender.communicate()[0].splitlines()]
    finally:
        server.terminate()
        server.wait()
    return _row(rows, terminals, fast)


def _row(rows: list[dict[str, Any]], terminals: int, fast: int) -> dict[str, Any]:
    lasted_s = RUN_S - WARM_S
    answered = np.array([second for row in rows for second in row["answered_s"]])
    refused = np.array([second for row in rows for second in row["refused_s"]])
    others = np.array([len(row["answered_s"]) for row in rows if not row["fast"]], float)
    return {
        "terminals": terminals,
        "fast": fast,
        "goodput_per_s": len(answered) / lasted_s,
        "offered_per_s": (len(answered) + len(refused) + sum(row["given_up"] for row in rows)) / lasted_s,
        "p50_s": _quantile(answered, 0.5),
        "p99_s": _quantile(answered, 0.99),
        "refused": len(refused),
        "refused_p50_s": _quantile(refused, 0.5),
        "refused_p99_s": _quantile(refused, 0.99),
        "given_up": sum(row["given_up"] for row in rows),
        "jain_of_the_others": float(others.sum() ** 2 / (len(others) * (others**2).sum())) if others.any() else 0.0,
        "others_per_s": float(others.mean() / lasted_s) if len(others) else 0.0,
    }


def _quantile(seconds: np.ndarray[Any, np.dtype[np.float64]], at: float) -> float | None:
    return float(np.quantile(seconds, at)) if len(seconds) else None


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2])
        return
    if sys.argv[1:2] == ["send"]:
        folder, address, numbers, fast, begin_s = sys.argv[2:]
        send(folder, address, json.loads(numbers), json.loads(fast), float(begin_s))
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
        sweep = (4,) if options.smoke else SWEEP
        rows = [measure(folder, terminals) for terminals in track(sweep, "terminals")]
        peak = max(rows, key=lambda row: row["goodput_per_s"])
        rows.append(measure(folder, OVERLOAD * peak["terminals"]))
        rows.append(measure(folder, peak["terminals"], fast=1))
    ratio = rows[-2]["goodput_per_s"] / peak["goodput_per_s"]
    found = {
        "overload_over_peak": ratio,
        "refused_p99_s": rows[-2]["refused_p99_s"],
        "jain": rows[-1]["jain_of_the_others"],
    }
    print(json.dumps(rows, indent=1), json.dumps(found), sep="\n")
    if not options.smoke:
        settings = {"period_s": PERIOD_S, "deadline_s": DEADLINE_S, "run_s": RUN_S, "greedy": GREEDY}
        result.write("edge_load", rows, **settings, found=found, bars=BARS)


if __name__ == "__main__":
    main()
