"""What Ray is asked for: numbers, arguments of a config file, the load, and a cluster that is not there."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from adaedge.cluster import ReplicaPlan
from adaedge.cluster.application import _reach, planned
from adaedge.cluster.load import BUSY, by_load, wanted_replicas
from adaedge.cluster.plan import replica_range
from adaedge.errors import LinkError


@pytest.mark.parametrize("text", ["", "0", "-1", "1-", "3-2", "two", "1-2-3", "1.5"])
def test_replicas_that_cannot_be(text):
    with pytest.raises(LinkError, match=r"replicas are a number, such as 2, or a least and a most, such as 1-8; got "):
        replica_range(text)


@pytest.mark.parametrize("wrong", [{"least": 0}, {"least": 3, "most": 2}, {"cores": 0}, {"threads": 0}])
def test_a_plan_that_cannot_be(wrong):
    with pytest.raises(LinkError, match="1 or more"):
        ReplicaPlan("b", **wrong)


def test_the_arguments_of_a_config_file():
    plan, listen, state, names = planned(
        {
            "bundle": "/bundle",
            "replicas": "1-8",
            "cores": 2,
            "listen": "0.0.0.0:1",
            "state": "/state",
            "names": ["edge"],
        }
    )
    assert plan == ReplicaPlan("/bundle", 1, 8, 2)
    assert (listen, state, names) == ("0.0.0.0:1", "/state", ("edge",))
    assert planned({"bundle": "b"})[0] == ReplicaPlan("b")
    with pytest.raises(
        LinkError, match=r"no such argument: replica; those there are: bundle, cores, engine, .*replicas"
    ):
        planned({"bundle": "b", "replica": 2})
    with pytest.raises(LinkError, match="the argument bundle is missing"):
        planned({})


def test_the_load_says_how_many():
    assert wanted_replicas([0.6]) == 1
    assert wanted_replicas([0.61]) == 2
    assert wanted_replicas([2.4]) == 4
    assert wanted_replicas([0.3] * 4) == 2
    asked = SimpleNamespace(target_num_replicas=3, aggregated_metrics={BUSY: {"a": 0.9, "b": 0.9}})
    assert by_load(asked) == (3, {})
    for silent in (None, {}, {BUSY: {}}):
        asked.aggregated_metrics = silent
        assert by_load(asked) == (3, {})  # nobody has told anything: as it is


def test_a_cluster_that_is_not_there_is_told_within_seconds():
    with pytest.raises(ConnectionRefusedError):
        _reach("127.0.0.1:1")


def refused(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "adaedge", "serve", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


def test_options_that_mean_nothing_together():
    assert "pass --ray ADDRESS, or --ray local" in refused("b", "--replicas", "2")
    assert "--metrics is for a single server" in refused("b", "--ray", "local", "--metrics", "127.0.0.1:0")
