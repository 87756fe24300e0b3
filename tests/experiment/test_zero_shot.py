"""Zero-shot: a classifier like every other, built by what is written, chosen on validation, told honestly."""

import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from sklearn.svm import LinearSVC

from conftest import PRETRAIN, SHAPES
from pictured import manifest_of
from pointlab.backbones import Backbone, BackboneConfig, build_backbone
from pointlab.config import merge, validate
from pointlab.data import cache
from pointlab.data.dataset import DatasetConfig, dataset_id
from pointlab.data.manifest import read_dataset
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError, DataError
from pointlab.evaluation import pooled_features
from pointlab.experiment import AnalyseExperiment, RetrieveExperiment, TransferExperiment
from pointlab.experiment.class_words import note_on_class_words, seen_among
from pointlab.experiment.classifier import read_classifier
from pointlab.experiment.frozen import feature_of_svm
from pointlab.experiment.prepared_data import open_data
from pointlab.experiment.reading_texts import is_one_space, read_projection
from pointlab.experiment.resolve import Resolved
from pointlab.experiment.stored_models import publish_model, read_module
from pointlab.experiment.subjects import Reading
from pointlab.launch import run
from pointlab.objectives.templates import TEMPLATES, prompts_of
from pointlab.storage import Record, Storage, open_storage, publish
from pointlab.teachers import text_features
from pointlab.training.checkpoint import load_weights
from tiny_recon import NAMES, PICTURED, RECON, tiny_recon
from tiny_zero_shot import ZERO_SHOT, as_folder, tiny_zero_shot, towers_in

WHOLE = merge(SHAPES, {"name": "whole", "validation_fraction": 0.0, "source": {"num_test_per_class": 0}})


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


def record_of(experiment: TransferExperiment, *, rerun: bool = False) -> Record:
    record = run(experiment, rerun=rerun).record
    assert record is not None
    return record


def test_a_run_answers_as_the_paper_s_formula_and_leaves_the_backbone_as_it_was(storage: Storage) -> None:
    experiment = tiny_zero_shot(storage)
    record = record_of(experiment)
    assert record.protocol == "zero_shot/held_out"
    batch, pretrained = shown_clouds(storage, record), record.parents["pretrained"]
    backbone = backbone_as_pretrained(experiment, record)
    names = read_dataset(storage, record.datasets["data"]).class_names
    said_of_classes = text_features(towers_in(storage), [p for n in names for p in prompts_of(n, "held_out")])
    bank = said_of_classes.unflatten(0, (len(names), -1)).sum(1)
    classifier = read_classifier(experiment, record.run, storage)  # as all that measures classifiers reads it
    assert classifier.reads == "pooled"
    with torch.no_grad():
        pooled = backbone(batch).pooled
        _, image, text, _ = pooled.split(16, dim=1)
        said = record.metrics["selection/ratio"] * asked("text", storage, pretrained)(text)
        said = said + asked("image", storage, pretrained)(image)
        answers = F.cosine_similarity(said.unsqueeze(1), bank, dim=2)
        torch.testing.assert_close(classifier.head(pooled), answers)
    assert answers.std(0).min() > 1e-5  # clouds differ


def test_a_linear_svm_is_that_of_the_feature_of_recon_s_paper(storage: Storage) -> None:
    experiment = tiny_zero_shot(storage, protocol="linear_svm", svm={"strengths": [0.075]}, test=False)
    record = record_of(experiment)
    assert record.notes["C"] == "0.075, as set"
    classifier, backbone = (
        read_classifier(experiment, record.run, storage),
        backbone_as_pretrained(experiment, record),
    )
    assert classifier.reads == "svm"
    (table,) = pooled_features([backbone], clouds(storage, record, "train"), torch.device("cpu"), "svm")
    machine = LinearSVC(C=0.075, dual=False, max_iter=10_000)
    machine.fit(table.features.double().numpy(), table.labels.numpy())
    with torch.no_grad():
        shown = backbone.svm_features(shown_clouds(storage, record))
        scores = classifier.head(shown).double().numpy()
    assert scores == pytest.approx(machine.decision_function(shown.double().numpy()), abs=1e-4)


def clouds(storage: Storage, record: Record, split: str) -> Iterable[PointBatch]:
    return open_data(storage, record.datasets["data"], 48).batches(split, 64)()


def shown_clouds(storage: Storage, record: Record) -> PointBatch:
    (batch,) = clouds(storage, record, "test")
    return batch


def backbone_as_pretrained(experiment: TransferExperiment, record: Record) -> Backbone:
    """That of the run, which is bit by bit that of its pretraining."""
    storage = open_storage(experiment.storage.root)
    before, after = (
        read_module(storage, name, "backbone") for name in (record.parents["pretrained"], record.run)
    )
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    backbone = build_backbone(experiment.architecture).eval()
    load_weights(backbone, before)
    return backbone


def asked(query: Any, storage: Storage, run_name: str) -> torch.nn.Linear:
    layer = read_projection(storage, run_name, query)
    assert layer is not None
    return layer


def test_the_record_tells_how_it_was_done(storage: Storage) -> None:
    record = record_of(tiny_zero_shot(storage))
    assert {"validation/accuracy", "test/accuracy", "test/mean_class_accuracy"} <= record.metrics.keys()
    assert record.samples_seen == 0
    assert record.notes["by chance"] == "6.2%, one of 16 classes"
    assert record.notes["prompts"] == f"{len(TEMPLATES['held_out'])} of the set held_out for each class"
    assert "the best on validation (the largest of equals): 0.5:" in record.notes["ratio"]
    told = "1 of 16 were read in the captions of the pretraining: lamp; not read in these words: bed"
    assert record.notes["class words"].startswith(told)
    assert "clouds show objects that the start was trained on" in record.notes["validation"]
    fixed = record_of(tiny_zero_shot(storage, zero_shot={"ratio": 0.25}, test=False))
    assert fixed.notes["ratio"] == "0.25, as set"
    assert "selection/ratio" not in fixed.metrics


def test_the_test_split_decides_nothing(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    first = record_of(tiny_zero_shot(storage))
    relabel(monkeypatch, "test", lambda labels: (labels + 1) % 16)
    second = record_of(tiny_zero_shot(storage), rerun=True)
    assert first.notes == second.notes
    heads = [read_module(storage, record.run, "head") for record in (first, second)]
    assert all(torch.equal(heads[0][name], heads[1][name]) for name in ("embedding.weight", "bank"))


def test_with_a_set_ratio_validation_needs_no_labels(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    relabel(monkeypatch, "validation", lambda labels: labels * 0 - 1)
    record = record_of(tiny_zero_shot(storage, zero_shot={"ratio": 0.3}))
    assert "test/accuracy" in record.metrics
    assert "validation/accuracy" not in record.metrics


def relabel(monkeypatch: pytest.MonkeyPatch, split: str, change: Callable[[Any], Any]) -> None:
    """From now on this split is read with other labels."""
    read_split = cache.CachedSplit.__init__

    def with_other_labels(self: Any, folder: Path, *further: Any) -> None:
        read_split(self, folder, *further)
        if folder.name == split:
            self.labels = change(self.labels)

    monkeypatch.setattr(cache.CachedSplit, "__init__", with_other_labels)


def test_gradients_of_a_linear_svm_come_through_a_new_head_where_its_own_reads_more(storage: Storage) -> None:
    transfer = tiny_zero_shot(storage, protocol="linear_svm", svm={"strengths": [0.075]}, test=False)
    record = record_of(transfer)
    settings = {"kind": "analyse", "name": "looked-into", "subjects": {"svm": transfer.model_dump()}}
    analysis = validate(AnalyseExperiment, settings | {"with_start": False}, "test")
    parents = {"svm": record.run, "svm-pretrained": record.parents["pretrained"]}
    data = open_data(storage, record.datasets["data"], 48)
    (subject,) = Reading(Resolved(analysis, "", {}, parents), storage, data, lambda _: None).subjects()
    assert subject.head_kind == "fresh"
    assert subject.why_fresh.startswith("no gradients come through its own")


@pytest.mark.parametrize(("kind", "feature"), [("recon", "svm"), ("patch_transformer", "pooled")])
def test_a_linear_svm_reads_what_every_head_does_unless_a_paper_has_another_feature(
    kind: str, feature: str
) -> None:
    config = validate(BackboneConfig, RECON["backbone"] | {"kind": kind}, "test")
    assert feature_of_svm(build_backbone(config)) == feature


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
        (["two Cups and a lamp"], ["cup", "lamp"]),
        (["a night-stand beside nightstands"], ["night_stand"]),
        (["a cupboard, lampshades and a stand by night"], []),
    ],
)
def test_class_names_are_found_as_whole_words_in_the_plural_and_however_they_are_joined(
    texts: Sequence[str], seen: list[str]
) -> None:
    assert seen_among(NAMES, texts) == seen


def test_words_of_captions_or_of_prompts_are_told(storage: Storage) -> None:
    pretrained, classes = tiny_recon(storage), ("lamp", "sofa", "cup")
    (prepared,) = [name for name in storage.folders("datasets") if name.startswith(PICTURED["name"])]
    told = note_on_class_words(pretrained, prepared, storage, classes)
    assert (
        told
        == "2 of 3 were read in the captions of the pretraining: lamp, cup; not read in these words: sofa"
    )
    prompted = tiny_recon(storage, paradigm={"text": "class_names"})
    told = note_on_class_words(prompted, prepared, storage, NAMES)
    assert told == f"3 of 3 were read in the class names of the pretraining: {', '.join(NAMES)}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples_per_class": 5}, "samples_per_class is 5, but protocol zero_shot .* expected null; leave"),
        (
            {"pretrained": None, "backbone": RECON["backbone"]},
            "pretrained is left out: expected .*; set pretrained, or, in a study, .* exclude",
        ),
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
        ({"drop_path_rate": 0.2}, "drop_path_rate is 0.2, but protocol zero_shot has no use for it"),
        ({"zero_shot": {"ratios": [1, 1]}}, "zero_shot.ratios: expected values that differ"),
        ({"svm": {"strengths": [1, 1]}}, "svm.strengths: expected values that differ"),
    ],
)
def test_what_cannot_be_asked_is_refused_when_it_is_written(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(TransferExperiment, ZERO_SHOT | changes, "test")


@pytest.mark.parametrize(
    ("changes", "chooser", "otherwise"),
    [
        ({}, "zero_shot", ", or zero_shot.ratio to a number"),
        ({"protocol": "linear_svm"}, "linear_svm", ", or svm.strengths to a single one"),
        ({"protocol": "linear_probe"}, "linear_probe", ""),
    ],
)
def test_what_is_chosen_on_validation_is_refused_without_before_anything_is_trained(
    storage: Storage, changes: dict[str, Any], chooser: str, otherwise: str
) -> None:
    publish_without_validation(storage)
    finished = storage.folders("runs")
    with pytest.raises(ConfigError, match=f"The protocol {chooser} chooses on validation data") as refused:
        run(tiny_zero_shot(storage, data=WHOLE, pretrained={"seed": 1}, **changes))
    assert str(refused.value).strip().endswith(f"set data.validation_fraction above 0{otherwise}.")
    assert storage.folders("runs") == finished


def test_a_retrieval_among_no_clouds_is_refused_before_anything_is_trained(storage: Storage) -> None:
    publish_without_validation(storage)
    settings = {"kind": "retrieve", "name": "asked", "pretrained": merge(RECON, {"seed": 1}), "data": WHOLE}
    place = {"storage": {"root": storage.address}}
    finished = storage.folders("runs")
    with pytest.raises(DataError, match="has no test split to look for shapes in"):
        run(validate(RetrieveExperiment, settings | place, "test"))
    assert storage.folders("runs") == finished


def publish_without_validation(storage: Storage) -> None:
    """A set of which nothing is read but what it says of itself."""
    config: DatasetConfig = validate(DatasetConfig, WHOLE, "test")
    said = manifest_of(config.name, NAMES, config.recipe(), train=3).model_dump(mode="json")
    publish(storage, f"datasets/{dataset_id(config, config.source.index(None))}", "dataset", {}, said)
