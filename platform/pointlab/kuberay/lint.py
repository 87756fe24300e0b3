"""The rules that the schemas of Kubernetes and KubeRay lack, asked of every manifest before it is given.

Each rule is a function from one document to what is wrong with it; those of several documents together see
all of them. What a schema says is left to the schema.
"""

from collections.abc import Callable, Iterator, Sequence

from pointlab.errors import PointlabError
from pointlab.kuberay import rules_of_clusters, rules_of_jobs, rules_of_names, rules_of_pods
from pointlab.kuberay.documents import Document

Rule = Callable[[Document], Iterator[str]]
RULES: tuple[Rule, ...] = (
    *rules_of_names.RULES,
    *rules_of_clusters.RULES,
    *rules_of_jobs.RULES,
    *rules_of_pods.RULES,
)


class ManifestError(PointlabError):
    """Manifests that the operator or Kubernetes would refuse, or that are less safe than promised."""


def violations(documents: Sequence[Document]) -> list[str]:
    """What is wrong, each with the object that it is wrong in; empty where all is well."""
    found = [
        f"{each['kind']} {each['metadata']['name']}: {fault}"
        for each in documents
        for rule in RULES
        for fault in rule(each)
    ]
    return found + list(rules_of_names.of_all(documents))


def require_sound(documents: Sequence[Document]) -> None:
    """ManifestError with every fault, if there is one."""
    if faults := violations(documents):
        listed = "\n".join(f"  - {fault}" for fault in faults)
        raise ManifestError(
            f"The manifests have {len(faults)} fault(s):\n{listed}\n",
            remedy="change the settings that they are rendered from",
        )
