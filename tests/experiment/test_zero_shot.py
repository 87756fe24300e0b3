"""Zero-shot: a classifier like every other, built by what is written, chosen on validation, told honestly."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from conftest import PRETRAIN
from pointlab.backbones import build_backbone
from pointlab.config import merge, validate
from pointlab.errors import ConfigError
from pointlab.experiment import EvaluateExperiment, TransferExperiment
from pointlab.experiment.class_words import note_on_class_words, seen_among
from pointlab.experiment.reading_texts import is_one_space, read_projection
from pointlab.experiment.wiring import open_data, publish_model, read_module
from pointlab.launch import run
from pointlab.storage import Record, Storage, open_storage
from pointlab.teachers import text_features
from pointlab.teachers.prompts import TEMPLATES, prompts_of
from pointlab.training.checkpoint import load_weights
from tiny_recon import NAMES, PICTURED, RECON, tiny_recon
from tiny_zero_shot import ZERO_SHOT, as_folder, tiny_zero_shot, towers_in


@pytest.fixture(scope="module")
def classified_root(recon_root: Path, prepared_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a ReCon, sets that have test splits, and the finished transfer, to be copied."""
    root = tmp_path_factory.mktemp("zero-shot") / "store"
    shutil.copytree(recon_root, root)
    shutil.copytree(prepared_root / "datasets", root / "datasets", dirs_exist_ok=True)
    run(tiny_zero_shot(open_storage(str(root))))
    return root


@pytest.fixture
def storage(classified_root: Path, tmp_path: Path) -> Storage:
    """A copy of it of the test's own."""
    shutil.copytree(classified_root, tmp_path / "store")
    return open_storage(str(tmp_path / "store"))


def record_of(experiment: TransferExperiment | EvaluateExperiment, *, rerun: bool = False) -> Record:
    record = run(experiment, rerun=rerun).record
    assert record is not None
    return record


def test_a_run_answers_as_the_paper_s_formula_and_leaves_the_backbone_as_it_was(storage: Storage) -> None:
    experiment = tiny_zero_shot(storage)
    record = record_of(experiment)
    assert record.protocol == "zero_shot/held_out"
    pretrained = record.parents["pretrained"]
    before, after = (read_module(storage, name, "backbone") for name in (pretrained, record.run))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    backbone = build_backbone(experiment.architecture).eval()
    load_weights(backbone, before)
    data = open_data(storage, record.datasets["data"], 48)
    names = data.manifest.class_names
    bank = [text_features(towers_in(storage), prompts_of(name, "held_out")).sum(0) for name in names]
    (batch,) = data.batches("test", len(names))()
    with torch.no_grad():
        _, image, text, _ = backbone(batch).pooled.split(16, dim=1)
        said = record.metrics["selection/ratio"] * asked("text", storage, pretrained)(text)
        said = said + asked("image", storage, pretrained)(image)
    answers = F.cosine_similarity(said.unsqueeze(1), torch.stack(bank), dim=2).argmax(1)
    assert batch.labels is not None
    accuracy = (answers == batch.labels).double().mean()
    assert record.metrics["test/accuracy"] == pytest.approx(float(accuracy))


def asked(query: Any, storage: Storage, run_name: str) -> torch.nn.Linear:
    layer = read_projection(storage, run_name, query)
    assert layer is not None
    return layer


def test_the_record_tells_how_it_was_done(storage: Storage) -> None:
    record = record_of(tiny_zero_shot(storage))
    assert {"validation/accuracy", "test/accuracy", "test/mean_class_accuracy"} <= record.metrics.keys()
    assert record.samples_seen == 0
    assert record.notes["prompts"] == f"{len(TEMPLATES['held_out'])} of the set held_out for each class"
    assert "the best on validation (the largest of equals): 0.5:" in record.notes["ratio"]
    told = "1 of 16 were read in the captions of the pretraining: lamp; not read: bed, "
    assert record.notes["class words"].startswith(told)
    fixed = record_of(tiny_zero_shot(storage, zero_shot={"ratio": 0.25}, test=False))
    assert fixed.notes["ratio"] == "0.25, as set"
    assert "selection/ratio" not in fixed.metrics


def test_the_test_split_decides_nothing(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    from pointlab.data import cache

    first, read_split = record_of(tiny_zero_shot(storage)), cache.CachedSplit.__init__

    def with_wrong_test_labels(self: Any, folder: Path, *further: Any) -> None:
        read_split(self, folder, *further)
        if folder.name == "test":
            self.labels = (self.labels + 1) % 16

    monkeypatch.setattr(cache.CachedSplit, "__init__", with_wrong_test_labels)
    second = record_of(tiny_zero_shot(storage), rerun=True)
    assert first.notes == second.notes
    heads = [read_module(storage, record.run, "head") for record in (first, second)]
    assert all(torch.equal(heads[0][name], heads[1][name]) for name in ("embedding.weight", "bank"))


def test_it_is_measured_under_corruptions_as_any_classifier(storage: Storage) -> None:
    settings = {
        "kind": "evaluate",
        "name": "tiny-corruptions",
        "classifier": ZERO_SHOT,
        "suite": {"name": "modelnet_c", "corruptions": ["scale"], "severities": [1]},
        "storage": {"root": storage.address},
    }
    found = record_of(validate(EvaluateExperiment, settings, "test"))
    assert found.metrics["test/accuracy"] == record_of(tiny_zero_shot(storage)).metrics["test/accuracy"]


def test_a_linear_svm_reads_the_feature_of_recon_s_paper_and_is_measured_with_it(storage: Storage) -> None:
    experiment = tiny_zero_shot(storage, protocol="linear_svm", svm={"strengths": [0.075]})
    record = record_of(experiment)
    assert record.notes["C"] == "0.075, as set"
    weights, before = read_module(storage, record.run, "head"), read_module(storage, record.run, "backbone")
    backbone = build_backbone(experiment.architecture).eval()
    load_weights(backbone, before)
    pretrained = read_module(storage, record.parents["pretrained"], "backbone")
    assert all(torch.equal(before[name], pretrained[name]) for name in before)
    (batch,) = open_data(storage, record.datasets["data"], 48).batches("test", 16)()
    with torch.no_grad():
        scores = F.linear(backbone.svm_features(batch), weights["weight"], weights["bias"])
    assert batch.labels is not None
    accuracy = (scores.argmax(1) == batch.labels).double().mean()
    assert record.metrics["test/accuracy"] == pytest.approx(float(accuracy))


def test_another_teacher_than_that_of_the_pretraining_is_refused(storage: Storage, tmp_path: Path) -> None:
    same, other = towers_in(storage), tmp_path / "towers"
    equal = record_of(tiny_zero_shot(storage, text_teacher=as_folder(same), zero_shot={"ratio": 1.0}))
    assert "validation/accuracy" in equal.metrics
    shutil.copytree(same, other)
    config = (other / "config.json").read_text()
    (other / "config.json").write_text(config.replace('"num_attention_heads": 2', '"num_attention_heads": 4'))
    with pytest.raises(ConfigError, match="The text_teacher of tiny-zero-shot has a config") as refused:
        run(tiny_zero_shot(storage, text_teacher=as_folder(other)))
    assert "from which recon learned" in str(refused.value)
    assert "leave text_teacher out" in str(refused.value)


def test_towers_are_one_space_where_weights_and_architecture_are_equal(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    one, other = ({"kind": "folder", "sha256": letter, "architecture": "x"} for letter in "ab")
    for number, (needs, expected) in enumerate(
        [
            ({"image_teacher": one, "text_teacher": one | {"kind": "teacher", "run": "towers"}}, True),
            ({"image_teacher": one, "text_teacher": other}, False),
            ({"text_teacher": one}, False),
        ]
    ):
        publish_model(storage, f"run-{number}", {}, tiny_recon(storage).backbone, (), needs=needs)
        assert is_one_space(storage, f"run-{number}") == expected


@pytest.mark.parametrize(
    ("texts", "seen"),
    [
        (["a small CUP here"], ["cup"]),
        (["a night stand.", "Lamp with white background"], ["night_stand", "lamp"]),
        (["a 3 night_stand"], ["night_stand"]),
        (["cups, lampshades and a stand by night"], []),
        ([], []),
    ],
)
def test_class_names_are_found_as_whole_words(texts: Sequence[str], seen: list[str]) -> None:
    assert seen_among(NAMES, texts) == seen


def test_words_of_captions_or_of_prompts_are_told(storage: Storage) -> None:
    pretrained, classes = tiny_recon(storage), ("lamp", "sofa", "cup")
    (prepared,) = [name for name in storage.folders("datasets") if name.startswith(PICTURED["name"])]
    told = note_on_class_words(pretrained, prepared, storage, classes)
    assert told == "2 of 3 were read in the captions of the pretraining: lamp, cup; not read: sofa"
    prompted = tiny_recon(storage, paradigm={"text": "prompts"})
    told = note_on_class_words(prompted, prepared, storage, NAMES)
    assert told == f"3 of 3 were read in the prompts on its labels of the pretraining: {', '.join(NAMES)}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples_per_class": 5}, "samples_per_class is 5, but protocol zero_shot .* expected null; leave"),
        ({"pretrained": None, "backbone": RECON["backbone"]}, "pretrained is left out: expected .*; set"),
        ({"pretrained": PRETRAIN}, "a pretraining by supervised: expected recon with a text_teacher; set"),
        (
            {"pretrained": merge(RECON, {"paradigm": {"text_weight": 0}, "text_teacher": None})},
            "a pretraining by recon with text_weight 0: expected recon with a text_teacher; set",
        ),
        (
            {"text_teacher": merge(RECON["text_teacher"], {"network": {"kind": "vit"}})},
            "text_teacher.network",
        ),
        ({"protocol": "linear_probe", "text_teacher": RECON["text_teacher"]}, "text_teacher is given, but"),
    ],
)
def test_what_cannot_be_asked_is_refused_when_it_is_written(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(TransferExperiment, ZERO_SHOT | changes, "test")


def test_without_validation_a_ratio_is_to_be_set(storage: Storage) -> None:
    whole = {"validation_fraction": 0.0, "source": {"num_train_per_class": 1}, "name": "whole"}
    with pytest.raises(ConfigError, match="chooses on validation data") as refused:
        run(tiny_zero_shot(storage, data=whole, test=False))
    assert "or zero_shot.ratio to a number" in str(refused.value)
