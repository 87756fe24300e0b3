"""The manifests that come with pointlab: what stands in a namespace, and jobs to begin with.

`pointlab manifest` writes them; the kustomizations beside them only list them and set namespace and image.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from pointlab import __version__
from pointlab.experiment import Experiment
from pointlab.kuberay import object_store
from pointlab.kuberay.cluster import ray_cluster
from pointlab.kuberay.documents import Document, document, to_yaml
from pointlab.kuberay.job import ray_job
from pointlab.kuberay.lint import require_sound
from pointlab.kuberay.network import policies
from pointlab.kuberay.redis import redis
from pointlab.kuberay.settings import REPOSITORY, ManifestSettings

NAMESPACE = "pointlab"
ROOT = f"s3://{object_store.BUCKET}/results"
SETTINGS = ManifestSettings(endpoint=object_store.ENDPOINT)
"""Those of a cluster that has nothing yet."""
ON_A_GPU = ("launch.kind=ray", "launch.cpus_per_worker=4", "launch.gpus_per_worker=1")
JOBS: dict[str, tuple[str, tuple[str, ...]]] = {
    "prepare": ("data/shapes.yaml", ()),
    "pretrain": ("demo/pretrain.yaml", ON_A_GPU),
    "search": ("demo/search.yaml", ON_A_GPU),
    "study": ("study/tiny.yaml", ON_A_GPU),
}
"""By kind: the config among those of pointlab, which needs nothing from outside, and what is set in it."""
BEGINNING = "# Written by `pointlab manifest`; change what it is written from, and write it again.\n"
Load = Callable[[PurePosixPath, Sequence[str]], Experiment]
"""Reads one of pointlab's own configs, with overrides."""


def committed(load: Load) -> dict[str, str]:
    """The text of every file, by its path in the folder; ManifestError where one breaks a rule."""
    standing = _standing()
    jobs = {kind: _job(load, *JOBS[kind]) for kind in JOBS}
    require_sound([each for found in standing.values() for each in found])
    for found in jobs.values():
        require_sound(found)
    return {
        **_files("", standing),
        **_files("jobs/", jobs),
    }


def _standing() -> dict[str, list[Document]]:
    return {
        "namespace": [_namespace()],
        "network": policies(SETTINGS.endpoint),
        "redis": redis(),
        "object-store": object_store.object_store(),
        "cluster": [ray_cluster("pointlab", SETTINGS)],
    }


def _job(load: Load, path: str, overrides: Sequence[str]) -> list[Document]:
    return ray_job(load(PurePosixPath(path), [*overrides, f"storage.root={ROOT}"]), SETTINGS)


def _files(folder: str, documents: Mapping[str, Sequence[Document]]) -> dict[str, str]:
    listed = {f"{folder}{name}.yaml": BEGINNING + to_yaml(found) for name, found in documents.items()}
    names = [f"{name}.yaml" for name in documents]
    return {**listed, f"{folder}kustomization.yaml": BEGINNING + to_yaml([_kustomization(names)])}


def _kustomization(names: Sequence[str]) -> Document:
    image: dict[str, Any] = {"name": REPOSITORY, "newName": REPOSITORY, "newTag": __version__}
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAMESPACE,
        "resources": list(names),
        "images": [image],
    }


def _namespace() -> Document:
    """In which no pod may have more rights than these have."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    named = document("v1", "Namespace", NAMESPACE)
    return {**named, "metadata": {**named["metadata"], "labels": labels}}
