"""The chart as Helm's own code renders it, and its manifests checked by the schemas of Kubernetes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import helm_python as helm
import kubernetes_validate
import yaml

ROOT = Path(__file__).parents[1]
CHART = ROOT / "deploy" / "helm" / "freshet"
PLAIN = ROOT / "deploy" / "kubernetes.yaml"
VERSIONS = ("1.29", "1.37")
"""Of Kubernetes: the oldest that knows all fields the chart sets, and the newest there are schemas of."""
EVERYTHING: dict[str, Any] = {
    "settings": '[serving]\nstate = "redis://shop-freshet-redis:6379/0"\n',
    "env": {"AWS_REGION": "eu-central-1", "FRESHET_DEBUG": 1},
    "envFromSecrets": ["bucket-keys"],
    "envFromConfigMaps": ["region"],
    "image": {"pullSecrets": [{"name": "registry"}]},
    "serviceAccount": {"annotations": {"example.com/role": "reads-the-bucket"}},
    "serve": {
        "autoscaling": {"enabled": True},
        "service": {"annotations": {"a": "b"}},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "serve", "operator": "Exists"}],
    },
    "fast": {"nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "batch", "operator": "Exists"}]},
    "slow": {"enabled": True, "resources": {"limits": {"nvidia.com/gpu": 1}}},
    "stream": {"enabled": True},
    "redis": {"enabled": True, "storageClass": "fast"},
    "workspace": {"storageClass": "shared"},
    "networkPolicy": {"from": [{"namespaceSelector": {"matchLabels": {"web": "yes"}}}]},
}
BUCKET: dict[str, Any] = {"workspace": {"url": "s3://bucket/shop"}}
TWO_PATHS: dict[str, Any] = {"slow": {"enabled": True}}
"""Values of the plain manifests."""


def rendered(values: Mapping[str, Any], chart: Path = CHART, name: str = "shop") -> dict[str, str]:
    """By template, what Helm makes of it; values are checked by the chart's schema."""
    with helm.Chart.load(chart) as loaded:
        loaded.validate_schema(dict(values))
        return loaded.render(dict(values), name=name, namespace="default")


def manifests(values: Mapping[str, Any], chart: Path = CHART) -> list[dict[str, Any]]:
    """What is sent to Kubernetes."""
    found = [text for name, text in sorted(rendered(values, chart).items()) if name.endswith(".yaml")]
    return [one for text in found for one in yaml.safe_load_all(text) if one]


def check(found: list[dict[str, Any]]) -> None:
    """Refuse manifests that hold a key or a kind that Kubernetes does not know."""
    for manifest in found:
        for version in VERSIONS:
            kubernetes_validate.validate(manifest, version, strict=True)


def plain() -> str:
    """The manifests for those without Helm: the chart with both paths."""
    about = """# The chart of deploy/helm/freshet with its default values and both paths, for those without Helm.
# Made from it: a test compares the two. Names, images and the claim are to be changed:
#
#   kubectl apply -n recommend -f deploy/kubernetes.yaml
#   kubectl create -n recommend job --from=cronjob/shop-freshet-fast freshet-now
"""
    made = [yaml.safe_dump(one, sort_keys=False, width=110) for one in manifests(TWO_PATHS)]
    return about + "".join(f"---\n{text}" for text in made)
