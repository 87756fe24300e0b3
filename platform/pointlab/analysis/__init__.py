"""Analysis: what a checkpoint holds, stage by stage, all from one pass over the data."""

from pointlab.analysis.analysis import FEWEST_SCORED, Analysis, analyse
from pointlab.analysis.settings import AnalysisConfig
from pointlab.analysis.subject import Subject

__all__ = ["FEWEST_SCORED", "Analysis", "AnalysisConfig", "Subject", "analyse"]
