"""Transfer: probes, support vector machines, zero-shot heads, and ensembles in weight space."""

from pointlab.transfer.barrier import barrier
from pointlab.transfer.batch_norm import reestimate
from pointlab.transfer.few_shot import FewShotConfig
from pointlab.transfer.interpolate import interpolate
from pointlab.transfer.lp_ft import FromProbe, LpFtConfig
from pointlab.transfer.probe import ProbeConfig, fit_probe, fit_probes, predict
from pointlab.transfer.soup import SoupConfig
from pointlab.transfer.svm import SvmConfig, fit_svm
from pointlab.transfer.sweep import Batches, Method, Mixture, MixtureConfig, choose, curve, sweep
from pointlab.transfer.voting import VotingConfig
from pointlab.transfer.zero_shot import ZeroShotConfig, ZeroShotHead

__all__ = [
    "Batches",
    "FewShotConfig",
    "FromProbe",
    "LpFtConfig",
    "Method",
    "Mixture",
    "MixtureConfig",
    "ProbeConfig",
    "SoupConfig",
    "SvmConfig",
    "VotingConfig",
    "ZeroShotConfig",
    "ZeroShotHead",
    "barrier",
    "choose",
    "curve",
    "fit_probe",
    "fit_probes",
    "fit_svm",
    "interpolate",
    "predict",
    "reestimate",
    "sweep",
]
