"""KubeRay's real schemas, made strict: what they do not know is an error, which the API server would drop."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

VARIABLE = "POINTLAB_KUBERAY_CRDS"
MISSING = (
    f"{VARIABLE} names no folder of KubeRay's CRDs: take ray-operator/config/crd/bases/*.yaml of its"
    f" release v1.7.0, and set {VARIABLE} to their folder"
)
KINDS = ("RayCluster", "RayJob")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""A megabyte each: the one in C takes a tenth of the time."""


def folder() -> Path | None:
    """Where the CRDs are, or None."""
    named = os.environ.get(VARIABLE)
    path = Path(named) if named else None
    return path if path is not None and any(path.glob("*.yaml")) else None


@cache
def validator(version: str, kind: str) -> Any:
    """Checks documents of this kind; KeyError where the release has no such version or kind."""
    found = folder()
    assert found is not None, MISSING
    for path in sorted(found.glob("*.yaml")):
        if f"kind: {kind}\n" not in (text := path.read_text()):
            continue
        definition = yaml.load(text, LOADER)["spec"]
        if definition["names"]["kind"] != kind:
            continue
        for each in definition["versions"]:
            if f"{definition['group']}/{each['name']}" == version:
                schema = strict(each["schema"]["openAPIV3Schema"])
                schema["properties"] |= {"metadata": METADATA, "apiVersion": {}, "kind": {}}
                return jsonschema.Draft202012Validator(schema)
    raise KeyError(f"{version} {kind}")


METADATA = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {}, "namespace": {}, "labels": {}, "annotations": {}},
    "additionalProperties": False,
}


def strict(schema: Any) -> Any:
    """A structural schema as a JSON schema: integer or text, null where it may be, no unknown fields."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {
        key: {name: strict(each) for name, each in value.items()} if key == "properties" else strict(value)
        for key, value in schema.items()
        if not key.startswith("x-kubernetes") and key not in {"description", "nullable"}
    }
    if schema.get("x-kubernetes-int-or-string"):
        found.pop("type", None)
        found["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if schema.get("nullable") and "type" in found:
        found["type"] = [found["type"], "null"]
    is_open = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if "properties" in schema and not is_open:
        found["additionalProperties"] = False
    return found


def faults(document: dict[str, Any]) -> list[str]:
    """What the schema has against the document, each with its place."""
    errors = validator(document["apiVersion"], document["kind"]).iter_errors(document)
    return [f"{'.'.join(map(str, error.path))}: {error.message}" for error in errors]
