"""``deploy/``: what it names is there: metrics, options, files, extras."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import typer.main

from adaedge import cli
from adaedge.runtime import Prometheus
from adaedge.runtime.credentials import CERTIFICATE, TOKEN

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"


def test_the_dashboard_shows_metrics_that_an_edge_server_has():
    pytest.importorskip("prometheus_client")
    metrics = Prometheus("127.0.0.1:0")
    try:
        has = {sample.name for metric in metrics._registry.collect() for sample in metric.samples}
        has |= {f"{metric.name}_total" for metric in metrics._registry.collect() if metric.type == "counter"}
    finally:
        metrics.close()
    dashboard = json.loads((DEPLOY / "grafana.json").read_text())
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    used = {name for text in shown for name in re.findall(r"adaedge_\w+", text)}
    assert used <= has
    assert len(used) == 6
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_the_compose_file_starts_a_command_that_there_is():
    yaml = pytest.importorskip("yaml")
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    name, _, *options = services["edge"]["command"]
    command = typer.main.get_command(cli.app).commands[name]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {option for option in options if option.startswith("--")} <= known
    for mount in [mount for service in services.values() for mount in service["volumes"]]:
        source = mount.split(":")[0]
        assert source in ("state", "./bundle") or (DEPLOY / source).is_file(), mount
    text = (DEPLOY / "compose.yaml").read_text()
    assert f"/state/{CERTIFICATE}" in text
    assert f"/state/{TOKEN}" in text
    job = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())["scrape_configs"][0]
    assert job["static_configs"] == [{"targets": ["edge:9464"]}]
    assert "0.0.0.0:9464" in options


def test_the_image_is_made_of_files_and_an_extra_that_there_are():
    text = (DEPLOY / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE):
        for name in line.split():
            assert (ROOT / name).exists(), name
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.findall(r"/src\[(\w+)\]", text)) <= set(extras)
