"""What a manifest needs to know and no experiment says: the image, the store's address, a node's size."""

import re

from pydantic import Field, field_validator

from pointlab import __version__
from pointlab.config import StrictModel

RAY_VERSION = "2.60.0"
"""That of the image; the operator asks for it where it depends on it, and cannot look."""
REPOSITORY = "pointlab"
"""The image's name in the committed set, which its kustomizations replace."""
TAGGED = re.compile(r"(?P<name>[^\s@]+?):(?P<tag>\w[\w.-]{0,127})")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
MUTABLE = ("latest", "nightly", "main", "master", "dev")
"""Tags that name another image tomorrow."""


class NodeShape(StrictModel):
    """What one worker pod has, which is what one node of Ray has."""

    cpus: int = Field(default=7, ge=1)
    """Of the eight of a common machine with one GPU: the node's own services keep a part of one."""
    memory: int = Field(default=26, ge=4)
    """GiB, of the 32 of such a machine: Kubernetes keeps up to four, and pods of every node have theirs."""
    gpus: int | None = Field(default=None, ge=0)
    """null takes as many whole ones as a worker of the experiment needs."""


class ManifestSettings(StrictModel):
    """Where the pods come from and what they reach; nothing in here is secret."""

    image: str = f"{REPOSITORY}:{__version__}"
    digest: str | None = None
    """Beside the tag, pins the image to these bytes."""
    namespace: str | None = Field(default=None, pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")
    endpoint: str | None = Field(default=None, pattern=r"^https?://[^\s/@?#]+(/[^\s@?#]*)?$")
    """Of a store other than AWS; without user name or password, which the Secret `pointlab-s3` holds."""
    region: str = Field(default="us-east-1", pattern=r"^[a-z0-9-]+$")
    """What stores without regions are asked with, too."""
    data_claim: str | None = Field(default=None, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
    """A PersistentVolumeClaim with source files, mounted read-only at /data."""
    node: NodeShape = NodeShape()

    @field_validator("image")
    @classmethod
    def _names_a_version(cls, image: str) -> str:
        found = TAGGED.fullmatch(image)
        if found is None or found["tag"] in MUTABLE:
            raise ValueError(
                f"the image is {image!r}: expected a name with a version tag that stays what it is, such as"
                f" {REPOSITORY}:{__version__}; give a digest with --digest"
            )
        return image

    @field_validator("digest")
    @classmethod
    def _is_whole(cls, digest: str | None) -> str | None:
        if digest is not None and DIGEST.fullmatch(digest) is None:
            raise ValueError("expected sha256: and 64 hex digits, as `docker images --digests` prints them")
        return digest

    @property
    def reference(self) -> str:
        """The image as a pod names it."""
        return f"{self.image}@{self.digest}" if self.digest else self.image
