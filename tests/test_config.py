"""One YAML file, one strict model: overrides reach everything, and mistakes are named all at once."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from conftest import PRETRAIN, SHAPES, TRANSFER
from pointlab.config import StrictModel, apply_overrides, dump, merge, read_yaml, validate
from pointlab.errors import ConfigError
from pointlab.experiment import Experiment, RetrieveExperiment
from pointlab.experiment.search.space import Choice
from pointlab.transfer import MixtureConfig


class Inner(StrictModel):
    """A nested model."""

    rate: float = 1.0
    name: str = "a"


class Outer(StrictModel):
    """The model of a file."""

    inner: Inner = Inner()
    steps: int = 3


class Outermost(StrictModel):
    """Models within a model, and by names of the user's own."""

    outer: Outer | None = None
    named: dict[str, Outer] = Field(default={})


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_file_extends_another_and_overrides_it(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "steps: 5\ninner: {rate: 2.0, name: b}\n")
    path = write(tmp_path / "own.yaml", "extends: base.yaml\ninner: {rate: 3.0}\n")
    assert read_yaml(path) == {"steps": 5, "inner": {"rate": 3.0, "name": "b"}}


def test_a_nested_mapping_extends_a_file_too(tmp_path: Path) -> None:
    write(tmp_path / "part.yaml", "rate: 2.0\n")
    path = write(tmp_path / "own.yaml", "inner: {extends: part.yaml, name: c}\n")
    assert read_yaml(path) == {"inner": {"rate": 2.0, "name": "c"}}


def test_a_mapping_that_names_another_file_replaces_that_of_the_file_below(tmp_path: Path) -> None:
    write(tmp_path / "part.yaml", "rate: 2.0\n")
    write(tmp_path / "base.yaml", "outer: {inner: {name: b, layers: 3}, steps: 5}\nother: {name: o}\n")
    own = "extends: base.yaml\nouter: {inner: {extends: part.yaml, size: 1}}\nother: {size: 1}\n"
    assert read_yaml(write(tmp_path / "own.yaml", own)) == {
        "outer": {"inner": {"rate": 2.0, "size": 1}, "steps": 5},
        "other": {"name": "o", "size": 1},
    }


def test_a_file_extends_one_that_extends_another(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    write(tmp_path / "below" / "a.yaml", "inner: {rate: 1.0}\nname: a\n")
    write(tmp_path / "b.yaml", "extends: below/a.yaml\nname: b\n")
    assert read_yaml(write(tmp_path / "c.yaml", "extends: b.yaml\n")) == {"inner": {"rate": 1.0}, "name": "b"}


def test_files_that_extend_each_other_are_refused_and_named(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "inner: {extends: b.yaml}\n")
    write(tmp_path / "b.yaml", "inner: {extends: a.yaml}\n")
    with pytest.raises(ConfigError, match=r"a\.yaml extends .*b\.yaml extends .*a\.yaml"):
        read_yaml(tmp_path / "a.yaml")


def test_a_file_that_is_not_there_is_named_with_the_one_that_extends_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no configuration file .*gone\.yaml, which .*own\.yaml extends"):
        read_yaml(write(tmp_path / "own.yaml", "extends: gone.yaml\n"))


def test_another_kind_replaces_a_mapping_instead_of_merging() -> None:
    merged = merge({"source": {"kind": "a", "size": 1}}, {"source": {"kind": "b"}})
    assert merged == {"source": {"kind": "b"}}


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("1e-3", 1e-3), ("null", None), ("[1, 2]", [1, 2]), ("true", True), ("x", "x"), ("", None)],
)
def test_overrides_read_values_as_yaml(text: str, value: object) -> None:
    assert apply_overrides({"a": {"c": 1}}, [f"a.b={text}"]) == {"a": {"c": 1, "b": value}}


@pytest.mark.parametrize("assignment", ["base={extends: FILE, b: 3}", "base.extends=FILE"])
def test_an_override_extends_a_file_below_the_working_directory(
    assignment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.yaml").write_text("a: 1\nb: 2\n")
    found = apply_overrides({"base": {"a": 0, "c": 4}}, [assignment.replace("FILE", "base.yaml")])
    assert found == {"base": {"a": 1, "b": 3 if "b:" in assignment else 2}}, "nothing of what was there"
    with pytest.raises(ConfigError, match=r"no configuration file absent\.yaml, which --set extends"):
        apply_overrides({}, ["base.extends=absent.yaml"])


def test_a_parent_named_by_its_run_is_told_how_it_is_given() -> None:
    mapping = {"kind": "retrieve", "data": {}, "pretrained": "mine-0123456789-s0"}
    with pytest.raises(ConfigError, match=r"pretrained: expected an experiment, .*\{extends: FILE\}"):
        validate(RetrieveExperiment, mapping, "test")


def test_an_override_without_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"a\.b.*dotted path and a value"):
        apply_overrides({}, ["a.b"])


def test_a_hash_is_a_text_even_if_it_could_be_a_number() -> None:
    for text in ("1" * 64, "1e" + "0" * 62):
        assert apply_overrides({}, [f"sha256={text}"]) == {"sha256": text}


def test_a_key_of_another_kind_is_told_with_that_kind() -> None:
    settings = {**PRETRAIN, "image_teacher": {"kind": "teacher", "path": "x"}}
    with pytest.raises(ConfigError, match=r"image_teacher\.path: unknown key .*; the kind folder has it"):
        validate(Experiment, settings, "x.yaml")


def test_a_teacher_without_a_hash_is_told_how_to_compute_it() -> None:
    settings = {**PRETRAIN, "image_teacher": {"kind": "folder", "path": "nets/resnet"}}
    with pytest.raises(ConfigError, match=r"sha256sum nets/resnet/model\.safetensors"):
        validate(Experiment, settings, "x.yaml")


def test_all_mistakes_are_shown_at_once_with_the_nearest_key() -> None:
    with pytest.raises(ConfigError) as caught:
        validate(Outer, {"stesp": 1, "steps": "many", "inner": {"rte": 1}}, "x.yaml")
    text = str(caught.value)
    assert "3 mistake(s)" in text
    assert "stesp: unknown key; did you mean 'steps'?" in text
    assert "inner.rte: unknown key; did you mean 'rate'?" in text
    assert "'many'" in text


def test_a_wrong_type_is_told_once_in_words_and_takes_no_other_mistake_with_it() -> None:
    with pytest.raises(ConfigError) as caught:
        validate(Choice, {"kind": "choice", "values": [[1]]}, "x.yaml")
    (mistake,) = [line for line in str(caught.value).splitlines() if line.startswith("  - ")]
    assert (
        mistake == "  - values.0: expected a number or a whole number or a text or true or false (found [1])"
    )
    with pytest.raises(ConfigError, match=r"coefficients: expected a list \(found 0\.3\)"):
        validate(MixtureConfig, {"coefficients": 0.3}, "x.yaml")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"outer": {"rate": 2}}, "outer.rate: unknown key; did you mean 'outer.inner.rate'?"),
        (
            {"named": {"mine": {"rate": 2}}},
            "named.mine.rate: unknown key; did you mean 'named.mine.inner.rate'?",
        ),
        ({"named": {"mine": {"stesp": 2}}}, "named.mine.stesp: unknown key; did you mean 'steps'?"),
        ({"outer": 0.5}, "outer: expected a mapping with some of the keys inner, steps (found 0.5)"),
    ],
)
def test_a_key_at_the_wrong_depth_is_told_where_it_belongs(settings: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(Outermost, settings, "x.yaml")
    assert told in str(caught.value)


def test_a_model_round_trips(tmp_path: Path) -> None:
    model = Outer(inner=Inner(rate=1e-7, name="yes"), steps=9)
    path = write(tmp_path / "dumped.yaml", dump(model))
    assert validate(Outer, read_yaml(path), str(path)) == model


@pytest.mark.parametrize("text", ["- 1\n", "a: [1\n", "just text\n", ""])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"own\.yaml"):
        read_yaml(write(tmp_path / "own.yaml", text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no configuration file .*gone\.yaml"):
        read_yaml(tmp_path / "gone.yaml")


@pytest.mark.parametrize(
    "settings",
    [{"kind": "prepare", "data": SHAPES}, PRETRAIN, TRANSFER],
    ids=lambda settings: settings["kind"],
)
def test_a_setting_of_the_launch_does_not_move_an_experiment_off_ray(settings: dict[str, Any]) -> None:
    rest = {key: value for key, value in settings.items() if key != "launch"}
    for launch in ({}, {"launch": {"strict": True}}, {"launch": {"num_workers": 2}}):
        assert validate(Experiment, rest | launch, "test").launch.kind == "ray"
    assert validate(Experiment, rest | {"launch": {"kind": "local"}}, "test").launch.kind == "local"
