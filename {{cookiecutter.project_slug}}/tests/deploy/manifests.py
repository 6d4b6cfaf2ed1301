"""Reads what is in deploy/, and every query that stands in it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
BASE = DEPLOY / "kubernetes" / "base"
OVERLAYS = sorted(path for path in (DEPLOY / "kubernetes" / "overlays").iterdir() if path.is_dir())


def documents(path: Path) -> list[dict[str, Any]]:
    """Return the documents of a YAML file."""
    return [document for document in yaml.safe_load_all(path.read_text("utf-8")) if document is not None]


def kustomization(folder: Path) -> dict[str, Any]:
    """Return the one document of a folder's kustomization.yaml."""
    (found,) = documents(folder / "kustomization.yaml")
    return found


def base() -> dict[tuple[str, str], dict[str, Any]]:
    """Return the resources of the base by kind and name; those that its kustomization lists, and no others."""
    listed = kustomization(BASE)["resources"]
    found = [document for name in listed for document in documents(BASE / name)]
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def overlaid(overlay: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the resources of the base as an overlay patches them: by merging maps, which is all that it does."""
    resources = base()
    for patch in kustomization(overlay).get("patches", []):
        for document in documents(overlay / patch["path"]):
            key = (document["kind"], document["metadata"]["name"])
            resources[key] = merged(resources[key], document)  # a patch of what is not there is a KeyError
    return resources


def merged(one: Any, other: Any) -> Any:
    """Return a map with another one merged into it."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one | {key: merged(one.get(key), value) for key, value in other.items()}
    return other


def compose() -> dict[str, Any]:
    """Return compose.yaml; what begins with x- is only there to be merged."""
    (found,) = documents(DEPLOY / "compose.yaml")
    return found


def pod(resource: dict[str, Any]) -> dict[str, Any]:
    """Return the pod that a Deployment or a Job makes."""
    spec: dict[str, Any] = resource["spec"]["template"]["spec"]
    return spec


@dataclass(frozen=True)
class Query:
    """A PromQL expression and where it stands."""

    where: str
    expression: str


def recorded() -> dict[str, str]:
    """Return what the rules record: name -> expression."""
    (rules,) = documents(DEPLOY / "prometheus" / "rules.yml")
    return {rule["record"]: rule["expr"] for group in rules["groups"] for rule in group["rules"] if "record" in rule}


def dashboard() -> dict[str, Any]:
    """Return Grafana's dashboard."""
    found: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dashboards" / "service.json").read_text("utf-8"))
    return found


def expression(target: Mapping[str, Any]) -> str:
    """Return the query of a panel's target; the dashboard's variable stands for everything."""
    return re.sub(r"\$job\b", ".+", target["expr"])


def queries() -> list[Query]:
    """Return every query of the rules and the dashboard."""
    (rules,) = documents(DEPLOY / "prometheus" / "rules.yml")
    found = [
        Query(f"rules.yml {rule.get('record') or rule['alert']}", rule["expr"])
        for group in rules["groups"]
        for rule in group["rules"]
    ]
    found += [
        Query(f"dashboard {panel['title']}", expression(target))
        for panel in dashboard()["panels"]
        for target in panel.get("targets", ())
    ]
    return found
