"""A transfer may start from a finished transfer, and a study asks the same of backbones before and after."""

from typing import Any

import pytest

from conftest import PRETRAIN, SCANS, SHAPES, SPARSE, TRANSFER
from pointlab.config import merge, validate
from pointlab.errors import ConfigError
from pointlab.experiment import AnalyseExperiment, TransferExperiment
from pointlab.experiment.lineage import in_one_process, make_lineage_definite
from pointlab.experiment.overlap import note_on_overlap
from pointlab.experiment.resolve import FINE_TUNED
from pointlab.launch import resolve, run
from pointlab.launch.forecast import forecast
from pointlab.storage import Record, Storage, read_manifest
from pointlab.study import EARLIER_TRANSFER, PRETRAINING, foresee
from pointlab.study.planning import Plan, make_plan
from tiny_study import tiny_study

TARGET = {key: value for key, value in TRANSFER.items() if key != "mixture"}
FULL = merge(TARGET, {"protocol": "full", "name": "fine-tuned"})
PROXY = {
    "kind": "transfer",
    "name": "proxy",
    "pretrained": FULL,
    "data": SHAPES,
    "num_points": 48,
    "protocol": "linear_svm",
    "svm": {"strengths": [0.1]},
    "launch": {"kind": "local"},
}
OF_TARGET = {key: TARGET[key] for key in ("data", "num_points", "training")}
STARTS = {
    "scratch": None,
    "supervised": {"paradigm": {"kind": "supervised"}},
    "tuned": {"of": "supervised", "protocol": "full", **OF_TARGET},
    "mixed": {
        "of": "supervised",
        "protocol": "wise_ft_lp",
        **OF_TARGET,
        "mixture": {"coefficients": [0.5]},
        "probe": {"penalties": [0.1], "max_iterations": 5},
    },
}
PROXIES: dict[str, Any] = {
    "starts": STARTS,
    "baseline": "supervised",
    "routes": {"to-scans": {"transfer": {"data": SPARSE}}},
    "protocols": {
        "svm": {"protocol": "linear_svm", "svm": {"strengths": [0.1]}},
        "few-shot": {"protocol": "few_shot", "few_shot": {"folds": 2, "ways": 3, "shots": 2, "queries": 1}},
    },
    "exclude": [{"protocol": "probe"}],
    "samples_per_class": [None],
}


def proxy_of(**changes: Any) -> TransferExperiment:
    experiment: TransferExperiment = validate(TransferExperiment, merge(PROXY, changes), "test")
    return experiment


def lineage(experiment: TransferExperiment) -> list[str]:
    sets = {role: f"set-{config.recipe()}" for role, config in experiment.datasets.items()}
    return [resolved.run for resolved in make_lineage_definite(experiment, sets)]


def backbone_of(storage: Storage, run: str) -> str:
    """The hash of the weights that the run left."""
    manifest = read_manifest(storage, f"runs/{run}/model")
    assert manifest is not None
    return manifest.files["backbone.safetensors"].sha256


def record_of(experiment: Any) -> Record:
    record = run(experiment).record
    assert record is not None
    return record


def test_a_transfer_of_a_transfer_takes_the_backbone_that_this_one_left(storage: Storage) -> None:
    """Fine-tuned, and not pretrained; a frozen protocol then leaves it as it is."""
    record = record_of(proxy_of(storage={"root": storage.address}))
    before = resolve(validate(TransferExperiment, FULL, "test"), storage)
    assert record.parents == {"pretrained": before.run}
    assert record.datasets.keys() == {"data", "pretrained", "pretrained/shifted", "pretrained/pretrained"}
    left = backbone_of(storage, record.run)
    assert left == backbone_of(storage, before.run)
    assert left != backbone_of(storage, before.parents["pretrained"])


def test_its_lineage_goes_down_to_the_pretraining_through_mixtures_too() -> None:
    mixed = proxy_of(pretrained=TRANSFER)
    assert lineage(proxy_of())[-2:] == [
        lineage(validate(TransferExperiment, FULL, "t"))[-1],
        lineage(proxy_of())[-1],
    ]
    *_, tuned, mixture, proxy = lineage(mixed)
    assert [tuned, mixture] == lineage(validate(TransferExperiment, TRANSFER, "test"))[-2:]
    assert proxy != lineage(proxy_of())[-1]
    assert mixed.parents["pretrained"].parents.keys() == {"pretrained", FINE_TUNED}


def test_what_the_earlier_transfer_learned_counts_and_how_it_is_called_does_not() -> None:
    same = proxy_of(pretrained={"name": "renamed", "launch": {"max_failures": 1}})
    assert lineage(same)[-1] == lineage(proxy_of())[-1]
    for change in ({"seed": 1}, {"training": {"epochs": 1}}, {"data": SPARSE}):
        assert lineage(proxy_of(pretrained=change))[-1] != lineage(proxy_of())[-1]


def test_everything_before_it_runs_in_the_process_of_one_that_is_to() -> None:
    on_ray = proxy_of(pretrained={"launch": {"kind": "ray"}, "pretrained": {"launch": {"kind": "ray"}}})
    here = in_one_process(on_ray)
    assert here.pretrained.launch.kind == here.pretrained.pretrained.launch.kind == "local"


def test_a_dry_run_names_the_whole_chain(storage: Storage) -> None:
    needed = {each.roles: each for each in forecast(proxy_of(pretrained=TRANSFER), storage)}
    roles = ("pretrained", "pretrained/fine_tuned", "pretrained/pretrained")
    found = {role: next(each for named, each in needed.items() if role in named) for role in roles}
    assert found["pretrained"].name.startswith("tiny-transfer")
    assert found["pretrained/fine_tuned"].name.startswith("fine-tuned-patch-transformer-on-scans")


def test_a_dry_run_says_where_the_root_of_a_missing_set_is_given(storage: Storage) -> None:
    released = {"name": "released", "source": {"kind": "scanobjectnn"}}
    needed = forecast(proxy_of(pretrained=TRANSFER, data=released), storage)
    (found,) = [each for each in needed if each.name == "released"]
    assert found.state == "missing, and no root is given: set data.root to the folder that holds its files"
    assert not found.is_to_be_had


def test_drop_path_is_that_of_the_pretraining_also_at_the_end_of_a_chain() -> None:
    """A transfer sets it for itself alone; patches, which networks are used with, are handed on."""
    earlier = merge(FULL, {"drop_path_rate": 0.3, "num_groups": 12})
    again = merge(FULL, {"name": "again"}) | {"pretrained": earlier}
    last = merge(FULL, {"name": "last"}) | {"pretrained": again}
    pretrained = validate(TransferExperiment, FULL, "test").architecture.model_dump()
    for chain in (again, last):
        found = validate(TransferExperiment, chain, "test").architecture.model_dump()
        assert found["drop_path_rate"] == pretrained["drop_path_rate"] != 0.3
        assert found["num_groups"] == 12 != pretrained["num_groups"]


def test_clouds_that_an_earlier_transfer_was_trained_on_are_counted_in_validation() -> None:
    other_split = merge(SHAPES, {"validation_fraction": 0.0})
    assert note_on_overlap(proxy_of()) == {}
    told = note_on_overlap(proxy_of(pretrained={"data": other_split, "shifted": None}))
    assert told["validation"].startswith("16 of 16 clouds show objects that the start was trained on")
    probed = {"data": other_split, "shifted": None, "protocol": "linear_probe"}
    assert note_on_overlap(proxy_of(pretrained=probed)) == {}


def test_an_analysis_shows_the_earlier_transfer_as_what_it_started_from(storage: Storage) -> None:
    settings = {
        "kind": "analyse",
        "name": "look",
        "subjects": {"proxy": PROXY},
        "storage": {"root": storage.address},
    }
    resolved = resolve(validate(AnalyseExperiment, settings, "test"), storage)
    earlier = resolve(validate(TransferExperiment, FULL, "test"), storage)
    assert resolved.parents["proxy-pretrained"] == earlier.run


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"pretrained": {"protocol": "few_shot", "few_shot": {"ways": 3}}},
            "pretrained is a transfer by protocol few_shot, which leaves no backbone",
        ),
        ({"protocol": "zero_shot"}, "pretrained is a transfer, which leaves no projections"),
        ({"pretrained": {"protocol": "wise_tf"}}, "protocol"),
    ],
)
def test_starts_that_give_nothing_are_refused_when_a_transfer_is_written(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        proxy_of(**changes)


def plan_of(storage: Storage, **changes: Any) -> Plan:
    study = tiny_study(storage, **merge(PROXIES, changes))
    sets = {role: f"{config.name}-{config.recipe()}" for role, config in study.datasets.items()}
    return make_plan(study, sets, storage)


def test_starts_of_a_study_may_be_transfers_of_others_which_share_their_fine_tuning(storage: Storage) -> None:
    """Four starts, two protocols: a pretraining, a fine-tuning that is also mixed, a mixture, the cells."""
    plan = plan_of(storage)
    assert len(plan.cells) == 4 * 2
    assert len(plan.steps) == len(plan.cells) + 3
    by_start = {cell.levels.start: plan.steps[run] for run, cell in plan.cells.items()}
    tuned, mixed = (plan.steps[by_start[start].parents[0]].resolved for start in ("tuned", "mixed"))
    assert mixed.parents == {"pretrained": tuned.parents["pretrained"], FINE_TUNED: tuned.run}
    assert by_start["supervised"].parents == (tuned.parents["pretrained"],)
    runs = list(plan.steps)
    assert all(runs.index(parent) < at for at, run in enumerate(runs) for parent in plan.steps[run].parents)
    study = tiny_study(storage, **PROXIES)
    counted = {start: extents for (start, _), extents in foresee(study, storage).items()}
    assert counted["supervised"][PRETRAINING].total == counted["tuned"][EARLIER_TRANSFER].total == 1


def test_a_start_that_is_also_a_cell_is_made_once(storage: Storage) -> None:
    """Under its own name as a cell: with it and without it, it is one run."""
    alike = {
        "protocols": {"full": {"protocol": "full"}},
        "routes": {"back": {"pretrain": {"data": SHAPES, "num_points": 48}, "transfer": OF_TARGET}},
    }
    only = [
        {"route": "to-scans", "protocol": "svm"},
        {"route": "back", "protocol": "full", "start": ["scratch", "supervised"]},
    ]
    plan = plan_of(storage, **alike, only=only, exclude=[{"protocol": "probe"}])
    (full,) = (
        run
        for run, cell in plan.cells.items()
        if (cell.levels.protocol, cell.levels.start) == ("full", "supervised")
    )
    started = ((run, cell) for run, cell in plan.cells.items() if cell.levels.start != "scratch")
    after = {cell.levels.start: plan.steps[run].parents[0] for run, cell in started}
    assert after["tuned"] == full
    assert plan.steps[after["mixed"]].resolved.parents[FINE_TUNED] == full
    assert len(plan.steps) == len(plan.cells) + 2  # the pretraining and the mixture


def test_a_study_tells_what_fine_tuning_does_to_a_backbone(storage: Storage) -> None:
    """Starts in rows, proxies in columns, each against the backbone as it was before."""
    record = record_of(tiny_study(storage, **PROXIES))
    rows = {(row["start"], row["protocol"]): row for row in record.curves["comparison"]}
    assert rows.keys() == {
        (start, p) for start in ("scratch", "supervised", "tuned", "mixed") for p in ("svm", "few-shot")
    }
    for (start, _), row in rows.items():
        assert (row["difference"] == "") == (start == "supervised")
    cells = {row["start"]: row for row in record.curves["cells"]}
    assert cells["tuned"]["pretraining_steps"] != 0.0
    assert cells["mixed"]["pretraining_steps"] == 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"starts": {"tuned": {"of": "supervized"}}}, "starts.tuned.of is 'supervized', but starts has only"),
        (
            {"starts": {"tuned": {"of": "mixed"}, "mixed": {"of": "tuned"}}},
            "starts go in a circle, tuned of mixed of",
        ),
        (
            {"starts": {"tuned": {"pretrained": PRETRAIN}}},
            "starts.tuned sets pretrained, which the study says",
        ),
        ({"starts": {"supervised": {"data": SCANS}}}, "starts.supervised sets data, which the study says"),
        (
            {"adjustments": [{"where": {"start": "tuned"}, "pretraining": {"training": {"epochs": 3}}}]},
            r"adjustments\[0\].pretraining is for tuned, which starts from a transfer: say it for supervised",
        ),
    ],
)
def test_mistakes_in_chains_of_starts_are_found_before_anything_is_made(
    storage: Storage, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny_study(storage, **merge(PROXIES, changes))
