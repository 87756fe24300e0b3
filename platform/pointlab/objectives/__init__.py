"""Objectives: what the paradigms share on the way from features to a loss."""

from pointlab.objectives.heads import HEADS, Head, HeadConfig, build_head

__all__ = ["HEADS", "Head", "HeadConfig", "build_head"]
