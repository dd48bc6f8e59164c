"""What do link and wire format cost beside the computing?

A 75 KB payload over gRPC, TLS and token to an edge server in another process on this machine: seconds above what the
edge server computed. And writing and reading 400 KB in the wire format, checksums included, without any link.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from adaedge.bundle import Bundle
from adaedge.operating_point import OperatingPoint
from adaedge.payload import Message, TensorHeader, pack, unpack, wire
from adaedge.runtime import Credentials, EdgeServer, GrpcLink, serve_forever
from benchmarks import result
from benchmarks.tiny_bundle import tiny_bundle

SIZE = 160  # 76,800 bytes of pixels
INPUT = OperatingPoint("input")
WIRE_BYTES = 400_000
WARM_UP = 20


def serve(folder: str) -> None:
    """The edge server's process."""
    server = EdgeServer(Bundle.load(Path(folder) / "tiny.bundle"), credentials=Credentials.stored(folder))
    server.preload()
    print(server.address, flush=True)
    serve_forever(server)


def link_arms(bundle: Bundle, link: GrpcLink) -> dict[str, Callable[[], float]]:
    """Name → one measurement in seconds."""
    image = np.random.default_rng(0).integers(0, 256, (1, SIZE, SIZE, 3), dtype=np.uint8)
    payload = bundle.encode(INPUT, (image,))
    asked = bundle.read(payload).request

    def exchange() -> float:
        start_s = time.perf_counter()
        reply = link.exchange(payload, 5.0)
        total_s = time.perf_counter() - start_s
        return total_s - bundle.decode_answer(reply.data, asked)[0].edge_s

    def probe(size_bytes: int) -> Callable[[], float]:
        return lambda: _timed(lambda: link.probe(size_bytes, 5.0))

    return {
        f"exchange of {len(payload)} B, above the edge server's computing": exchange,
        f"probe of {len(payload)} B": probe(len(payload)),
        "probe of 0 B": probe(0),
    }


def wire_arms() -> dict[str, Callable[[], float]]:
    """Name → one measurement in seconds."""
    features = np.random.default_rng(0).normal(size=(1, WIRE_BYTES // 4)).astype(np.float32)
    segment = features.tobytes()
    message = Message("ab" * 32, 1, INPUT, (TensorHeader("float32", features.shape),), (segment,))
    point = OperatingPoint("input")
    return {
        f"wire encode + decode of {WIRE_BYTES} B": lambda: _timed(lambda: wire.decode(wire.encode(message))),
        f"pack + unpack of {WIRE_BYTES} B raw float32": lambda: _timed(
            lambda: unpack(pack(point, [features], [None], bundle="ab" * 32))
        ),
    }


def _timed(action: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    action()
    return time.perf_counter() - start_s


def measure(arms: dict[str, Callable[[], float]], repetitions: int) -> list[dict[str, Any]]:
    """Medians of arms that take turns in random order."""
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    order = random.Random(0)
    for index in track(range(WARM_UP + repetitions), description="overhead", disable=not sys.stderr.isatty()):
        for name in order.sample(list(arms), len(arms)):
            took_s = arms[name]()
            if index >= WARM_UP:
                seconds[name].append(took_s)
    return [_row(name, values) for name, values in seconds.items()]


def _row(name: str, seconds: list[float]) -> dict[str, Any]:
    cuts = statistics.quantiles(seconds, n=20)
    spread = {"p25_s": cuts[4], "p75_s": cuts[14], "p95_s": cuts[18], "max_s": max(seconds)}
    return {"what": name, "median_s": statistics.median(seconds), **spread, "repetitions": len(seconds)}


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="20 repetitions; prints the rows and writes nothing")
    smoke = parser.parse_args().smoke
    repetitions = 20 if smoke else 1000
    with tempfile.TemporaryDirectory() as folder:
        tiny_bundle(SIZE).save(Path(folder) / "tiny.bundle")
        credentials = Credentials.stored(folder)
        command = [sys.executable, "-m", "benchmarks.runtime_overhead", "serve", folder]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            link = GrpcLink(address, certificate=credentials.certificate, token=credentials.token)
            bundle = Bundle.load(Path(folder) / "tiny.bundle")
            link.hello(bundle.digest, 5.0)
            rows = measure(link_arms(bundle, link) | wire_arms(), repetitions)
            link.close()
        finally:
            process.terminate()
            process.wait()
    print(json.dumps(rows, indent=1))
    if not smoke:
        result.write("runtime_overhead", rows, bars={"exchange_s": 1.5e-3, "wire_s": 0.6e-3})


if __name__ == "__main__":
    main()
