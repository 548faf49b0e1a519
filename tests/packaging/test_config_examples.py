# SPDX-License-Identifier: Apache-2.0
"""The examples in config/ name what there is: metrics, routes, keys of the configuration."""

import json
import os
import pathlib
import re
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("FACENETD_BUILD", "build")
CONFIG = ROOT / "config"
METRIC = re.compile(r"\b(?:facenetd|process)_[a-z_]+\b")


def documents(name):
    return [one for one in yaml.safe_load_all((CONFIG / name).read_text()) if one]


def kubernetes(kind):
    return next(one for one in documents("kubernetes.yaml") if one["kind"] == kind)


def documented_metrics():
    """Every name in docs/metrics.md; tests/http/test_metrics.py holds those to the daemon."""
    names = set(METRIC.findall((ROOT / "docs/metrics.md").read_text()))
    histograms = {name for name in names if name.endswith("_seconds")}
    return names | {f"{name}{end}" for name in histograms for end in ("_bucket", "_sum", "_count")}


@pytest.mark.parametrize("name", ["grafana-dashboard.json", "facenetd-alerts.yml"])
def test_every_metric_that_is_asked_for_exists(name):
    text = (CONFIG / name).read_text()
    if name.endswith(".json"):
        targets = [
            target["expr"] for panel in json.loads(text)["panels"] for target in panel["targets"]
        ]
        text = "\n".join(targets)
    asked = set(METRIC.findall(text))
    assert len(asked) >= 5
    assert not asked - documented_metrics()


def test_no_two_panels_lie_upon_each_other():
    taken = set()
    for panel in json.loads((CONFIG / "grafana-dashboard.json").read_text())["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_the_pods_configuration_passes(tmp_path):
    text = kubernetes("ConfigMap")["data"]["facenetd.conf"]
    keys = tmp_path / "keys"
    line = subprocess.run(
        [BUILD / "facenetd", "--make-key", "one"], check=True, capture_output=True, text=True
    )
    keys.write_text(line.stdout)
    path = tmp_path / "facenetd.conf"
    path.write_text(text.replace("/run/secrets/facenetd/keys", str(keys)))
    subprocess.run([BUILD / "facenetd", "--check-config", "--config", path], check=True)


def test_a_pod_has_time_to_leave():
    config = json.loads(kubernetes("ConfigMap")["data"]["facenetd.conf"])
    pod = kubernetes("Deployment")["spec"]["template"]["spec"]
    probe = pod["containers"][0]["readinessProbe"]
    noticed_s = probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]
    assert config["drain_delay_ms"] >= noticed_s * 1000
    leaves_ms = config["drain_delay_ms"] + config["drain_timeout_ms"]
    assert pod["terminationGracePeriodSeconds"] * 1000 > leaves_ms


def test_probes_ask_routes_that_need_no_key():
    container = kubernetes("Deployment")["spec"]["template"]["spec"]["containers"][0]
    paths = {container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness")}
    assert paths == {"/healthz"}
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_volumes_are_mounted_and_selectors_select():
    deployment = kubernetes("Deployment")["spec"]
    pod = deployment["template"]["spec"]
    mounts = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == labels
    assert kubernetes("Service")["spec"]["selector"] == labels
    assert kubernetes("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels


def test_the_autoscaler_asks_for_a_metric_that_exists():
    metrics = kubernetes("HorizontalPodAutoscaler")["spec"]["metrics"]
    assert {metric["pods"]["metric"]["name"] for metric in metrics} <= documented_metrics()


def test_the_scrape_names_the_rules_that_are_there():
    scrape = documents("prometheus.yml")[0]
    assert all((CONFIG / name).exists() for name in scrape["rule_files"])
