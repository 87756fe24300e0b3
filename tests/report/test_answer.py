"""The answer on top: seeds of a retrieval told together, others apart; what figures rest on and are about."""

from typing import Any

from pointlab.report.answer import Answer, answers
from pointlab.report.collect import Material
from pointlab.report.wording import GAP, figure
from pointlab.storage import Record


def retrieval(seed: int, recall: float, **config: Any) -> Record:
    """Of three texts in a gallery of ten; its hash differs with the seed of its pretraining."""
    measures = {"recall_at_5": recall, "chance/recall_at_5": 0.5, "queries": 3.0, "shapes": 10.0}
    return Record(
        run=f"by-text-{seed}{len(config)}abcdef-s{seed}",
        kind="retrieve",
        name="by-text",
        seed=seed,
        protocol="retrieval/test",
        config={"pretrained": {"seed": seed, "num_points": 48}, **config},
        code_version="",
        metrics={f"test/text_to_shape/{name}": value for name, value in measures.items()},
    )


def answers_on(*records: Record) -> list[Answer]:
    return answers(Material(records, records, {}, {}))


def test_seeds_are_told_as_mean_and_deviation() -> None:
    (answer,) = answers_on(retrieval(0, 0.6), retrieval(1, 0.8))
    assert answer.name == "by-text"
    (figure,) = answer.figures
    assert figure.value == f"70.0 ± 14.1{GAP}%"
    assert figure.note == f"50.0{GAP}% by chance; mean and deviation over 2 seeds"
    assert answer.finding.endswith(f"50.0{GAP}% by chance) (mean and deviation over 2 seeds).")


def test_shapes_that_hardly_differ_are_told() -> None:
    record = retrieval(0, 0.6)
    record.notes["collapsed"] = "the shapes hardly differ: the cosine of two is 0.9990 in the mean"
    assert "Perhaps collapsed: the shapes hardly differ" in answers_on(record)[0].finding


def test_those_of_one_name_that_differ_otherwise_are_told_apart_by_their_runs() -> None:
    records = (retrieval(0, 0.6), retrieval(1, 0.8, num_points=32))
    told = answers_on(*records)
    assert [answer.name for answer in told] == [record.run for record in records]
    assert [figure.value for answer in told for figure in answer.figures] == [f"60.0{GAP}%", f"80.0{GAP}%"]


def test_few_shot_is_told_with_its_folds() -> None:
    settings = {"name": "few", "run": "few-0123456789-s0", "seed": 0, "code_version": "", "config": {}}
    metrics = {"test/accuracy": 0.5, "test/accuracy_std": 0.125}
    record = Record(**settings, kind="transfer", protocol="few_shot/5-way-10-shot/linear", metrics=metrics)
    (answer,) = answers_on(record)
    assert "few-shot classification (5-way-10-shot, linear) reaches" in answer.finding
    assert figure("test/accuracy_std", 0.125) == f"12.5{GAP}%"


def test_zero_shot_is_told_with_the_class_words_that_were_read() -> None:
    notes = {
        "class words": "1 of 2 were read in the captions",
        "prompts": "3 of the set held_out",
        "ratio": "1",
        "by chance": "25.0%, one of 4 classes",
    }
    settings = {"name": "asked", "run": "asked-0123456789-s0", "seed": 0, "code_version": "", "config": {}}
    record = Record(**settings, kind="transfer", protocol="zero_shot/held_out", notes=notes)
    (answer,) = answers_on(
        record.model_copy(update={"metrics": {"test/accuracy": 0.5, "selection/ratio": 1.0}})
    )
    assert (
        "read once, after every choice. Class words: 1 of 2 were read in the captions. Prom" in answer.choice
    )
    assert answer.choice.endswith("image query: chosen by the labels of the validation split.")
    assert answer.finding.endswith("on the target test, by chance 25.0%, one of 4 classes.")
    assert answer.figures[0].note.startswith("by chance 25.0%")
    (answer,) = answers_on(record.model_copy(update={"metrics": {"test/accuracy": 0.5}}))
    assert answer.choice.endswith("image query: 1.")


def answer_of(protocol: str, metrics: dict[str, float], notes: dict[str, str]) -> Answer:
    record = Record(
        run="a-0123456789-s0",
        kind="transfer",
        name="a",
        seed=0,
        protocol=protocol,
        config={},
        code_version="",
        metrics=metrics,
        notes=notes,
    )
    (found,) = answers_on(record)
    return found


def test_coefficients_by_depth_are_told_as_they_are_and_nothing_was_chosen() -> None:
    found = answer_of(
        "wise_ft_lp",
        {"test/accuracy": 0.5, "selection/coefficient": 0.65},
        {"by depth": "0.3, 1 from the first stage to the last; the coefficient is their mean"},
    )
    assert "at coefficients 0.3, 1 from the first stage to the last reaches" in found.finding
    assert "chosen on validation" not in found.choice
    (mean,) = (figure for figure in found.figures if figure.label == "mixing coefficient")
    assert mean.note.startswith("the mean of those by depth")


def test_figures_of_shared_classes_say_so_and_of_how_many_clouds() -> None:
    notes = {
        "shifted test clouds": "100; 220 of classes that are not shared are left out",
        "shifted validation clouds": "30; 60 of classes that are not shared are left out",
    }
    metrics = {"test/accuracy": 0.9, "shifted-test/accuracy": 0.5}
    found = answer_of("full", metrics, notes)
    assert "on the shifted test (shared classes alone, 100 clouds)" in found.finding
    assert "target test (" not in found.finding
    assert [figure.note for figure in found.figures] == ["", "shared classes alone, 100 clouds"]
