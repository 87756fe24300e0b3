"""What was trained here is written as papers have released it, and comes back as it was."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from conftest import PRETRAIN
from pointlab.backbones.patches import Patches
from pointlab.cli.official import export, import_file
from pointlab.config import merge, validate
from pointlab.errors import ConfigError, StorageError
from pointlab.experiment import PretrainExperiment
from pointlab.experiment.exported import export_run
from pointlab.experiment.providers import build_providers
from pointlab.experiment.resolve import Resolved
from pointlab.launch import resolve, run
from pointlab.objectives.targets import Latents
from pointlab.official import Unstored, import_checkpoint, write_checkpoint
from pointlab.official.card import card_of
from pointlab.storage import Storage
from tiny_act import tiny_act

Finished = tuple[Path, dict[str, str], Any]


def latents_of(resolved: Resolved[PretrainExperiment], storage: Storage) -> Latents:
    network = build_providers(resolved, storage)["latents"]
    assert isinstance(network, Latents)
    return network


def said_of(latents: Latents) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    neighbourhoods = torch.rand((2, 8, 4, 3), generator=generator) - 0.5
    centres = torch.rand((2, 8, 3), generator=generator)
    said: torch.Tensor = latents(Patches(centres, neighbourhoods, torch.zeros(2, 8, 4, dtype=torch.int64)))
    return said


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_stage_one_trained_here_goes_out_with_its_teacher_and_teaches_again(
    stored: Storage,
    finished: Finished,
    tmp_path: Path,
    suffix: str,
) -> None:
    path, runs = tmp_path / f"stage-one{suffix}", finished[1]
    export(runs["one"], to=path, root=stored.address)
    imported = import_checkpoint(path)
    assert imported.layout == "act_autoencoder"
    with pytest.raises(ConfigError, match=r"unstored.teacher_heads is 1, but the file says .* with 2"):
        import_checkpoint(path, unstored=Unstored(teacher_heads=1))
    assert imported.unstored.said == {
        "num_groups": 8,
        "group_size": 4,
        "skip_near_origin": False,
        "teacher_heads": 2,
    }
    mine = resolve(tiny_act(stored), stored)
    other = resolve(brought_in(stored, path), stored)
    assert other.parents["latents"].startswith("imported-")
    torch.testing.assert_close(
        said_of(latents_of(other, stored)), said_of(latents_of(mine, stored)), rtol=0, atol=1e-5
    )
    assert run(brought_in(stored, path)).record is not None


def brought_in(storage: Storage, path: Path, **backbone: Any) -> PretrainExperiment:
    """Stage II on the stage I in a file."""
    settings = tiny_act(storage).model_dump(mode="json") | {"latents": {"kind": "import", "path": str(path)}}
    found: PretrainExperiment = validate(PretrainExperiment, merge(settings, {"backbone": backbone}), "test")
    return found


def test_a_stage_two_goes_out_with_its_stage_one_and_an_import_of_it_is_no_stage_one(
    stored: Storage,
    finished: Finished,
    tmp_path: Path,
) -> None:
    exported, _ = export_run(stored, finished[1]["two"], "act_pretrain")
    assert not exported.left_out
    assert exported.unstored.decoder_heads == 2
    write_checkpoint(exported, tmp_path / "two.pth")
    imported = import_checkpoint(tmp_path / "two.pth")
    assert imported.modules.keys() == {"backbone", "decoder", "to_latents", "latents"}
    with pytest.raises(ConfigError, match="layout act_pretrain, which is no stage I"):
        brought_in(stored, tmp_path / "two.pth")


def test_a_stage_one_without_its_teacher_still_goes_out_and_says_so_when_it_is_to_teach(
    stored: Storage,
    finished: Finished,
    tmp_path: Path,
) -> None:
    exported, details = export_run(stored, finished[1]["one"], "act_autoencoder")
    card = card_of("one", exported, details)
    assert f"- Clouds in training: of {details['num_points']} points." in card
    assert f"- teacher: weights of the sha256 {details['teacher']['sha256']}." in card
    weights = {name: tensor for name, tensor in exported.weights.items() if "visual_embed" not in name}
    torch.save({"base_model": weights, "pointlab": exported.unstored.said}, tmp_path / "alone.pth")
    assert import_checkpoint(tmp_path / "alone.pth").modules.keys() == {"backbone", "autoencoder"}
    resolved = resolve(brought_in(stored, tmp_path / "alone.pth"), stored)
    with pytest.raises(ConfigError, match="came without the transformer"):
        build_providers(resolved, stored)
    with pytest.raises(ConfigError, match=r"backbone.group_size is 2, but latents.unstored.group_size is 4"):
        brought_in(stored, tmp_path / "alone.pth", group_size=2)


def test_an_export_tells_what_no_tensor_does_and_an_import_what_it_assumed(
    storage: Storage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {
        "backbone": {"num_groups": 6, "num_heads": 4},
        "paradigm": {"kind": "masked", "decoder": {"num_heads": 2}},
        "training": {"epochs": 1},
        "storage": {"root": storage.address},
    }
    trained: PretrainExperiment = validate(PretrainExperiment, merge(PRETRAIN, changes), "test")
    record = run(trained).record
    assert record is not None
    path = tmp_path / "out" / "masked.safetensors"
    export(record.run, to=path, layout="point_mae_pretrain", root=storage.address)
    import_file(path, root=storage.address)
    assert "assumed" not in capsys.readouterr().out
    found = import_checkpoint(path)
    told = trained.backbone.model_dump(exclude={"class_token", "drop_path_rate"})
    assert found.backbone_config.model_dump(exclude={"class_token", "drop_path_rate"}) == told
    assert found.unstored.decoder_heads == 2
    bare = tmp_path / "bare.pth"
    torch.save({"base_model": load_file(path)}, bare)
    import_file(bare, overrides=["unstored.num_heads=4"], root=storage.address)
    assumed = " ".join(capsys.readouterr().out.split()).split("assumed")[1]
    assert "num_groups 64" in assumed
    assert "--set unstored.num_groups" in assumed
    assert "num_heads" not in assumed
    assert "group_size" not in assumed  # as many as the decoder rebuilds
    with pytest.raises(StorageError, match="There is no run 'nobody-s0'"):
        export("nobody-s0", to=tmp_path / "a.pth", root=storage.address)
