"""The command ``token``."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from adaedge.cli import app
from adaedge.errors import LinkError
from adaedge.runtime import Tokens


def said(*arguments):
    done = CliRunner().invoke(app, ["token", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_a_token_is_granted_listed_and_taken_back(tmp_path):
    state = ("--state", tmp_path)
    assert said("list", *state) == "No terminal has a token of its own.\n"
    token = said("grant", "robot-7", "--rate", 30, "--days", 90, *state).strip()
    said("grant", "drone", *state)
    assert Tokens(tmp_path).whose(token) == "robot-7"
    rows = json.loads(said("list", *state, "--json"))
    assert [(row["name"], row["rate_per_s"], row["expires"] is None) for row in rows] == [
        ("drone", None, True),
        ("robot-7", 30.0, False),
    ]
    assert said("list", *state).startswith("drone: any rate, for ever\nrobot-7: 30 calls a second, 20")
    assert said("revoke", "robot-7", *state) == "robot-7 has no token any more.\n"
    assert Tokens(tmp_path).whose(token) is None


def test_zero_days_are_none(tmp_path):
    with pytest.raises(LinkError, match="days of a token is above 0; got 0"):
        said("grant", "robot", "--days", 0, "--state", tmp_path)
