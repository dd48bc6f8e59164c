"""A bundle goes to a hub and comes back: the real client of the hub, in a process of its own, against a server here."""

from __future__ import annotations

import base64
import http.server
import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import replace
from hashlib import sha1
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest

from adaedge.bundle import Bundle, hub
from adaedge.bundle.model_card import model_card
from adaedge.errors import BundleError, ProfileError
from adaedge.operating_point import Cost, Profile

COMMIT = "c0ffee" + "0" * 34
HAS_HUB = pytest.mark.skipif(not importlib.util.find_spec("huggingface_hub"), reason="needs the extra hub")


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the hub's HTTP as a small repository takes: https://huggingface.co/docs/hub/api."""

    def do_POST(self):
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urlsplit(self.path).path
        if self.headers.get("Authorization") != "Bearer secret":
            self.reply({"error": "Invalid username or password."}, 401)
        elif path == "/api/repos/create":
            given = json.loads(data)
            name = "/".join(filter(None, [given.get("organization") or "me", given["name"]]))
            self.server.created.append((name, given.get("private"), given.get("visibility")))
            self.reply({"url": f"{self.server.address}/{name}", "id": "1", "name": name})
        elif "/preupload/" in path:
            asked = json.loads(data)["files"]
            files = [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in asked]
            self.reply({"files": files})
        elif "/commit/" in path:
            for line in map(json.loads, data.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    self.server.files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "deletedFile":
                    del self.server.files[value["path"]]
            self.reply(
                {
                    "commitUrl": f"{self.server.address}/me/tiny/commit/{COMMIT}",
                    "commitOid": COMMIT,
                    "commitMessage": "",
                }
            )
        else:
            self.reply({}, 200 if "validate" in path else 404)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = urlsplit(self.path).path
        kept = dict(self.server.files)
        if "/me/absent" in path:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif found := re.fullmatch(r"/me/tiny/resolve/[^/]+/(.*)", path):
            data = kept[unquote(found[1])]
            self.send_response(200)
            for name, value in (("X-Repo-Commit", COMMIT), ("ETag", f'"{sha1(data).hexdigest()}"')):
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "GET":
                self.server.sent.append(unquote(found[1]))
                self.wfile.write(data)
        elif "/tree/" in path:
            files = [(name, len(data), sha1(data).hexdigest()) for name, data in kept.items()]
            self.reply([{"type": "file", "path": name, "size": size, "oid": oid} for name, size, oid in files])
        else:
            siblings = [{"rfilename": name} for name in kept]
            self.reply({"id": "me/tiny", "modelId": "me/tiny", "sha": COMMIT, "siblings": siblings, "private": False})

    def reply(self, document, status=200):
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *given):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.address = f"http://127.0.0.1:{server.server_port}"
        server.files, server.created, server.sent = {"old.onnx": b"from before", ".gitattributes": b"*"}, [], []
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


def beside(server, folder, program, *arguments):
    """A program that takes this server for the hub: the client reads its address when it is imported."""
    settings = {"HF_ENDPOINT": server.address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(folder / "cache")}
    settings |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


ROUND_TRIP = """
import sys
from adaedge.bundle import Bundle
from adaedge.errors import BundleError
bundle = Bundle.load(sys.argv[1])
print(bundle.push_to_hub("me/tiny", private=True, token="secret"))
found = Bundle.from_hub("me/tiny", threads=2)
found.save(sys.argv[2])
print(found.digest == bundle.digest, found.threads)
for ask in (lambda: Bundle.from_hub("me/absent"), lambda: bundle.push_to_hub("me/tiny", token="wrong")):
    try:
        ask()
    except BundleError as error:
        print(error)
"""


@HAS_HUB
def test_a_bundle_comes_back_from_the_hub_as_it_went(server, tmp_path, built, frames):
    built.save(tmp_path / "saved")
    url, same, absent, forbidden = beside(
        server, tmp_path, ROUND_TRIP, tmp_path / "saved", tmp_path / "back"
    ).splitlines()
    assert url.endswith(COMMIT)
    assert same == "True 2"
    assert server.created[0][0] == "me/tiny"
    assert server.created[0][1:] in ((True, None), (None, "private"), (True, "private"))
    back = Bundle.load(tmp_path / "back")
    inputs = built.inputs_of(frames[0])
    for point in built.points:
        assert np.array_equal(back.run(point, inputs)[0], built.run(point, inputs)[0])
    assert {*server.files} == {".gitattributes", "README.md", "manifest.json", *built.manifest.files}
    assert "README.md" not in server.sent
    assert server.files["README.md"].decode() == model_card(built.manifest, "me/tiny")
    assert absent.startswith("cannot read 'me/absent' from the Hugging Face hub: ")
    assert "Check its name, that this machine reaches the hub" in absent
    assert forbidden.startswith("cannot write 'me/tiny' to the Hugging Face hub: ")
    assert "`hf auth login`" in forbidden


FROM_HUB = """
import sys
from adaedge.bundle import Bundle
from adaedge.errors import AdaedgeError
try:
    print(Bundle.from_hub("me/tiny").digest)
except AdaedgeError as error:
    print(type(error).__name__, error)
"""


@HAS_HUB
def test_what_was_changed_on_the_hub_is_refused_and_what_is_foreign_is_left_there(server, tmp_path, built):
    built.save(tmp_path / "saved")
    for path in (tmp_path / "saved").rglob("*"):
        if path.is_file():
            server.files[path.relative_to(tmp_path / "saved").as_posix()] = path.read_bytes()
    server.files |= {"evil.py": b"raise SystemExit", "weights.pkl": b"pickle"}
    assert beside(server, tmp_path, FROM_HUB).strip() == built.digest
    assert not {"evil.py", "weights.pkl"} & {*server.sent}
    server.files["weights.safetensors"] = server.files["weights.safetensors"][:-1] + b"\xff"
    said = beside(server, tmp_path / "anew", FROM_HUB)
    assert said.startswith("IntegrityError weights.safetensors is corrupted")


def test_a_hub_that_cannot_be_reached_is_said(built, monkeypatch):
    class Offline:
        @staticmethod
        def snapshot_download(*given, **more):
            raise ConnectionError("no network")

    monkeypatch.setattr(hub, "load", lambda *given: Offline)
    with pytest.raises(
        BundleError, match=r"cannot read 'me/x' from the Hugging Face hub: ConnectionError: no network\."
    ):
        Bundle.from_hub("me/x")


def test_a_card_says_what_was_measured_and_where(built):
    manifest = built.manifest
    costs = {point: Cost(0.001, 0.002, 10, 0.003, 0.004) for point in built.points}
    card = model_card(manifest, "me/tiny", Profile(costs, built.digest, "a Raspberry Pi", "a server"))
    assert card.startswith("---\nlibrary_name: adaedge\ntags:\n- adaedge\n")
    assert 'adaedge.Bundle.from_hub("me/tiny")' in card
    assert "**Its weights are random:**" in card
    assert f"`{built.digest}`" in card
    assert "head and encode on a Raspberry Pi, decode and tail on a server." in card
    rows = [line for line in card.splitlines() if line.startswith("| `")]
    assert len(rows) == len(manifest.points)
    for row, entry in zip(rows, manifest.points, strict=True):
        found = entry.accuracy
        assert row == (
            f"| `{entry.point}` | {entry.payload_bytes:.0f} | {found.value:.3f} ({found.low:.3f} to {found.high:.3f})"
            " | 1.00 | 2.00 | 3.00 | 4.00 |"
        )
    assert "head, ms" not in model_card(manifest, "me/tiny")


def test_a_card_without_accuracies_says_so_and_no_profile_of_another_bundle_is_taken(built):
    bare = replace(built.manifest, points=tuple(replace(entry, accuracy=None) for entry in built.manifest.points))
    card = model_card(replace(bare, trained=True), "me/tiny")
    assert "Accuracy was not measured." in card
    assert "random" not in card
    assert "| – |" in card
    with pytest.raises(
        ProfileError, match=r"the profile is of bundle abababababab, this one is [0-9a-f]{12}\. Profile"
    ):
        model_card(built.manifest, "me/tiny", Profile({}, "ab" * 32, "", ""))
