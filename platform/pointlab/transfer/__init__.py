"""Transfer: linear probes and weight-space ensembles of pretrained and fine-tuned backbones."""

from pointlab.transfer.batch_norm import reestimate
from pointlab.transfer.interpolate import interpolate
from pointlab.transfer.probe import ProbeConfig, fit_probe, predict
from pointlab.transfer.sweep import Batches, Method, Mixture, MixtureConfig, choose, curve, sweep

__all__ = [
    "Batches",
    "Method",
    "Mixture",
    "MixtureConfig",
    "ProbeConfig",
    "choose",
    "curve",
    "fit_probe",
    "interpolate",
    "predict",
    "reestimate",
    "sweep",
]
