"""What the configs that come with pointlab recommend for a kind of source, and a config to paste."""

from typing import Any

import yaml

from pointlab.cli.experiments import config_folder
from pointlab.config import read_yaml
from pointlab.data.detection import Fit
from pointlab.data.source import Source

RECOMMENDED = (
    "num_points",
    "sampling",
    "voxel_size",
    "normalise",
    "validation_fraction",
    "clouds_per_shard",
)
"""Settings of a fragment that suit every set of its kind, and not its one set alone."""


def recommended(source: Source) -> dict[str, Any]:
    """Settings of the fragment in `configs/data` for this source; none where no fragment is of its kind.

    Of several, that whose own settings of the source differ least from these.
    """
    settings = source.model_dump(mode="json")

    def differences(fragment: dict[str, Any]) -> int:
        return sum(settings.get(name) != value for name, value in fragment["source"].items())

    fragments = [read_yaml(path) for path in sorted((config_folder() / "data").glob("*.yaml"))]
    fitting = [each for each in fragments if each["source"]["kind"] == settings["kind"]]
    if not fitting:
        return {}
    nearest = min(fitting, key=differences)
    return {name: nearest[name] for name in RECOMMENDED if name in nearest}


def config_to_paste(fit: Fit, name: str) -> str:
    """YAML of a `prepare` experiment on what was found; a guess has a comment on its line."""
    text = yaml.safe_dump(fit.settings(name, recommended(fit.source)), sort_keys=False)
    lines = []
    for line in text.splitlines():
        setting = line.strip().partition(":")[0]
        is_of_source = line.startswith("    ") and setting in fit.guessed
        lines.append(f"{line}  # {fit.guessed[setting]}" if is_of_source else line)
    return "\n".join(lines) + "\n"
