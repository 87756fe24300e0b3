"""Objectives: what the paradigms share on the way from features to a loss."""

from pointlab.objectives.heads import HEADS, Head, HeadConfig, build_head
from pointlab.objectives.mixing import MixingConfig, Mixture, mix_points

__all__ = ["HEADS", "Head", "HeadConfig", "MixingConfig", "Mixture", "build_head", "mix_points"]
