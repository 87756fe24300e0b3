"""Files are read without executing anything, and what is wrong with one is said."""

import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import released
import torch
from released import TINY
from safetensors.torch import save_file

from pointlab.errors import DataError, PointlabError
from pointlab.official import export_checkpoint, import_checkpoint, write_checkpoint
from pointlab.official.exporting import write_aside
from pointlab.official.reading import read_checkpoint

WEIGHTS = {"module.norm.weight": torch.ones(3), "module.norm.bias": torch.zeros(3)}


class Command:
    """A pickle that runs a command when it is loaded as usual."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self.command,)


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_released_file_is_read_with_its_numpy_metrics(tmp_path: Path, is_zip: bool) -> None:
    content = {
        "base_model": OrderedDict(WEIGHTS),
        "optimizer": {"state": {0: {"step": 5, "exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 1e-3}]},
        "epoch": 275,
        "metrics": {"acc": np.float64(0.5), "all": np.arange(3.0)},
        "best_metrics": {"acc": np.float32(92.5), "other": torch.tensor(1.0), "count": np.int64(3)},
    }
    path = tmp_path / "ckpt-best.pth"
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    stored = read_checkpoint(path)
    assert stored.weights.keys() == {"norm.weight", "norm.bias"}
    assert torch.equal(stored.weights["norm.weight"], torch.ones(3))
    assert stored.notes["epoch"] == "275"
    assert stored.notes["best acc"] == "92.5"
    assert stored.notes["best count"] == "3.0"


@pytest.mark.parametrize("wrapper", ["model", "model_state_dict", "state_dict", None])
def test_weights_are_found_where_files_keep_them(tmp_path: Path, wrapper: str | None) -> None:
    torch.save({wrapper: WEIGHTS, "epoch": 1} if wrapper else WEIGHTS, tmp_path / "a.pth")
    assert read_checkpoint(tmp_path / "a.pth").weights.keys() == {"norm.weight", "norm.bias"}


@pytest.mark.parametrize("place", ["base_model", "metrics"])
def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(tmp_path: Path, place: str) -> None:
    trace = tmp_path / "trace"
    torch.save({"base_model": WEIGHTS, place: Command(f"touch {trace}")}, tmp_path / "evil.pth")
    with pytest.raises(DataError, match=r"asks to run \w+\.system"):
        read_checkpoint(tmp_path / "evil.pth")
    assert not trace.exists()


def test_safetensors_hold_the_same(tmp_path: Path) -> None:
    state = released.filled(released.point_mae_classifier(TINY))
    save_file(state, tmp_path / "model.safetensors")
    imported = import_checkpoint(tmp_path / "model.safetensors")
    assert imported.report.mapped.keys() == state.keys()


def test_safetensors_are_told_from_pickles_whatever_length_they_begin_with(tmp_path: Path) -> None:
    path, beginnings = tmp_path / "model.safetensors", set()
    for padding in range(0, 256, 8):
        save_file(WEIGHTS, path, metadata={"padding": padding * "x"})
        beginnings.add(path.read_bytes()[:1])
        assert read_checkpoint(path).weights.keys() == {"norm.weight", "norm.bias"}
    assert b"\x80" in beginnings  # as a pickle begins


def test_half_precision_becomes_float32_and_is_told() -> None:
    state = released.filled(released.point_mae_classifier(TINY))
    state["norm.weight"] = state["norm.weight"].half()
    imported = import_checkpoint(state)
    assert imported.report.converted == {"norm.weight": "stored as float16, here float32"}
    assert imported.modules["backbone"].state_dict()["norm.weight"].dtype == torch.float32


def test_weights_that_are_not_finite_are_refused() -> None:
    state = released.filled(released.point_mae_classifier(TINY))
    state["norm.weight"][3] = torch.nan
    with pytest.raises(DataError, match=r"norm\.weight holds numbers that are not finite"):
        import_checkpoint(state)


@pytest.mark.parametrize(
    "strange",
    [
        torch.ones(128).to_sparse(),
        torch.ones(128, device="meta"),
        torch.ones(128).to(torch.float8_e4m3fn),
        torch.ones(128, dtype=torch.complex64),
        torch.ones(128, dtype=torch.int8),
        torch.ones(128, dtype=torch.int64),
    ],
    ids=lambda tensor: f"{tensor.device.type}-{tensor.layout}-{tensor.dtype}",
)
def test_weights_that_are_no_plain_fractions_are_refused(strange: torch.Tensor) -> None:
    state = released.filled(released.point_mae_classifier(TINY))
    with pytest.raises(DataError, match=r"norm\.weight is stored"):
        import_checkpoint({**state, "norm.weight": strange})


def test_what_would_unfold_in_memory_is_refused(tmp_path: Path) -> None:
    path, zeros = tmp_path / "zeros.pth", {"base_model": {"norm.weight": torch.zeros(50_000)}}
    torch.save({"base_model": {"norm.weight": torch.zeros(1).expand(50_000)}}, path)
    with pytest.raises(DataError, match=r"norm\.weight, which would take more memory"):
        read_checkpoint(path)
    torch.save(zeros, path)
    with (
        zipfile.ZipFile(path) as plain,
        zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in plain.namelist():
            bomb.writestr(name, plain.read(name))
    with pytest.raises(DataError, match="unfolds to more than 100,000 bytes"):
        read_checkpoint(tmp_path / "a.pth", max_bytes=100_000)


def test_files_of_other_kinds_are_named(tmp_path: Path) -> None:
    names = {"data/data.pkl": "TorchScript", "words.txt": r"a zip of words\.txt"}
    for number, (name, kind) in enumerate(names.items()):
        with zipfile.ZipFile(tmp_path / f"{number}.pth", "w") as archive:
            archive.writestr(name, b"")
            if number == 0:
                archive.writestr("data/constants.pkl", b"")
        with pytest.raises(DataError, match=kind):
            read_checkpoint(tmp_path / f"{number}.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps({"norm.weight": [1.0]}, protocol=4))
    with pytest.raises(DataError, match="a pickle of protocol 4") as caught:
        read_checkpoint(tmp_path / "plain.pth")
    assert "weights_only" not in str(caught.value)


def test_notes_are_numbers_and_short_texts(tmp_path: Path) -> None:
    said = {"epoch": torch.tensor([3]), "text": "x" * 500, "large": 10**70, "rows": torch.ones(2)}
    torch.save({"base_model": WEIGHTS, **said}, tmp_path / "a.pth")
    notes = read_checkpoint(tmp_path / "a.pth").notes
    assert notes.keys() == {"epoch", "text"}
    assert notes["epoch"] == "3"
    assert len(notes["text"]) == 101


def half_written(path: Path) -> None:
    path.write_bytes(b"half")
    raise OSError("no room")


def test_a_checkpoint_is_replaced_only_by_a_whole_one(tmp_path: Path) -> None:
    exported = export_checkpoint(import_checkpoint(released.filled(released.point_mae_classifier(TINY))))
    for name in ("a.pth", "a.safetensors"):
        (tmp_path / name).mkdir()
        with pytest.raises(PointlabError, match=f"{name} cannot be written"):
            write_checkpoint(exported, tmp_path / name)
    path = tmp_path / "old.pth"
    path.write_bytes(b"old")
    with pytest.raises(PointlabError, match="cannot be written"):
        write_aside(path, half_written)
    assert path.read_bytes() == b"old"
    assert {each.name for each in tmp_path.iterdir()} == {"a.pth", "a.safetensors", "old.pth"}


def test_damaged_files_are_named_as_such(tmp_path: Path) -> None:
    whole = tmp_path / "whole.pth"
    torch.save({"base_model": WEIGHTS}, whole)
    save_file(WEIGHTS, tmp_path / "whole.safetensors")
    beginnings = {
        "cut.pth": whole.read_bytes()[:-200],
        "garbage.pth": b"\x80\x02" + bytes(range(7, 250)),
        "cut.safetensors": (tmp_path / "whole.safetensors").read_bytes()[:-4],
        "page.pth": b"<html><body>404</body></html>",
        "empty.pth": b"",
    }
    for name, content in beginnings.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=rf"{name} is (damaged|no checkpoint)") as caught:
            read_checkpoint(tmp_path / name)
        assert "weights_only" not in str(caught.value)


def test_files_that_are_absent_or_too_large_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_checkpoint(tmp_path / "nothing.pth")
    torch.save(WEIGHTS, tmp_path / "large.pth")
    with pytest.raises(DataError, match="at most 100"):
        read_checkpoint(tmp_path / "large.pth", max_bytes=100)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"base_model": WEIGHTS, "model": WEIGHTS}, "several"),
        ({"base_model": {"norm.weight": 3}}, r"no tensor at norm\.weight"),
        ([1, 2], "a list"),
        ({"module.norm.weight": torch.ones(1), "norm.weight": torch.ones(1)}, "twice"),
    ],
)
def test_files_without_clear_weights_are_refused(tmp_path: Path, content: Any, found: str) -> None:
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(DataError, match=found):
        read_checkpoint(tmp_path / "odd.pth")
