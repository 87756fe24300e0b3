"""The few-shot table: over folds as papers report it, and over seeds beside."""

from statistics import fmean, stdev

from pointlab.report.collect import Material
from pointlab.report.few_shot import few_shot_sections
from pointlab.storage import Record

FOLDS = {0: (0.5, 0.7, 0.9), 1: (0.4, 0.6, 0.5)}


def folded(name: str, setting: str, seed: int) -> Record:
    accuracies = FOLDS[seed]
    return Record(
        run=f"{name}-0123456789-s{seed}",
        kind="transfer",
        name=name,
        seed=seed,
        protocol=f"few_shot/{setting}/svm",
        config={},
        code_version="",
        metrics={"test/accuracy": fmean(accuracies), "test/accuracy_std": stdev(accuracies)},
        curves={"folds": [{"fold": float(n), "test/accuracy": each} for n, each in enumerate(accuracies)]},
    )


def test_spreads_over_folds_and_over_seeds_are_told_apart() -> None:
    records = tuple(folded("start", "5-way-10-shot", seed) for seed in FOLDS)
    (section,) = few_shot_sections(Material(records, records, {}, {}))
    (row,) = section.rows
    means, spreads = ([measure(folds) for folds in FOLDS.values()] for measure in (fmean, stdev))
    assert row.over_folds.startswith(f"{100 * fmean(means):.1f} ± {100 * fmean(spreads):.1f}")
    assert row.over_seeds == f"± {100 * stdev(means):.1f}\N{NO-BREAK SPACE}% (2)"
    assert (row.setting, row.head, row.split) == ("5 way 10 shot", "linear SVM", "target test")


def test_one_seed_has_no_spread_over_seeds() -> None:
    record = folded("start", "5-way-10-shot", 0)
    ((row,),) = (section.rows for section in few_shot_sections(Material((record,), (record,), {}, {})))
    assert row.over_seeds == "one seed"


def test_settings_come_by_their_numbers() -> None:
    settings = ("10-way-10-shot", "5-way-20-shot", "5-way-10-shot")
    records = tuple(folded(f"of-{setting}", setting, 0) for setting in settings)
    (section,) = few_shot_sections(Material(records, records, {}, {}))
    assert [row.setting for row in section.rows] == ["5 way 10 shot", "5 way 20 shot", "10 way 10 shot"]


def test_what_has_habits_of_released_code_has_a_table_of_its_own() -> None:
    record = folded("start", "5-way-10-shot", 0)
    legacy = record.model_copy(update={"run": "legacy-s0", "protocol": f"legacy/{record.protocol}"})
    sections = few_shot_sections(Material((record, legacy), (record, legacy), {}, {}))
    assert [(section.title, len(section.rows)) for section in sections] == [("", 1), ("(legacy)", 1)]


def test_other_protocols_have_no_such_table() -> None:
    record = folded("start", "5-way-10-shot", 0).model_copy(
        update={"protocol": "full", "metrics": {"test/accuracy": 0.5}, "curves": {}}
    )
    assert few_shot_sections(Material((record,), (record,), {}, {})) == []
