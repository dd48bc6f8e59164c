"""The processes of the fault injection: an edge server that can be made to lie or refuse, and a proxy that swallows.

Started as ``python -m benchmarks.fault_processes serve|proxy …`` by ``Processes``.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from adaedge.bundle import Bundle
from adaedge.payload import Message
from adaedge.runtime import Credentials, EdgeServer, EdgeSession, callers, serve_forever
from benchmarks.tiny_bundle import tiny_bundle

SIZE, DEPTH = 128, 30  # a network that takes some 10 ms, most of it in the tail


def serve(bundle: str, credentials: str, port: str) -> None:
    """The edge server's process. SIGUSR1 makes it lie, SIGUSR2 refuse the token, SIGHUP neither."""
    lies = refuses = False

    def become(number: int, _: object) -> None:
        nonlocal lies, refuses  # a signal that comes twice, or once for two, means the same
        lies, refuses = number == signal.SIGUSR1, number == signal.SIGUSR2

    def compared(shown: bytes, expected: bytes) -> bool:
        return not refuses and hmac.compare_digest(shown, expected)

    sound = EdgeSession.answer

    def spoiled(session: EdgeSession, payload: bytes | Message, *seconds: float) -> bytes:
        data = sound(session, payload, *seconds)
        place = random.randrange(len(data))
        flipped = data[:place] + bytes([data[place] ^ 1 << random.randrange(8)]) + data[place + 1 :]
        return random.choice((data[:place], flipped, os.urandom(len(data)), b"")) if lies else data

    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        signal.signal(number, become)
    EdgeSession.answer = spoiled  # type: ignore[method-assign]
    vars(callers)["hmac"] = SimpleNamespace(compare_digest=compared)
    running = EdgeServer(Bundle.load(bundle), address=f"127.0.0.1:{port}", credentials=Credentials.stored(credentials))
    running.preload()
    threading.Timer(0.01, print, ("ready",), {"flush": True}).start()
    serve_forever(running, grace_s=1.0)


def proxy(port: str, target: str) -> None:
    """The proxy's process: passes bytes on, or, after SIGUSR1 and until SIGUSR2, swallows them."""
    swallow = False

    def switch(on: bool) -> None:
        nonlocal swallow
        swallow = on

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if not swallow:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        finally:
            if not swallow:
                writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", int(target))
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, back), pump(there, writer))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, switch, True)
        loop.add_signal_handler(signal.SIGUSR2, switch, False)
        listening = await asyncio.start_server(accept, "127.0.0.1", int(port))
        print("ready", flush=True)
        await listening.serve_forever()

    asyncio.run(main())


class Processes:
    """The edge server's and the proxy's process, and what can be done to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.proxy_port = free_port(), free_port()
        tiny_bundle(SIZE, depth=DEPTH).save(folder / "right.bundle")
        tiny_bundle(SIZE, depth=DEPTH, seed=1).save(folder / "other.bundle")
        self.credentials = Credentials.stored(folder / "right")
        Credentials.stored(folder / "stranger")
        for name in ("certificate.pem", "key.pem"):  # the same server to TLS, another token
            (folder / "stranger" / name).write_bytes((folder / "right" / name).read_bytes())
        self.edge = self._spawn("serve", folder / "right.bundle", folder / "right", self.port)
        self.hole = self._spawn("proxy", self.proxy_port, self.port)

    def _spawn(self, *words: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "benchmarks.fault_processes", *map(str, words)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", f"{words} did not start"
        return process

    def restart(self, bundle: str = "right", credentials: str = "right") -> None:
        """Kill the edge server, start one with this bundle and these credentials on its port."""
        self.kill()
        self.edge = self._spawn("serve", self.folder / f"{bundle}.bundle", self.folder / credentials, self.port)

    def kill(self) -> None:
        """Kill the edge server as ``kill -9`` does."""
        _end(self.edge)

    def close(self) -> None:
        """Leave no process behind."""
        _end(self.edge)
        _end(self.hole)

    def faults(self) -> dict[str, tuple[Callable[[], None], Callable[[], None]]]:
        """Kind → how to inject it, how to heal it."""
        tell = lambda number: lambda: self.edge.send_signal(number)  # noqa: E731
        refuse = random.choice(
            [(lambda: self.restart(credentials="stranger"), self.restart), (tell(signal.SIGUSR2), tell(signal.SIGHUP))]
        )
        return {
            "kill -9": (self.kill, self.restart),
            "SIGSTOP": (tell(signal.SIGSTOP), tell(signal.SIGCONT)),
            "refused": refuse,
            "corrupted answer": (tell(signal.SIGUSR1), tell(signal.SIGHUP)),
            "black hole": (
                lambda: self.hole.send_signal(signal.SIGUSR1),
                lambda: self.hole.send_signal(signal.SIGUSR2),
            ),
            "another bundle": (lambda: self.restart(bundle="other"), self.restart),
        }


def favour(priority: int) -> bool:
    """Put this process before other work on the machine, for terminal and edge server have machines of their own."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, priority)
    except (OSError, AttributeError):  # not permitted, or not this system's way
        return False
    return True


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()  # a stopped process, too, dies of it
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


if __name__ == "__main__":
    favour(-5)
    {"serve": serve, "proxy": proxy}[sys.argv[1]](*sys.argv[2:])
