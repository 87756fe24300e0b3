"""Evaluation: reads a model and data, measures, and chooses nothing."""

from pointlab.evaluation.features import FeatureTable, pooled_features
from pointlab.evaluation.metrics import classification_metrics
from pointlab.evaluation.reading import FeatureName
from pointlab.evaluation.scene_views import SceneViewConfig

__all__ = ["FeatureName", "FeatureTable", "SceneViewConfig", "classification_metrics", "pooled_features"]
