"""Transfer: probes, support vector machines, zero-shot heads, and ensembles in weight space."""

from pointlab.transfer.barrier import barrier
from pointlab.transfer.batch_norm import reestimate
from pointlab.transfer.few_shot import FewShotConfig
from pointlab.transfer.interpolate import interpolate
from pointlab.transfer.knn import KnnConfig, fit_knn
from pointlab.transfer.lp_ft import FromProbe, LpFtConfig
from pointlab.transfer.mlp_probe import MlpProbeConfig, fit_mlp_probes
from pointlab.transfer.probe import LinearProbeConfig, ProbeConfig, fit_probe, fit_probes, predict
from pointlab.transfer.showing import Batches, Showing
from pointlab.transfer.soup import SoupConfig
from pointlab.transfer.svm import SvmConfig, fit_svm
from pointlab.transfer.sweep import Method, Mixture, MixtureConfig, choose, curve, sweep
from pointlab.transfer.voting import VotingConfig
from pointlab.transfer.zero_shot import ZeroShotConfig, ZeroShotHead

__all__ = [
    "Batches",
    "FewShotConfig",
    "FromProbe",
    "KnnConfig",
    "LinearProbeConfig",
    "LpFtConfig",
    "Method",
    "Mixture",
    "MixtureConfig",
    "MlpProbeConfig",
    "ProbeConfig",
    "Showing",
    "SoupConfig",
    "SvmConfig",
    "VotingConfig",
    "ZeroShotConfig",
    "ZeroShotHead",
    "barrier",
    "choose",
    "curve",
    "fit_knn",
    "fit_mlp_probes",
    "fit_probe",
    "fit_probes",
    "fit_svm",
    "interpolate",
    "predict",
    "reestimate",
    "sweep",
]
