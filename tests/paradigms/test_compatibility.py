"""Every pair of paradigm and backbone trains, or is refused with what would go and why."""

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from backbones.tiny import TINY
from conftest import PRETRAIN
from paradigms.masked_cases import ALL_OF_RECON
from paradigms.providers import SMALL, with_providers
from paradigms.two_views import two_views
from pointlab.backbones import BACKBONES, BackboneConfig, build_backbone
from pointlab.config import merge
from pointlab.experiment import PretrainExperiment
from pointlab.paradigms import PARADIGMS, ParadigmConfig, ReconParadigmConfig, build_paradigm
from pointlab.paradigms.compatibility import ONLY, REFUSALS, refusal_of, require_compatible

SETTINGS: dict[str, dict[str, Any]] = {kind: {"kind": kind} for kind in PARADIGMS}
SETTINGS["act_autoencoder"]["autoencoder"] = SMALL
SETTINGS["act-released"] = {"kind": "act", "teacher": "released"}
SETTINGS["recon-all"] = ALL_OF_RECON.model_dump()
SETTINGS["recon-points"] = {"kind": "recon", "image_weight": 0, "text_weight": 0}
SETTINGS["ppkt-seen"] = {"kind": "ppkt", "projection": "mlp", "picture_augmentation": {}, "num_pairs": 50}
SETTINGS["contrastive-momentum"] = {"kind": "contrastive", "momentum": {"queue_size": 8}}
PAIRS = [(paradigm, backbone) for paradigm in SETTINGS for backbone in TINY]


def paradigm_config(name: str) -> ParadigmConfig:
    config: ParadigmConfig = TypeAdapter(ParadigmConfig).validate_python(SETTINGS[name])
    return config


def is_refused(paradigm: ParadigmConfig, backbone: BackboneConfig) -> bool:
    refusal = refusal_of(paradigm.kind, backbone.kind)
    return refusal is not None and refusal.holds_for(backbone)


def may_rest(name: str, paradigm: ParadigmConfig) -> bool:
    """Whether a loss need not depend on this parameter: a decoder's, where points are not asked for, the
    class token's in Point-MAE, and ReCon's queries where they are not asked, as those for points are not."""
    if "propagations" in name or "backbone.ups" in name:
        return paradigm.kind not in ("point_contrast", "ppkt", "segmentation")
    if paradigm.kind == "segmentation" and "query_" in name:
        return True
    if isinstance(paradigm, ReconParadigmConfig) and "query_" in name:
        is_learned_row = name.startswith(("backbone.query_tokens.", "backbone.query_positions."))
        return not paradigm.queries or (is_learned_row and name.rpartition(".")[2] not in paradigm.queries)
    return "backbone.class_" in name and paradigm.kind == "masked"


ALLOWED = [pair for pair in PAIRS if not is_refused(paradigm_config(pair[0]), TINY[pair[1]])]
REFUSED = [pair for pair in PAIRS if pair not in ALLOWED]


def test_the_tables_are_covered() -> None:
    assert {config.kind for config in TINY.values()} == set(BACKBONES)
    assert {paradigm_config(name).kind for name in SETTINGS} == set(PARADIGMS)
    refused = {(paradigm_config(paradigm).kind, TINY[backbone].kind) for paradigm, backbone in REFUSED}
    declared = {(refusal.paradigm, refusal.backbone) for refusal in REFUSALS}
    declared |= {
        (kind, other) for kind, only in ONLY.items() for other in BACKBONES if other != only.backbone
    }
    assert refused == declared


@pytest.mark.parametrize(("name", "backbone"), ALLOWED)
def test_a_pair_that_goes_together_takes_two_steps(name: str, backbone: str) -> None:
    torch.manual_seed(0)
    config = paradigm_config(name)
    require_compatible(config, TINY[backbone])
    paradigm = build_paradigm(config, build_backbone(TINY[backbone]), with_providers(config)).train()
    paradigm.freeze()
    assert paradigm.num_views == config.num_views
    trained = {name: p for name, p in paradigm.named_parameters() if p.requires_grad}
    before = {name: parameter.detach().clone() for name, parameter in trained.items()}
    optimiser = torch.optim.AdamW(trained.values(), lr=1e-3, weight_decay=0)
    for step in range(2):
        optimiser.zero_grad()
        paradigm.before_step(step, 2)
        output = paradigm(two_views(seed=step))
        output.loss.backward()
        assert output.loss.isfinite()
        assert all(figure.isfinite() for figure in output.metrics.values())
        for parameter_name, parameter in trained.items():
            if parameter.grad is not None or not may_rest(parameter_name, config):
                assert parameter.grad is not None, parameter_name
                assert parameter.grad.isfinite().all(), parameter_name
        optimiser.step()
        paradigm.after_step(step, 2)
    at_rest = [name for name, parameter in trained.items() if torch.equal(parameter, before[name])]
    assert [name for name in at_rest if not may_rest(name, config)] == []
    assert paradigm.exported()["backbone"] is paradigm.backbone


@pytest.mark.parametrize(("name", "backbone"), REFUSED)
def test_a_refused_pair_says_why_and_what_goes(name: str, backbone: str) -> None:
    config = paradigm_config(name)
    only = ONLY.get(config.kind)
    fitting = f"It goes with {only.backbone}$" if only else "pointnet2 with decoder: true"
    with pytest.raises(
        ValueError, match=rf"does not go with the backbone {TINY[backbone].kind}: .*{fitting}"
    ):
        require_compatible(config, TINY[backbone])


def test_a_pretraining_refuses_the_pair_as_a_mistake_of_its_config() -> None:
    settings = merge(PRETRAIN, {"paradigm": {"kind": "point_contrast"}})
    with pytest.raises(
        ValidationError, match="point_contrast does not go with the backbone patch_transformer"
    ):
        PretrainExperiment.model_validate(settings)
