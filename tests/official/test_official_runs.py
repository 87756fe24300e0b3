"""An import is a run: found again, transferred, analysed, measured, and written out for others."""

from pathlib import Path
from typing import Any

import pytest
import released
import torch
import yaml
from released import TINY

from conftest import SCANS, tiny_transfer
from pointlab.cli import main_of_kind
from pointlab.cli.official import export, import_file
from pointlab.config import dump, merge, validate
from pointlab.errors import ConfigError, DataError, PointlabError
from pointlab.experiment import (
    AnalyseExperiment,
    EvaluateExperiment,
    ImportExperiment,
    TransferExperiment,
)
from pointlab.experiment.classifier import read_classifier
from pointlab.experiment.exported import export_run
from pointlab.experiment.search import SearchExperiment, make_trial
from pointlab.experiment.stored_models import read_module
from pointlab.launch import run
from pointlab.launch.runs import STAGES
from pointlab.objectives import HeadConfig
from pointlab.official import import_checkpoint
from pointlab.storage import Storage

UNSTORED = {"num_groups": 8}


@pytest.fixture
def pretrained(tmp_path: Path) -> Path:
    path = tmp_path / "pretrain.pth"
    state = released.filled(released.point_mae_pretrain(TINY))
    torch.save({"base_model": state, "epoch": 300}, path)
    return path


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    path = tmp_path / "Ckpt best.pth"
    torch.save({"base_model": released.filled(released.point_mae_classifier(TINY))}, path)
    return path


def transfer_of(storage: Storage, path: Path, **changes: Any) -> TransferExperiment:
    imports = merge({"kind": "import", "path": str(path), "unstored": UNSTORED}, changes)
    settings = tiny_transfer(storage).model_dump(mode="json")
    settings |= {"pretrained": imports, "protocol": "linear_probe", "shifted": None}
    return validate(TransferExperiment, settings, "test")  # type: ignore[no-any-return]


def test_an_import_is_a_run_with_an_account_of_every_key(storage: Storage, pretrained: Path) -> None:
    settings = {"kind": "import", "path": str(pretrained), "storage": {"root": storage.address}}
    experiment: ImportExperiment = validate(ImportExperiment, settings, "test")
    outcome = run(experiment)
    assert outcome.record is not None
    state = torch.load(pretrained)["base_model"]
    assert {row["key"] for row in outcome.record.curves["keys"]} == state.keys()
    assert outcome.record.notes["in the file: epoch"] == "300"
    assert experiment.contents.sha256 in outcome.record.notes["origin"]
    stored = read_module(storage, outcome.record.run, "backbone")
    assert torch.equal(stored["norm.weight"], state["MAE_encoder.norm.weight"])
    moved = pretrained.rename(pretrained.with_name("moved.pth"))
    again = run(validate(ImportExperiment, {**settings, "path": str(moved)}, "test"))
    assert again.was_finished
    moved.unlink()
    assert run(experiment).was_finished


def test_a_settled_import_is_looked_into_again_for_other_settings(
    storage: Storage, pretrained: Path, classifier: Path
) -> None:
    first: ImportExperiment = validate(ImportExperiment, {"kind": "import", "path": str(pretrained)}, "test")
    settled = yaml.safe_load(dump(first))
    assert asked(settled) == first
    assert getattr(asked(settled, unstored={"num_heads": 4}).architecture, "num_heads") == 4  # noqa: B009
    assert getattr(asked(settled, drop_path_rate=0.3).architecture, "drop_path_rate") == 0.3  # noqa: B009
    other = asked(settled, path=str(classifier))
    assert (other.layout, other.head) == ("point_mae_classifier", HeadConfig())
    with pytest.raises(DataError, match="keys are no part of act_pretrain"):
        asked(settled, layout="act_pretrain")
    with pytest.raises(ConfigError, match="has the sha256"):
        asked(settled, path=str(classifier), sha256=first.contents.sha256)
    altered = asked(settled, found={"backbone": {"depth": 3}}, storage={"root": storage.address})
    with pytest.raises(ConfigError, match=r"found\.backbone is .*depth=3"):
        run(altered)
    pretrained.unlink()
    assert asked(settled) == first
    with pytest.raises(ConfigError, match="to look into again"):
        asked(settled, fresh_class_token=True)


def asked(settled: dict[str, Any], **changes: Any) -> ImportExperiment:
    return validate(ImportExperiment, merge(settled, changes), "test")  # type: ignore[no-any-return]


def test_trials_of_a_search_differ_in_what_is_asked_of_a_file(storage: Storage, pretrained: Path) -> None:
    settings = {
        "name": "looking",
        "transfer": transfer_of(storage, pretrained).model_dump(mode="json"),
        "space": {"pretrained.unstored.num_groups": {"kind": "choice", "values": [4, 8]}},
    }
    search = validate(SearchExperiment, settings, "test")
    trials = [make_trial(search, {"pretrained.unstored.num_groups": groups}) for groups in (4, 8)]
    assert [trial.architecture.model_dump()["num_groups"] for trial in trials] == [4, 8]


def test_keys_of_any_form_are_kept_for_the_way_back(storage: Storage, tmp_path: Path) -> None:
    state, row = released.filled(released.act_pretrain(TINY)), torch.ones(3)
    state |= {"ACT_encoder.lm_head.weight.more": row, "ACT_encoder.lm_head.": row}
    torch.save(state, tmp_path / "odd.pth")
    import_file(tmp_path / "odd.pth", root=storage.address)
    (name,) = storage.folders("runs")
    exported, _ = export_run(storage, name)
    assert exported.weights.keys() == state.keys()


def test_a_config_of_an_import_runs_with_the_same_account(
    storage: Storage, pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "import.yaml"
    config.write_text(yaml.safe_dump({"kind": "import", "path": str(pretrained)}))
    with pytest.raises(SystemExit):
        main_of_kind("import", [str(config), "--root", storage.address])
    shown = " ".join(capsys.readouterr().out.split())
    assert "mapped" in shown
    assert "--set unstored.num_groups" in shown
    jobs = Path(__file__).parents[2] / "jobs"
    assert {path.stem for path in jobs.glob("*.py")} == {*STAGES, "prepare", "search", "study"}


def test_a_released_backbone_is_transferred_and_written_out_for_others(
    storage: Storage, classifier: Path, tmp_path: Path
) -> None:
    record = run(transfer_of(storage, classifier)).record
    assert record is not None
    assert "validation/accuracy" in record.metrics
    assert record.parents["pretrained"].startswith("imported-")
    path = tmp_path / "probed.pth"
    with pytest.raises(ConfigError, match="--layout"):
        export(record.run, to=path, root=storage.address)
    with pytest.raises(ConfigError, match="ends in"):
        export(record.run, to=tmp_path / "a.bin", layout="point_mae_classifier", root=storage.address)
    export(record.run, to=path, layout="point_mae_classifier", root=storage.address)
    before, back = import_checkpoint(classifier), import_checkpoint(path)
    expected, found = (one.modules["backbone"].state_dict() for one in (before, back))
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert torch.equal(
        back.modules["head"].state_dict()["0.weight"], read_module(storage, record.run, "head")["weight"]
    )
    written = path.read_bytes()
    with pytest.raises(ConfigError, match="--overwrite"):
        export(record.run, to=path, layout="point_mae_classifier", root=storage.address)
    export(record.run, to=path, layout="point_mae_classifier", overwrite=True, root=storage.address)
    again = import_checkpoint(path).report.mapped
    assert len(written) == len(path.read_bytes())
    assert list(again) == list(back.report.mapped)
    with pytest.raises(DataError, match="not to be written as Point-BERT"):
        export(record.run, to=tmp_path / "b.pth", layout="point_bert_classifier", root=storage.address)


def test_a_fresh_class_token_is_drawn_by_the_seed(storage: Storage, pretrained: Path) -> None:
    rows = {}
    for seed in (0, 0, 1):
        parent = transfer_of(storage, pretrained, fresh_class_token=True, seed=seed).pretrained
        assert isinstance(parent, ImportExperiment)
        root = {"storage": {"root": f"{storage.address}-{len(rows)}"}}
        record = run(validate(ImportExperiment, merge(parent.model_dump(mode="json"), root), "test")).record
        assert record is not None
        assert record.notes["class token"] == f"untrained, drawn by seed {seed}"
        weights = read_module(Storage(root["storage"]["root"]), record.run, "backbone")
        rows.setdefault(seed, []).append(weights["class_token"])
    assert torch.equal(*rows[0])
    assert not torch.equal(rows[0][0], rows[1][0])


def test_a_released_classifier_is_measured_with_its_own_head(storage: Storage, classifier: Path) -> None:
    manifest_names = ("a", "b", "c", "d", "e")
    settings = {
        "kind": "import",
        "path": str(classifier),
        "unstored": UNSTORED,
        "class_names": manifest_names,
        "storage": {"root": storage.address},
    }
    experiment: ImportExperiment = validate(ImportExperiment, settings, "test")
    record = run(experiment).record
    assert record is not None
    found = read_classifier(experiment, record.run, storage)
    assert found.class_names == manifest_names
    imported = import_checkpoint(classifier).modules["head"]
    assert all(torch.equal(a, b) for a, b in zip(found.head.parameters(), imported.parameters(), strict=True))
    evaluation = {"kind": "evaluate", "name": "e", "classifier": settings, "suite": {"name": "modelnet_c"}}
    with pytest.raises(ConfigError, match="give data, and num_points"):
        validate(EvaluateExperiment, evaluation, "test")
    with pytest.raises(ConfigError, match="class_names has 1 names"):
        validate(ImportExperiment, {**settings, "class_names": ["a"]}, "test")


def test_an_import_may_be_analysed(storage: Storage, pretrained: Path) -> None:
    settings = {
        "kind": "analyse",
        "name": "looked-into",
        "subjects": {"released": {"kind": "import", "path": str(pretrained), "unstored": UNSTORED}},
        "data": SCANS,
        "num_points": 48,
        "storage": {"root": storage.address},
    }
    experiment: AnalyseExperiment = validate(AnalyseExperiment, settings, "test")
    assert experiment.shown_names == ["released"]
    assert experiment.parents.keys() == {"released"}
    with pytest.raises(ConfigError, match="give the data"):
        validate(AnalyseExperiment, {**settings, "data": None}, "test")


def test_the_command_line_brings_in_and_writes_out_equal_bytes(
    storage: Storage, classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import_file(classifier, root=storage.address)
    shown = capsys.readouterr().out
    assert "mapped" in shown
    run_name = shown.split("Run: ")[1].split()[0]
    assert run_name.startswith("ckpt-best-")
    state = torch.load(classifier)["base_model"]
    for name in ("back.pth", "back.safetensors"):
        export(run_name, to=tmp_path / "out" / name, root=storage.address)
        back = import_checkpoint(tmp_path / "out" / name)
        assert back.report.mapped.keys() == state.keys()
    written = torch.load(tmp_path / "out" / "back.pth")["base_model"]
    assert written.keys() == state.keys()
    assert all(torch.equal(written[key], state[key]) for key in state)
    assert "Nothing is left out." in (tmp_path / "out" / "back.pth.md").read_text()
    (tmp_path / "notes.pth.md").write_text("mine")
    with pytest.raises(PointlabError, match="no card of ours"):
        export(run_name, to=tmp_path / "notes.pth", root=storage.address)
    assert not (tmp_path / "notes.pth").exists()
    import_file(classifier, root=storage.address)
    assert "Imported before" in capsys.readouterr().out
