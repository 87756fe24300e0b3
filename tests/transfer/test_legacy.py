"""Habits of released code: each does what it says, says so in the record, and is never there by default."""

from typing import Any

import pytest
from safetensors.torch import load as load_safetensors
from torch import Tensor

from conftest import BACKBONE, SCANS, TRANSFER, tiny_transfer
from pointlab.backbones import build_backbone
from pointlab.backbones.patch_transformer import PatchTransformerConfig
from pointlab.config import merge, validate
from pointlab.errors import ConfigError
from pointlab.experiment import AnalyseExperiment, EvaluateExperiment, TransferExperiment
from pointlab.experiment.analysis_notes import favoured
from pointlab.experiment.matrix import Levels
from pointlab.experiment.resolve import make_definite
from pointlab.launch import run
from pointlab.objectives import HeadConfig
from pointlab.paradigms import Given, SupervisedConfig
from pointlab.report import build_report
from pointlab.storage import Record, Storage
from pointlab.study.comparison import Measured, comparison
from pointlab.training import Run
from pointlab.training.checkpoint import own_state
from pointlab.transfer.trained_probe import TrainedProbe
from tiny_search import tiny_search

FULL = merge({k: v for k, v in TRANSFER.items() if k != "mixture"}, {"protocol": "full"})
ON_TEST = {"legacy": {"best_on_test": True}}
PROBE = {"protocol": "linear_probe", "supervised": {"head": {"kind": "linear"}}}
TOKEN = {"class_token", "class_position"}
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def record_of(experiment: Any) -> Record:
    record = run(experiment).record
    assert record is not None
    return record


def transfer_of(**changes: Any) -> TransferExperiment:
    experiment: TransferExperiment = validate(TransferExperiment, merge(FULL, changes), "test")
    return experiment


def backbone_of(storage: Storage, run: str) -> dict[str, Tensor]:
    return load_safetensors(storage.read(f"runs/{run}/model/backbone.safetensors"))


@pytest.mark.parametrize("protocol", ["full", "linear_probe", "mlp_probe"])
def test_the_epoch_that_is_best_on_test_is_kept_and_the_record_says_that(
    storage: Storage, protocol: str
) -> None:
    """No figure is called one of validation, and a set without validation clouds serves."""
    settings = {**(PROBE if protocol == "linear_probe" else {"protocol": protocol}), **ON_TEST}
    target = merge(SCANS, {"validation_fraction": 0.0})
    training = {"epochs": 3, "validate_every": 0.5}
    record = record_of(tiny_transfer(storage, data=target, training=training, mixture={}, **settings))
    lines = [line for line in Run(storage, record.run).read_log() if "test/accuracy" in line]
    assert len(lines) == 6
    best = max(lines, key=lambda line: line["test/accuracy"])  # the first of equals
    assert record.notes["selected step"].startswith(f"{best['step']} of ")
    assert record.metrics["test/accuracy"] == pytest.approx(best["test/accuracy"])
    assert not [name for name in record.metrics if name.startswith("validation/")]
    assert record.notes["legacy"].startswith("CHOSEN ON TEST: of all epochs at which it was measured")
    assert record.protocol == f"legacy/{protocol}/best-on-test"


@pytest.mark.parametrize(
    "habits",
    [
        ("best_on_test",),
        ("trained_class_token",),
        ("drifting_batch_norm",),
        tuple(sorted(("best_on_test", "trained_class_token", "drifting_batch_norm"))),
    ],
)
def test_what_is_called_frozen_changes_by_its_habits_and_in_nothing_else(
    storage: Storage, habits: tuple[str, ...]
) -> None:
    record = record_of(tiny_transfer(storage, mixture={}, legacy=dict.fromkeys(habits, True), **PROBE))
    before, after = (backbone_of(storage, each) for each in (record.parents["pretrained"], record.run))
    changed = {name for name in before if not before[name].equal(after[name])}
    expected = TOKEN if "trained_class_token" in habits else set()
    if "drifting_batch_norm" in habits:
        expected = expected | {name for name in before if name.endswith(STATISTICS)}
    assert changed == expected
    told = record.notes["legacy"]
    assert ("CHOSEN ON TEST" in told) == ("best_on_test" in habits)
    assert ("class token" in told) == ("trained_class_token" in habits)
    assert ("BatchNorm took" in told) == ("drifting_batch_norm" in habits)


@pytest.mark.parametrize(("trains_class_token", "drifts"), [(True, False), (False, True)])
def test_what_changes_of_a_backbone_is_in_every_checkpoint_and_what_does_not_in_none(
    *, trains_class_token: bool, drifts: bool
) -> None:
    def kept(**habits: bool) -> set[str]:
        backbone = build_backbone(
            PatchTransformerConfig(**{k: v for k, v in BACKBONE.items() if k != "kind"})
        )
        config = SupervisedConfig(head=HeadConfig(kind="linear"))
        return set(own_state(TrainedProbe(config, backbone, Given(num_classes=3), **habits)))

    assert kept(trains_class_token=False, drifts=False) == {"head.0.weight", "head.0.bias"}
    moved = kept(trains_class_token=trains_class_token, drifts=drifts)
    assert {name for name in moved if name.endswith(STATISTICS)}
    assert {f"backbone.{name}" for name in TOKEN} <= moved


def test_folds_keep_the_epoch_that_is_best_on_their_queries(storage: Storage) -> None:
    """Which is never worse than the last one, by which honest folds are told."""
    few = {
        "protocol": "few_shot",
        "few_shot": {"folds": 2, "ways": 3, "shots": 2, "queries": 1, "head": "full"},
    }
    shown = {"shifted": None, "mixture": {}}
    last, best = (
        record_of(tiny_transfer(storage, **shown, **few, **changes))
        for changes in (
            {"training": {"selection": "last", "epochs": 3}},
            {"training": {"epochs": 3}, **ON_TEST},
        )
    )
    pairs = [
        (one["test/accuracy"], other["test/accuracy"])
        for one, other in zip(last.curves["folds"], best.curves["folds"], strict=True)
    ]
    assert all(of_last <= of_best for of_last, of_best in pairs)
    assert best.notes["legacy"].startswith("CHOSEN ON TEST: in each fold")
    claims = [("nothing is chosen on queries" in each.notes["accuracy"]) for each in (last, best)]
    assert claims == [True, False]
    assert (last.protocol, best.protocol) == (
        "few_shot/3-way-2-shot/full",
        "legacy/few_shot/3-way-2-shot/full/best-on-test",
    )


def test_nothing_is_legacy_that_does_not_ask_for_it() -> None:
    plain = transfer_of()
    assert plain.legacy is None
    assert not plain.stamp.startswith("legacy")
    assert "validation/accuracy" in plain.accuracies
    assert "validation/accuracy" not in transfer_of(**ON_TEST).accuracies


def test_what_rests_on_a_legacy_transfer_is_stamped_so_as_well(storage: Storage) -> None:
    legacy = merge(FULL, ON_TEST)
    proxy = merge(FULL, {"protocol": "linear_probe", "name": "proxy"}) | {"pretrained": legacy}
    experiment = validate(TransferExperiment, merge(proxy, {"storage": {"root": storage.address}}), "test")
    record = record_of(experiment)
    assert record.protocol == "legacy/linear_probe/from-best-on-test"
    assert record.notes["legacy"].startswith("it starts from a transfer with habits of released code")
    for classifier in (legacy, proxy):
        under = {
            "kind": "evaluate",
            "name": "under",
            "classifier": classifier,
            "suite": {"name": "modelnet_c"},
        }
        assert validate(EvaluateExperiment, under, "test").stamp == "legacy/corruptions/modelnet_c/generated"


def test_starts_with_other_habits_make_other_stamps() -> None:
    """Of all transfers before it, and beside its own."""
    first = merge(FULL, ON_TEST)
    second = merge(FULL, PROBE) | {"pretrained": first, "legacy": {"trained_class_token": True}}
    third = merge(FULL, {"name": "third"}) | {"pretrained": second}
    assert validate(TransferExperiment, third, "test").stamp == (
        "legacy/full/from-trained-class-token/best-on-test"
    )
    assert validate(TransferExperiment, second, "test").stamp == (
        "legacy/linear_probe/trained-class-token/from-best-on-test"
    )


def test_measurements_of_a_legacy_transfer_are_stamped_and_name_it(storage: Storage) -> None:
    stored = {"storage": {"root": storage.address}}
    honest, legacy = merge(FULL, stored), merge(FULL, {**stored, **ON_TEST, "name": "tuned-on-test"})
    part = {"name": "modelnet_c", "corruptions": ["jitter"], "severities": [1]}
    under = {"kind": "evaluate", "name": "under", "suite": part, **stored}
    record = record_of(validate(EvaluateExperiment, {**under, "classifier": legacy}, "test"))
    assert record.notes["legacy"].startswith("tuned-on-test: rests on habits of released code")
    look = {"kind": "analyse", "name": "look", "num_clouds": 24, "num_points": 48, "batch_size": 4, **stored}
    measures = {"measures": ["similarity"]}
    subjects = {"subjects": {"honest": honest, "legacy": legacy}, "with_start": False, "analysis": measures}
    record = record_of(validate(AnalyseExperiment, {**look, **subjects}, "test"))
    assert record.protocol == "legacy/analysis/validation"
    assert record.notes["legacy"].startswith("legacy: rests on")
    plain = validate(AnalyseExperiment, {**look, **subjects, "subjects": {"honest": honest}}, "test")
    assert plain.stamp == "analysis/validation"


def test_an_analysis_on_test_clouds_names_what_was_chosen_on_them() -> None:
    def named(split: str) -> list[str]:
        subjects = {"honest": FULL, "legacy": merge(FULL, ON_TEST)}
        settings = {"kind": "analyse", "name": "look", "subjects": subjects, "split": split}
        return favoured(validate(AnalyseExperiment, settings, "test"))

    assert (named("validation"), named("test")) == (["honest"], ["legacy"])


def test_the_page_of_a_legacy_run_claims_no_honest_test(storage: Storage) -> None:
    honest, legacy = (
        record_of(tiny_transfer(storage, mixture={}, protocol="full", **changes)) for changes in ({}, ON_TEST)
    )
    claim, warning = "The test splits were read once, after every choice.", "Not comparable: CHOSEN ON TEST"
    pages = [build_report(storage, [each.run]) for each in (honest, legacy)]
    assert [(claim in page, warning in page) for page in pages] == [(True, False), (False, True)]
    assert "full fine-tuning with habits of released code" in pages[1]
    assert "test, which chose the epoch" in pages[1]


def test_the_best_of_seeds_is_told_of_legacy_cells_alone() -> None:
    cells = [
        Measured(
            Levels("start", "net", "route", protocol, None, seed),
            "test/accuracy",
            value,
            "",
            is_legacy=protocol == "legacy",
        )
        for protocol in ("legacy", "honest")
        for seed, value in enumerate((0.5, 0.75, 0.25))
    ]
    best = {row["protocol"]: row["best"] for row in comparison(cells, "start")}
    assert best == {"legacy": 0.75, "honest": ""}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"legacy": {}}, "legacy has no habit switched on: set best_on_test, trained_class_token"),
        ({**ON_TEST, "test": False}, "legacy.best_on_test chooses on the test split, but test is false"),
        (
            {**ON_TEST, "training": {"selection": "last"}},
            "keeps the best epoch, but training.selection is last",
        ),
        ({**ON_TEST, "protocol": "wise_ft"}, "legacy is set, but protocol wise_ft has no habit"),
        ({**ON_TEST, "protocol": "linear_svm"}, "legacy is set, but protocol linear_svm has no habit"),
        (
            {"legacy": {"drifting_batch_norm": True}},
            "drifting_batch_norm is for backbones that are called frozen",
        ),
        (
            {**ON_TEST, "protocol": "linear_probe"},
            "released code trains linear: set supervised.head.kind to linear",
        ),
        (
            {
                "legacy": {"trained_class_token": True},
                **PROBE,
                "pretrained": {"backbone": {"kind": "pointnet"}},
            },
            "the backbone, a pointnet, has no class token",
        ),
        (
            {"legacy": {"trained_class_token": True}, **PROBE, "drop_path_rate": 0.2},
            "drop_path_rate is 0.2, but the frozen backbone is in evaluation mode",
        ),
        (
            {**ON_TEST, **PROBE, "probe": {"stages": "all"}},
            "probe.stages or probe.poolings is set, but legacy trains the head on the pooled feature",
        ),
        ({**ON_TEST, "task": "segmentation"}, "legacy is set, but task segmentation does not read it"),
    ],
)
def test_habits_that_a_protocol_cannot_have_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        transfer_of(**changes)


def test_a_search_has_no_trials_that_choose_on_test() -> None:
    legacy = merge(FULL, {**ON_TEST, "storage": {"root": "unused"}})
    with pytest.raises(ConfigError, match="which the trials of a search leave alone"):
        tiny_search(transfer={**legacy, "mixture": {}})


def test_of_a_probe_that_is_trained_the_settings_of_a_fitted_one_do_not_count() -> None:
    def name(**changes: Any) -> str:
        experiment = transfer_of(**PROBE, **ON_TEST, **changes)
        return make_definite(experiment, dict.fromkeys(experiment.datasets, "set-0000000000"), {}).run

    assert name() == name(probe={"max_iterations": 7})
    assert name() != name(training={"epochs": 1})
