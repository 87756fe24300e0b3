"""Manifests for Kubernetes with the KubeRay operator: an experiment as a RayJob, and what stands around it.

Plain documents, made from an experiment's own config and a few settings of the cluster, and held to the rules
that the schemas lack. Nothing here talks to a cluster, and nothing imports Ray.
"""

from pointlab.kuberay.committed import committed
from pointlab.kuberay.documents import Document, placed, to_yaml
from pointlab.kuberay.job import ray_job
from pointlab.kuberay.lint import ManifestError, require_sound, violations
from pointlab.kuberay.settings import ManifestSettings, NodeShape

__all__ = [
    "Document",
    "ManifestError",
    "ManifestSettings",
    "NodeShape",
    "committed",
    "placed",
    "ray_job",
    "require_sound",
    "to_yaml",
    "violations",
]
