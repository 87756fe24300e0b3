"""Transfer: probes, support vector machines, zero-shot heads, and ensembles in weight space."""

from pointlab.transfer.batch_norm import reestimate
from pointlab.transfer.interpolate import interpolate
from pointlab.transfer.probe import ProbeConfig, fit_probe, predict
from pointlab.transfer.svm import SvmConfig, fit_svm
from pointlab.transfer.sweep import Batches, Method, Mixture, MixtureConfig, choose, curve, sweep
from pointlab.transfer.zero_shot import ZeroShotConfig, ZeroShotHead

__all__ = [
    "Batches",
    "Method",
    "Mixture",
    "MixtureConfig",
    "ProbeConfig",
    "SvmConfig",
    "ZeroShotConfig",
    "ZeroShotHead",
    "choose",
    "curve",
    "fit_probe",
    "fit_svm",
    "interpolate",
    "predict",
    "reestimate",
    "sweep",
]
