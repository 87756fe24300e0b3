"""What the terminal shows of a finished run can be read and copied."""

import io

import pytest
from rich.console import Console

from pointlab.cli.plans import table_of_front
from pointlab.storage import Record
from pointlab.terminal import show_table, table_of_metrics

SETTINGS = " ".join(f"training.optimiser.setting_{number}=0.0007859730566472357" for number in range(8))


@pytest.fixture
def record() -> Record:
    """That of a run without figures."""
    return Record(
        run="tiny-0123456789-s0",
        kind="search",
        name="tiny",
        seed=0,
        protocol="full",
        config={"kind": "search"},
        code_version="1",
        metrics={},
    )


def printed(record: Record) -> str:
    console = Console(file=io.StringIO(), width=60)
    show_table(table_of_metrics(record), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_chosen_settings_are_not_broken(record: Record) -> None:
    found = record.model_copy(update={"notes": {"chosen settings": SETTINGS}})
    assert f"chosen settings: {SETTINGS}\n" in printed(found)


def test_the_name_of_a_run_is_not_broken_above_a_narrow_table(record: Record) -> None:
    name = f"{'a-long-name-' * 8}0123456789-s0-attempt2"
    found = record.model_copy(update={"run": name, "metrics": {"test/accuracy": 0.7}})
    text = printed(found)
    assert text.splitlines()[0] == f"{name} (full)"
    assert "0.7" in text


def test_dozens_of_figures_at_single_severities_are_counted_and_not_listed(record: Record) -> None:
    several = {f"corrupted-test/jitter/{severity}/accuracy": 0.5 for severity in range(1, 6)}
    metrics = {**several, "corrupted-test/jitter/accuracy": 0.5, "test/accuracy": 0.7}
    table = table_of_metrics(record.model_copy(update={"metrics": metrics}))
    assert list(table.columns[0].cells) == ["corrupted-test/jitter/accuracy", "test/accuracy"]
    assert str(table.caption).startswith("5 accuracies at single severities")


def test_the_front_of_a_search_is_listed_with_its_recommended_trial(record: Record) -> None:
    rows = [
        {"trial": 1, "validation/accuracy": 0.61234, "recommended": "", "run": "a"},
        {"trial": 4, "validation/accuracy": 0.5, "recommended": "yes", "run": "b"},
    ]
    table = table_of_front(record.model_copy(update={"curves": {"pareto": rows}}))
    assert list(table.columns[0].cells) == ["1", "4"]
    assert list(table.columns[1].cells) == ["0.6123", "0.5"]
    assert list(table.columns[2].cells) == ["", "yes"]
