"""TensorBoard files, built from a finished run's log rather than written beside it.

A log that resumes exactly gives curves without repeated or missing steps; event files written during
training would have both after a crash. `tensorboard --logdir results/runs` finds them.
"""

import tempfile
from pathlib import Path

from pointlab.training.run import Run


def publish_tensorboard(run: Run) -> None:
    """Store the event file of the run's whole log at `runs/<run>/tensorboard`, replacing an older one."""
    from torch.utils.tensorboard import SummaryWriter  # slow to import, and needed once a run

    lines = run.read_log()
    if not lines:
        return
    with tempfile.TemporaryDirectory() as folder:
        with SummaryWriter(folder) as writer:
            for line in lines:
                for name, value in line.items():
                    if "/" in name:
                        writer.add_scalar(name, value, int(line["step"]))
        (events,) = Path(folder).iterdir()
        run.storage.write(f"{run.path}/tensorboard/events.out.tfevents.0.{run.name}", events.read_bytes())
