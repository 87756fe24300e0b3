"""The card of a trained teacher: the README of its folder, in the form that model hubs show."""

from collections.abc import Mapping
from dataclasses import dataclass

from pointlab.data.manifest import DatasetManifest
from pointlab.teachers.settings import ClipConfig, NetworkConfig

TEMPLATE = """---
library_name: transformers
pipeline_tag: {task}
tags: [pointlab]
---
# {run}

{what}.
Trained by pointlab from random weights in {steps:,} steps on {samples:,} pictures, to teach point networks.
It is small and has seen nothing but the pictures below: beyond them it is of no use.

## Data

{title} (`{dataset}`, {rows:,} objects for training), licence: {licence}.{terms}
Classes: {classes}.

## Figures

On the set's validation split; its test split was never read.

| figure | value |
|---|---|
{figures}

## Use

```python
{use}
```

The weights go by the sha256 of `model.safetensors`: `{sha256}`.
In a config of pointlab: `teacher: {{kind: folder, path: <this folder>, sha256: {sha256}}}`.
Code: {code_version}.
"""
USE_OF_CLASSIFIER = """from transformers import AutoImageProcessor, AutoModelForImageClassification

processor = AutoImageProcessor.from_pretrained(folder)
network = AutoModelForImageClassification.from_pretrained(folder)
scores = network(**processor(picture, return_tensors="pt")).logits"""
USE_OF_TOWERS = """from transformers import AutoProcessor, CLIPModel

processor, network = AutoProcessor.from_pretrained(folder), CLIPModel.from_pretrained(folder)
inputs = processor(text=["a chair", "a table"], images=picture, return_tensors="pt", padding=True)
scores = network(**inputs).logits_per_image"""


@dataclass(frozen=True)
class Account:
    """What a card tells of a training: which run of which code, on what, how long, and how good it became."""

    run: str
    code_version: str
    dataset: DatasetManifest
    steps: int
    samples_seen: int
    metrics: Mapping[str, float]


def card(config: NetworkConfig, account: Account, sha256: str) -> str:
    """The text of the card for weights of this hash."""
    dataset = account.dataset
    figures = (
        f"| {name.removeprefix('validation/')} | {value:.4g} |"
        for name, value in sorted(account.metrics.items())
        if name.startswith("validation/")
    )
    return TEMPLATE.format(
        run=account.run,
        task="zero-shot-image-classification" if isinstance(config, ClipConfig) else "image-classification",
        what=_described(config),
        steps=account.steps,
        samples=account.samples_seen,
        title=dataset.card.title,
        dataset=dataset.name,
        rows=dataset.rows.get("train", 0),
        licence=dataset.card.licence,
        terms=f" Terms: {dataset.card.terms}" if dataset.card.terms else "",
        classes=", ".join(dataset.class_names),
        figures="\n".join(figures),
        use=USE_OF_TOWERS if isinstance(config, ClipConfig) else USE_OF_CLASSIFIER,
        sha256=sha256,
        code_version=account.code_version,
    )


def _described(config: NetworkConfig) -> str:
    size = f"pictures of {config.picture_size} pixels"
    if isinstance(config, ClipConfig):
        return f"A two-tower network (CLIP) of {size} and captions"
    return f"A {'vision transformer' if config.kind == 'vit' else 'ResNet'} that classifies {size}"
