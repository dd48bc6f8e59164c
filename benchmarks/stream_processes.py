"""The edge server's process of ``benchmarks.stream_faults``: its limits are told, and it writes down what it decodes.

Started as ``python -m benchmarks.stream_processes BUNDLE CREDENTIALS PORT MAX_STREAMS MAX_BYTES RECORD`` by `Edge`.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import zlib
from pathlib import Path
from typing import Any

from adaedge.bundle import Bundle
from adaedge.runtime import Credentials, EdgeServer, EdgeSession, serve_forever
from benchmarks.fault_processes import favour, free_port


def serve(bundle: str, credentials: str, port: str, max_streams: str, max_bytes: str, record: str) -> None:
    """The edge server's process. Of every payload that it decodes it records stream, number and CRC-32."""
    loaded = Bundle.load(bundle)
    if record:
        receive = loaded.receive
        written = Path(record).open("a", encoding="ascii", buffering=1)  # noqa: SIM115 -- as long as the process

        def received(message: Any, reference: Any = None) -> Any:
            engine, carried, kept = receive(message, reference)
            words = (message.stream, message.sequence, checksum(carried))
            written.write(" ".join(map(str, words)) + "\n")
            return engine, carried, kept

        loaded.receive = received  # type: ignore[method-assign]
    running = EdgeServer(
        loaded,
        address=f"127.0.0.1:{port}",
        credentials=Credentials.stored(credentials),
        session=EdgeSession(loaded, max_streams=int(max_streams), max_bytes=int(max_bytes)),
    )
    running.preload()
    threading.Timer(0.01, print, ("ready",), {"flush": True}).start()
    serve_forever(running, grace_s=1.0)


def checksum(tensors: Any) -> int:
    """CRC-32 of tensors, one after another."""
    crc = 0
    for tensor in tensors:
        crc = zlib.crc32(tensor, crc)
    return crc


class Edge:
    """An edge server's process, which can be restarted, killed and stopped.

    Args:
        folder: holds ``real.bundle``, credentials, and what is recorded.
        max_streams: the most streams of which it holds anything.
        max_bytes: the most bytes of references.
        name: of the bundle in the folder.
        recorded: whether it writes down what it decodes.
    """

    def __init__(
        self, folder: Path, *, max_streams: int, max_bytes: int, name: str = "real.bundle", recorded: bool = True
    ) -> None:
        self.port = free_port()
        self.credentials = Credentials.stored(folder / "credentials")
        self.record = folder / "record" if recorded else None
        self._words = (folder / name, folder / "credentials", self.port, max_streams, max_bytes, self.record or "")
        self._read = 0
        self.process = self._spawn()

    def _spawn(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "benchmarks.stream_processes", *map(str, self._words)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the edge server did not start"
        return process

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    def kill(self) -> None:
        """Kill it as ``kill -9`` does."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def restart(self, *, kindly: bool = False) -> None:
        """End it, kindly or not, and start another one on its port."""
        if kindly:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)
        self.kill()
        self.process = self._spawn()

    def stop(self) -> None:
        """Let it stand still."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def resident_bytes(self) -> int:
        """Its resident memory, as the system counts it."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii").splitlines()
        words = next(line for line in lines if line.startswith("VmRSS:")).split()
        return 1024 * int(words[1])

    def decoded(self) -> list[tuple[int, int, int]]:
        """Stream, number and checksum of what it has decoded since the last call."""
        if self.record is None or not self.record.exists():
            return []
        with self.record.open("rb") as record:
            record.seek(self._read)
            new = record.read()
        self._read += len(new)
        return [(int(stream), int(number), int(crc)) for stream, number, crc in map(bytes.split, new.splitlines())]


if __name__ == "__main__":
    favour(-5)
    serve(*sys.argv[1:])
