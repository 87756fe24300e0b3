"""What has a second attempt: runs, which a seed and a machine's last bits leave open; nothing else."""

from pointlab.errors import ConfigError
from pointlab.experiment import Experiment, PrepareExperiment, StudyExperiment


def require_repeatable(experiment: Experiment) -> None:
    """Return if `--rerun` of this experiment means something; else ConfigError."""
    if isinstance(experiment, PrepareExperiment):
        raise ConfigError(
            "A prepared set is named by its content: there is no second attempt of it.",
            remedy="drop --rerun, or delete the set's folder to make it anew",
        )
    if isinstance(experiment, StudyExperiment):
        raise ConfigError(
            "A study has no second attempt: it is the runs of its cells, which would be the same.",
            remedy="drop --rerun; for new runs give it another name, or delete the folders of old ones",
        )
