"""Documents: Kubernetes objects as plain mappings, and as YAML that looks the same every time."""

from collections.abc import Iterable
from typing import Any

import yaml

Document = dict[str, Any]
ROLE = "pointlab/role"
"""The label by which network policies and services know what a pod is."""


def document(version: str, kind: str, name: str, **fields: Any) -> Document:
    """One object of the API, without a namespace: `placed` gives it one."""
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **fields}


def placed(documents: Iterable[Document], namespace: str | None) -> list[Document]:
    """The documents in a namespace; as they are without one, so that kustomize or kubectl says where."""
    where = {"namespace": namespace} if namespace else {}
    return [{**each, "metadata": {**each["metadata"], **where}} for each in documents]


class _Dumper(yaml.SafeDumper):
    """Everything written out where it is read: no anchors, and text of several lines as it was."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def to_yaml(documents: Iterable[Document]) -> str:
    """The documents as one stream, each begun by `---` but the first."""
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=110, explicit_start=False)


def read(text: str) -> list[Document]:
    """The documents of a stream."""
    return [each for each in yaml.safe_load_all(text) if each is not None]
