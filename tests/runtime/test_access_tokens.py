"""A token per terminal: whose it is, until when, how often, and that it can be taken back."""

from __future__ import annotations

import json
import math
from hashlib import sha256
from types import SimpleNamespace

import pytest

from adaedge.errors import LinkError, OverloadError, RefusedError
from adaedge.runtime import EdgeServer, GrpcLink, Tokens, access_tokens, rpc
from adaedge.runtime.access_tokens import FOLDER, LEAST_BURST, LOOKED_EVERY_S
from adaedge.runtime.callers import Callers, GreedyCallerError


class Wall:
    """A clock on the wall."""

    now_s = 1e9

    def __call__(self):
        return self.now_s


@pytest.fixture
def wall():
    return Wall()


@pytest.fixture
def tokens(tmp_path, wall):
    return Tokens(tmp_path, wall)


def test_each_is_its_terminals_and_no_others(tokens):
    first, second = tokens.grant("robot-7"), tokens.grant("robot.8")
    assert (tokens.whose(first), tokens.whose(second)) == ("robot-7", "robot.8")
    assert [tokens.whose(text) for text in ("", first[:-1], first + second, "robot-7")] == [None] * 4


def test_a_new_one_makes_the_old_one_void(tokens):
    old, new = tokens.grant("robot"), tokens.grant("robot")
    assert (tokens.whose(old), tokens.whose(new)) == (None, "robot")


def test_it_is_not_kept(tokens, tmp_path):
    token = tokens.grant("robot")
    (path,) = (tmp_path / FOLDER).iterdir()
    assert token not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


def test_it_expires(tokens, wall):
    token = tokens.grant("robot", days=2)
    wall.now_s += 2 * 86400 - 1
    assert tokens.whose(token) == "robot"
    wall.now_s += 1
    assert tokens.whose(token) is None


def test_another_process_takes_it_back_within_a_second(tokens, tmp_path, wall):
    token = tokens.grant("robot")
    assert tokens.whose(token) == "robot"
    Tokens(tmp_path, wall).revoke("robot")
    wall.now_s += LOOKED_EVERY_S
    assert tokens.whose(token) is None
    assert not tokens.allows(token)


def test_a_clock_that_is_set_back_looks_again(tokens, tmp_path, wall):
    token = tokens.grant("robot")
    assert tokens.whose(token) == "robot"
    Tokens(tmp_path, wall).revoke("robot")
    wall.now_s -= 3600
    assert tokens.whose(token) is None


@pytest.mark.parametrize("rate_per_s", [0.5, 20.0])
def test_its_rate_is_bound_on_the_mean(tokens, wall, rate_per_s):
    token = tokens.grant("robot", rate_per_s=rate_per_s)
    burst = sum(tokens.allows(token) for _ in range(100))
    assert burst == max(LEAST_BURST, rate_per_s)
    allowed = 0
    for _ in range(2000):
        wall.now_s += 0.01
        allowed += tokens.allows(token)
    assert allowed == pytest.approx(20 * rate_per_s, abs=1)


def test_without_a_rate_it_is_not_bound(tokens):
    token = tokens.grant("robot")
    assert all(tokens.allows(token) for _ in range(1000))
    assert tokens.grants()[0].rate_per_s == math.inf


def test_a_call_is_looked_up_once(tokens, monkeypatch):
    hashed = []
    token = tokens.grant("robot", rate_per_s=1)
    monkeypatch.setattr(access_tokens, "_hash", lambda text: hashed.append(text) or sha256(text.encode()).hexdigest())
    context = SimpleNamespace(invocation_metadata=lambda: [(rpc.AUTHORIZATION, rpc.bearer(token))])
    callers = Callers(None, tokens)
    assert {callers.name(context) for _ in range(int(LEAST_BURST))} == {"robot"}
    assert hashed == [token] * int(LEAST_BURST)
    with pytest.raises(GreedyCallerError, match="robot sends more than it was granted"):
        callers.name(context)


def test_an_expired_token_may_send_nothing(tmp_path):
    now = [0.0]
    tokens = Tokens(tmp_path, lambda: now[0])
    token = tokens.grant("robot", days=1)
    assert tokens.admit(token) == ("robot", True)
    now[0] = 86401.0
    assert tokens.admit(token) == (None, False)


@pytest.mark.parametrize("name", ["", "../robot", "robot/7", ".hidden", "robot\n", "r" * 65])
def test_names_that_cannot_be(tokens, name):
    with pytest.raises(LinkError, match=r"a terminal's name has letters, digits"):
        tokens.grant(name)
    with pytest.raises(LinkError, match=r"no terminal .* has a token"):
        tokens.revoke(name)


def test_numbers_that_cannot_be(tokens):
    for wrong in ({"rate_per_s": 0.0}, {"rate_per_s": math.nan}, {"days": -1.0}):
        with pytest.raises(LinkError, match="of a token is above 0; got"):
            tokens.grant("robot", **wrong)
    assert tokens.grants() == []


def test_who_has_none(tokens):
    tokens.grant("robot")
    with pytest.raises(LinkError, match="no terminal 'drone' has a token; those that have: robot"):
        tokens.revoke("drone")


@pytest.mark.parametrize("text", ["", "{}", "[]", json.dumps({"name": "robot"})])
def test_a_file_that_is_none(tokens, tmp_path, text):
    tokens.grant("robot")
    (tmp_path / FOLDER / "other.json").write_text(text)
    with pytest.raises(LinkError, match=r"other\.json is no terminal's token: .*Delete it"):
        tokens.grants()


def test_an_edge_server_asks_for_it(bundle, credentials, tmp_path):
    tokens = Tokens(tmp_path)
    own, bound = tokens.grant("robot"), tokens.grant("drone", rate_per_s=0.001)
    with EdgeServer(bundle, credentials=credentials, tokens=tokens) as server:

        def link(token):
            return GrpcLink(server.address, certificate=credentials.certificate, token=token)

        for token in (own, credentials.token):
            link(token).hello(bundle.digest, 5.0)
        with pytest.raises(RefusedError, match=r"UNAUTHENTICATED.*no valid token"):
            link("another").hello(bundle.digest, 5.0)
        drone = link(bound)
        for _ in range(int(LEAST_BURST)):
            drone.probe(0, 5.0)
        with pytest.raises(OverloadError, match=r"RESOURCE_EXHAUSTED.*drone sends more than it was granted"):
            drone.probe(0, 5.0)
        tokens.revoke("robot")
        with pytest.raises(RefusedError, match="UNAUTHENTICATED"):
            link(own).hello(bundle.digest, 5.0)
        link(credentials.token).hello(bundle.digest, 5.0)
