"""The Helm chart: linted and rendered by Helm's own code, checked by the schemas of Kubernetes, refused when broken."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

helm = pytest.importorskip("helm_python", reason="needs helm-python-sdk")

from tests import charts  # noqa: E402


def containers(value: object) -> Iterator[dict[str, Any]]:
    """Every container in a manifest."""
    if isinstance(value, dict):
        yield from value.get("containers", [])
        for inner in value.values():
            yield from containers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from containers(inner)


def pods(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The specification of every pod."""
    specs = []
    for one in found:
        if one["kind"] in ("Deployment", "StatefulSet"):
            specs.append(one["spec"]["template"]["spec"])
        elif one["kind"] == "CronJob":
            specs.append(one["spec"]["jobTemplate"]["spec"]["template"]["spec"])
    return specs


@pytest.mark.parametrize("values", [{}, charts.EVERYTHING, charts.BUCKET], ids=["default", "all", "bucket"])
def test_it_lints_and_what_it_renders_is_known_to_kubernetes(values: dict[str, Any]) -> None:
    report = helm.lint(charts.CHART, values, strict=True)
    assert report["errors"] == []
    assert [one["error"] for one in report["messages"]] == ["icon is recommended"]
    charts.check(charts.manifests(values))


def test_everything_there_is_is_rendered() -> None:
    found = [(one["kind"], one["metadata"]["name"]) for one in charts.manifests(charts.EVERYTHING)]
    assert len(found) == len(set(found))
    assert {kind for kind, _ in found} == {
        *("ConfigMap", "CronJob", "Deployment", "HorizontalPodAutoscaler", "NetworkPolicy"),
        *("PersistentVolumeClaim", "PodDisruptionBudget", "Service", "ServiceAccount", "StatefulSet"),
    }
    assert {name for kind, name in found if kind == "CronJob"} == {"shop-freshet-fast", "shop-freshet-slow"}


@pytest.mark.parametrize("values", [{}, charts.EVERYTHING, charts.BUCKET], ids=["default", "all", "bucket"])
def test_no_pod_may_do_more_than_it_needs(values: dict[str, Any]) -> None:
    specs = pods(charts.manifests(values))
    assert specs
    for spec in specs:
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["automountServiceAccountToken"] is False
        for one in spec["containers"]:
            assert one["securityContext"]["readOnlyRootFilesystem"]
            assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert one["resources"]["limits"]


def test_selectors_find_the_pods_of_their_own_kind() -> None:
    found = charts.manifests(charts.EVERYTHING)
    labels = [
        one["spec"]["template"]["metadata"]["labels"]
        for one in found
        if one["kind"] in ("Deployment", "StatefulSet")
    ]
    for one in found:
        selector = (
            one["spec"].get("selector", {}) if one["kind"] in ("Service", "PodDisruptionBudget") else {}
        )
        wanted = selector.get("matchLabels", selector)
        if wanted:
            assert len([own for own in labels if wanted.items() <= own.items()]) == 1, one["metadata"]["name"]


def test_paths_run_one_at_a_time_and_what_a_person_decides_is_not_tried_again() -> None:
    for job in [one for one in charts.manifests(charts.EVERYTHING) if one["kind"] == "CronJob"]:
        assert job["spec"]["concurrencyPolicy"] == "Forbid"
        spec = job["spec"]["jobTemplate"]["spec"]
        (failing, _) = spec["podFailurePolicy"]["rules"]
        assert failing["onExitCodes"]["values"] == [2, 3, 4, 8]
        (only,) = spec["template"]["spec"]["containers"]
        assert failing["onExitCodes"]["containerName"] == only["name"]


def test_a_workspace_in_a_bucket_needs_no_volume_and_takes_no_settings() -> None:
    found = charts.manifests(charts.BUCKET)
    assert not [one for one in found if one["kind"] == "PersistentVolumeClaim"]
    assert {volume["name"] for spec in pods(found) for volume in spec["volumes"]} == {"tmp"}
    for one in containers(found):
        assert "s3://bucket/shop" in one["args"]
    with pytest.raises(helm.HelmError, match="lies in the bucket"):
        charts.rendered({**charts.BUCKET, "settings": "[serving]\n"})


@pytest.mark.parametrize(
    "values",
    [
        {"replica": 2},
        {"serve": {"replicas": "two"}},
        {"serve": {"replicaCount": 2}},
        {"workspace": {"url": "shop"}},
        {"image": {"pullPolicy": "Sometimes"}},
        {"fast": {"schedule": "daily"}},
    ],
    ids=str,
)
def test_values_that_are_none_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(helm.HelmError):
        charts.rendered(values)


BREAKS = {
    "wrong apiVersion": ("serve.yaml", "apiVersion: apps/v1", "apiVersion: apps/v2"),
    "unknown key": ("serve.yaml", "  type: {{ .Values.serve.service.type }}", "  typ: {{ .Values.serve.service.type }}"),
    "bad indentation": ("serve.yaml", "      terminationGracePeriodSeconds: 30", "  terminationGracePeriodSeconds: 30"),
    "wrong type": ("stream.yaml", "replicas: {{ .Values.stream.replicas }}", 'replicas: "{{ .Values.stream.replicas }}"'),
    "no such helper": ("storage.yaml", '"freshet.account"', '"freshet.acount"'),
    "unclosed block": ("networkpolicy.yaml", "{{- end }}", ""),
    "missing field": ("_helpers.tpl", '                status: "True"\n', ""),
}  # fmt: skip


@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_chart_is_refused(broken: str, tmp_path: Path) -> None:
    name, before, after = BREAKS[broken]
    chart = Path(shutil.copytree(charts.CHART, tmp_path / "freshet"))
    template = chart / "templates" / name
    text = template.read_text()
    assert before in text
    template.write_text(text.replace(before, after, 1))
    refused = (
        helm.HelmError,
        yaml.YAMLError,
        kubernetes_validate.ValidationError,
        kubernetes_validate.SchemaNotFoundError,
    )
    with pytest.raises(refused):
        charts.check(charts.manifests(charts.EVERYTHING, chart))


def test_the_plain_manifests_are_those_of_the_chart() -> None:
    assert charts.PLAIN.read_text(encoding="utf-8") == charts.plain(), (
        "make them anew: python -c 'from tests import charts; charts.PLAIN.write_text(charts.plain())'"
    )
