"""One match experiment as a job: `ray job submit --working-dir . -- python jobs/match.py CONFIG`."""

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("pointlab") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "platform"))

from pointlab.cli import main_of_kind

if __name__ == "__main__":
    main_of_kind("match")
