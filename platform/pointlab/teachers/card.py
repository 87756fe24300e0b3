"""The card of a trained teacher: the README of its folder, in the form that model hubs show."""

from collections.abc import Mapping
from dataclasses import dataclass

from pointlab.data.manifest import DatasetManifest
from pointlab.teachers.settings import ClipConfig, NetworkConfig, ResNetConfig
from pointlab.training import TrainingResult

TEMPLATE = """---
library_name: transformers
pipeline_tag: {task}
tags: [pointlab]
---
# {run}

{what}.
Trained by pointlab from random weights, to teach point networks: {steps:,} steps, in which pictures were
shown {samples:,} times. These are the weights after step {selected:,}.
It is small and has seen nothing but the pictures below: beyond them it is of no use.

## Data

{title} (`{dataset}`, {rows:,} objects for training, each in one or more pictures), licence: {licence}.{terms}
Classes: {classes}.

## Figures

{figures}

## Use

```python
{use}
```

The weights go by the sha256 of `model.safetensors`: `{sha256}`.
{in_config}
Code: {code_version}.
"""
USE_OF_CLASSIFIER = """from transformers import AutoImageProcessor, AutoModelForImageClassification

processor = AutoImageProcessor.from_pretrained(folder)
network = AutoModelForImageClassification.from_pretrained(folder)
scores = network(**processor(picture, return_tensors="pt")).logits"""
USE_OF_TOWERS = """from transformers import AutoProcessor, CLIPModel

processor, network = AutoProcessor.from_pretrained(folder), CLIPModel.from_pretrained(folder)
texts = ["a chair", "a table"]
inputs = processor(text=texts, images=picture, return_tensors="pt", padding=True, truncation=True)
scores = network(**inputs).logits_per_image"""


@dataclass(frozen=True)
class Account:
    """What a card tells of a training: which run of which code, on what, how long, and how good it became."""

    run: str
    code_version: str
    dataset: DatasetManifest
    result: TrainingResult


def card(config: NetworkConfig, account: Account, sha256: str) -> str:
    """The text of the card for weights of this hash."""
    dataset, result = account.dataset, account.result
    return TEMPLATE.format(
        run=account.run,
        task="zero-shot-image-classification" if isinstance(config, ClipConfig) else "image-classification",
        what=_described(config),
        steps=result.steps,
        samples=result.samples_seen,
        selected=result.selected_step,
        title=dataset.card.title,
        dataset=dataset.name,
        rows=dataset.rows.get("train", 0),
        licence=dataset.card.licence,
        terms=f" Terms: {dataset.card.terms}" if dataset.card.terms else "",
        classes=", ".join(dataset.class_names),
        figures=_figures(result.metrics),
        use=USE_OF_TOWERS if isinstance(config, ClipConfig) else USE_OF_CLASSIFIER,
        sha256=sha256,
        in_config=_in_config(config, sha256),
        code_version=account.code_version,
    )


def _figures(metrics: Mapping[str, float]) -> str:
    """A table of the validation's, or a sentence where there was none."""
    told = {
        name.removeprefix("validation/"): value
        for name, value in sorted(metrics.items())
        if name.startswith("validation/")
    }
    if not told:
        return "None: the set has no validation split. Its test split was never read."
    rows = "\n".join(f"| {name} | {value:.4g} |" for name, value in told.items())
    heading = "On the set's validation split; its test split was never read."
    return f"{heading}\n\n| figure | value |\n|---|---|\n{rows}"


def _in_config(config: NetworkConfig, sha256: str) -> str:
    source = f"{{kind: folder, path: <this folder>, sha256: {sha256}}}"
    if isinstance(config, ResNetConfig):
        return (
            "It has no transformer blocks, so ACT cannot learn from it; ReCon can: in a config of pointlab,"
            f" `image_teacher: {source}`."
        )
    return f"In a config of pointlab: `teacher: {source}`."


def _described(config: NetworkConfig) -> str:
    size = f"pictures of {config.picture_size} pixels"
    if isinstance(config, ClipConfig):
        return f"A two-tower network (CLIP) of {size} and captions"
    return f"A {'vision transformer' if config.kind == 'vit' else 'ResNet'} that classifies {size}"
