"""`pointlab manifest`: an experiment as a job for Kubernetes, or the whole set that comes with pointlab."""

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from pointlab.cli.experiments import config_folder
from pointlab.cli.options import Overrides, with_options
from pointlab.config import validate
from pointlab.errors import ConfigError, PointlabError
from pointlab.experiment import Experiment, load
from pointlab.kuberay import ManifestSettings, committed, placed, ray_job, require_sound, to_yaml
from pointlab.terminal import say

Endpoint = Annotated[
    str | None, typer.Option(help="Address of an S3 store other than AWS, such as http://object-store:7070.")
]
Image = Annotated[str | None, typer.Option(help="Image with a version tag (default: pointlab's own).")]
DataClaim = Annotated[
    str | None, typer.Option(help="PersistentVolumeClaim with source files, mounted read-only at /data.")
]


def manifest(
    config: Annotated[
        Path | None,
        typer.Argument(help="YAML file of one experiment; without it the committed set is written."),
    ] = None,
    overrides: Overrides = None,
    root: Annotated[
        str | None,
        typer.Option(help="Storage root: s3://bucket/prefix, which all pods reach (default: the config's)."),
    ] = None,
    *,
    image: Image = None,
    digest: Annotated[str | None, typer.Option(help="sha256:... that pins the image beside its tag.")] = None,
    namespace: Annotated[str | None, typer.Option(help="Namespace (default: kubectl says).")] = None,
    endpoint: Endpoint = None,
    region: Annotated[str | None, typer.Option(help="Region of the store (default: us-east-1).")] = None,
    data_claim: DataClaim = None,
    node_cpus: Annotated[int | None, typer.Option(help="CPUs of a worker pod (default: 7).")] = None,
    node_memory: Annotated[int | None, typer.Option(help="GiB of a worker pod (default: 26).")] = None,
    node_gpus: Annotated[
        int | None, typer.Option(help="GPUs of a worker pod (default: as many as a worker needs).")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of the committed set.")] = Path("cluster/kuberay"),
) -> None:
    """Print the RayJob of one experiment for `kubectl apply -f -`, or write the committed set.

    Credentials are never part of it: pods take them from Secrets, which docs/cluster.md tells how to make.
    """
    node = _given(cpus=node_cpus, memory=node_memory, gpus=node_gpus)
    place = _given(namespace=namespace, endpoint=endpoint, region=region, data_claim=data_claim)
    options = {**_given(image=image, digest=digest), **place}
    if config is None:
        _require_nothing_else(options or node or overrides or root)
        _write(output, committed(_own_config))
        return
    settings = validate(ManifestSettings, {**options, "node": node}, "pointlab manifest")
    documents = ray_job(load(config, with_options(overrides, root)), settings)
    require_sound(documents)
    typer.echo(to_yaml(placed(documents, settings.namespace)), nl=False)


def _given(**options: object) -> dict[str, object]:
    """Those that were given; the rest have their defaults where they are described."""
    return {name: value for name, value in options.items() if value is not None}


def _require_nothing_else(given: object) -> None:
    if given:
        raise ConfigError(
            "Options were given without a config, but the committed set is the same for everyone.",
            remedy="name a config, or set image and namespace in its kustomization.yaml",
        )


def _own_config(path: PurePosixPath, overrides: Sequence[str]) -> Experiment:
    return load(config_folder() / path, overrides)


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        except OSError as error:
            raise PointlabError(
                f"{path} cannot be written: {error.strerror}.", remedy="choose another --output"
            ) from None
    say(f"{len(files)} files in {folder}")


COMMANDS: dict[Callable[..., None], str] = {
    manifest: "`pointlab manifest configs/demo/pretrain.yaml --root s3://bucket/runs --image pointlab:0.1.0 |"
    " kubectl apply -f -`",
}
