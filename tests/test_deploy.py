"""``deploy/``: what it names is there: metrics, options, files, extras."""

from __future__ import annotations

import importlib
import json
import re
import tomllib
from pathlib import Path

import pytest
import typer.main

from adaedge import cli
from adaedge.cluster.application import planned
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


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.ray"])
def test_the_image_is_made_of_files_and_an_extra_that_there_are(name):
    text = (DEPLOY / name).read_text()
    for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE):
        for copied in line.split():
            assert (ROOT / copied).exists(), copied
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.findall(r"/src\[(\w+)\]", text)) <= set(extras)


def _serve_config(name):
    """The Serve config of a file in ``deploy/``, and the documents that surround it."""
    yaml = pytest.importorskip("yaml")
    documents = [*yaml.safe_load_all((DEPLOY / name).read_text())]
    config = documents[0]
    return yaml.safe_load(config["spec"]["serveConfigV2"]) if config.get("kind") == "RayService" else config, documents


@pytest.mark.parametrize("name", ["ray-serve.yaml", "ray-service.yaml"])
def test_the_serve_config_names_an_application_and_arguments_that_there_are(name):
    config, _ = _serve_config(name)
    (asked,) = config["applications"]
    module, _, function = asked["import_path"].partition(":")
    assert callable(getattr(importlib.import_module(module), function))
    plan, listen, state, _ = planned(asked["args"])
    assert (plan.bundle, plan.least, plan.most, listen, state) == ("/bundle", 1, 8, "0.0.0.0:50051", "/state")
    text = (ROOT / "adaedge" / "cluster" / "application.py").read_text()
    assert all(f'name="{deployment["name"]}"' in text for deployment in asked["deployments"])
    assert config["proxy_location"] == "Disabled"


def test_the_manifest_opens_the_ingress_and_mounts_what_the_arguments_name():
    config, (service, entry, policy) = _serve_config("ray-service.yaml")
    groups = {group["groupName"]: group for group in service["spec"]["rayClusterConfig"]["workerGroupSpecs"]}
    pod = groups["ingress"]["template"]
    mounts = {mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]}
    assert mounts == {"/bundle", "/state"}
    (port,) = entry["spec"]["ports"]
    assert port["port"] == pod["spec"]["containers"][0]["ports"][0]["containerPort"] == 50051
    assert entry["spec"]["selector"] == pod["metadata"]["labels"]
    (wanted,) = config["applications"][0]["deployments"]
    offered = json.loads(groups["ingress"]["rayStartParams"]["resources"].strip('"').replace('\\"', '"'))
    assert offered == wanted["ray_actor_options"]["resources"] == {"ingress": 1}
    assert policy["spec"]["ingress"][-1] == {"ports": [{"port": 50051}]}
    volumes = pod["spec"]["volumes"]
    assert {"/bundle"} == {
        mount["mountPath"] for mount in groups["replicas"]["template"]["spec"]["containers"][0]["volumeMounts"]
    }
    assert [volume["name"] for volume in volumes] == ["bundle", "state"]
