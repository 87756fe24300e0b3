"""A report holds what the records say, in one file that loads nothing and trusts no name."""

import base64
import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pointlab.data.cache import cache_folder
from pointlab.errors import StorageError
from pointlab.experiment.classifier import Answers
from pointlab.experiment.mistaken import publish_mistakes
from pointlab.experiment.prepared_data import open_data
from pointlab.report import build_report
from pointlab.report.collect import MAX_TRIAL_LOGS, best_trials, collect
from pointlab.report.figures import MAX_POINTS, axis_type
from pointlab.report.gallery import build_gallery
from pointlab.report.results import NORMAL_QUANTILE, Group, group_by_seed, interval, summary, wilson_interval
from pointlab.report.runs import run_rows
from pointlab.report.thumbnails import thumbnail
from pointlab.report.trials import trial_tables
from pointlab.report.views import LabelledCloud, view_together
from pointlab.report.wording import duration, figure
from pointlab.storage import Record, Storage, open_storage, read_manifest, seal, write_record
from pointlab.training import Run

PRETRAINED = "tiny-0123456789-s0"
SEARCH = "tiny-search-abcdef0123-s0"
RULE = "highest mean validation accuracy; the largest of equal coefficients"
MEGABYTE = 1_000_000


def dataset(storage: Storage, name: str) -> str:
    return next(folder for folder in storage.folders("datasets") if folder.rpartition("-")[0] == name)


def write_log(storage: Storage, run: str, num_lines: int = 4) -> None:
    lines: list[dict[str, float]] = []
    for step in range(1, num_lines + 1):
        position = {"step": step, "epoch": step / 2, "samples": 16 * step}
        lines.append({**position, "train/loss": 2 / step, "train/accuracy": 1 - 1 / step})
        lines.append({**position, "validation/loss": 3 / step, "validation/accuracy": 1 - 0.9 / step})
    Run(storage, run).write_log(num_lines, lines)
    Run(storage, run).write_checkpoint(num_lines, [], {})


def write_pretraining(storage: Storage, **changes: Any) -> Record:
    settings: dict[str, Any] = {
        "run": PRETRAINED,
        "kind": "pretrain",
        "name": "tiny",
        "seed": 0,
        "protocol": "pretraining/supervised",
        "config": {"kind": "pretrain", "num_points": 48},
        "code_version": "0.1.0+feedbeef00",
        "datasets": {"data": dataset(storage, "shapes")},
        "metrics": {"validation/accuracy": 0.875, "validation/loss": 0.62},
        "notes": {"selected step": "4 of 4"},
        "samples_seen": 10_368,
        "device_seconds": 202,
    }
    record = Record(**settings | changes)
    write_record(storage, record)
    return record


def coefficient_rows() -> list[dict[str, float | str]]:
    return [
        {
            "coefficient": coefficient,
            "method": method,
            "target-validation/accuracy": 0.5 + 0.3 * coefficient - lead,
            "shifted-validation/accuracy": 0.6 - 0.4 * (coefficient - 0.5) ** 2 - lead,
        }
        for coefficient in (0.0, 0.5, 1.0)
        for method, lead in (("wise_ft", 0.1), ("wise_ft_lp", 0.0))
    ]


def trial_row(score: float, run: str = "", **changes: Any) -> dict[str, float | str]:
    settings = {"training.optimiser.learning_rate": 1e-3 * score, "supervised.head.kind": "linear"}
    outcome = "finished" if run else "stopped early"
    own = {"score": score, "coefficient": 0.5 if run else "", "epochs": 3, "samples": 96, "seconds": 4.5}
    return settings | own | {"outcome": outcome, "run": run} | changes


def write_search(storage: Storage, seed: int = 0, **changes: Any) -> Record:
    trials = [trial_row(0.4), trial_row(0.7, f"trial-b-s{seed}"), trial_row(0.55, f"trial-a-s{seed}")]
    settings: dict[str, Any] = {
        "run": f"tiny-search-abcdef0123-s{seed}",
        "kind": "search",
        "name": "tiny-search",
        "seed": seed,
        "protocol": "wise_ft_lp/search-3",
        "config": {"kind": "search", "num_trials": 3},
        "code_version": "0.1.0+feedbeef00",
        "datasets": {
            "data": dataset(storage, "scans"),
            "shifted": dataset(storage, "scans-sparse"),
            "pretrained": dataset(storage, "shapes"),
        },
        "parents": {"pretrained": PRETRAINED},
        "metrics": {
            "test/accuracy": (13 - seed) / 16,
            "shifted-test/accuracy": 10 / 16,
            "selection/coefficient": 0.5,
            "selection/score": 0.625,
            "trials": 3,
        },
        "curves": {"coefficients": coefficient_rows(), "trials": trials},
        "notes": {"selection rule": RULE, "chosen trial": f"trial-b-s{seed}"},
    }
    record = Record(**settings | changes)
    for row in record.curves.get("trials", []):
        if row["run"]:
            write_log(storage, str(row["run"]))
    write_record(storage, record)
    return record


def write_evaluation(storage: Storage, seed: int = 0, **changes: Any) -> Record:
    accuracies = {"scale": (0.75, 0.5), "jitter": (0.625, 0.25)}
    metrics = {
        f"test/{name}/{severity}/accuracy": value
        for name, values in accuracies.items()
        for severity, value in zip((1, 5), values, strict=True)
    }
    metrics |= {f"test/{name}/accuracy": sum(values) / 2 for name, values in accuracies.items()}
    metrics |= {"test/scale/CE": 3.99, "test/jitter/CE": 1.78, "test/accuracy": 0.8125, "test/mOA": 0.53125}
    settings: dict[str, Any] = {
        "run": f"tiny-corruptions-0123456789-s{seed}",
        "kind": "evaluate",
        "name": "tiny-corruptions",
        "seed": seed,
        "protocol": "corruptions/modelnet_c/generated/part",
        "config": {"kind": "evaluate"},
        "code_version": "0.1.0+feedbeef00",
        "datasets": {
            "data": dataset(storage, "scans"),
            "classifier": dataset(storage, "scans"),
            "classifier/pretrained": dataset(storage, "shapes"),
        },
        "metrics": metrics,
        "notes": {
            "suite": "modelnet_c",
            "origin": "generated",
            "suite hash": "5eed5eed",
            "baseline": "DGCNN",
            "comparability": "a yardstick and no comparison",
            "warning": "RmCE divides by little",
        },
    }
    record = Record(**settings | changes)
    write_record(storage, record)
    return record


@pytest.fixture(scope="module")
def store(prepared_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    """A pretraining and a search of one seed, on sets whose test shards are gone; with a cache of its own."""
    root = tmp_path_factory.mktemp("report")
    shutil.copytree(prepared_root, root / "store")
    for shard in (root / "store").rglob("test-*.parquet"):
        shard.unlink()
    storage = open_storage(str(root / "store"))
    write_pretraining(storage)
    write_log(storage, PRETRAINED)
    write_search(storage)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POINTLAB_CACHE", str(root / "cache"))
        yield storage


@pytest.fixture
def own_store(store: Storage, tmp_path: Path) -> Storage:
    """A copy of the store that a test may add to."""
    shutil.copytree(store.address, tmp_path / "store")
    return open_storage(str(tmp_path / "store"))


@pytest.fixture(scope="module")
def page(store: Storage) -> str:
    return build_report(store, [SEARCH])


class Reader(HTMLParser):
    """Elements with their attributes, and the text by the element that it stands in."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        tag = self.elements[-1][0] if self.elements else ""
        self.text[tag] = self.text.get(tag, "") + data

    def all(self, attribute: str) -> list[str]:
        return [str(attributes[attribute]) for _, attributes in self.elements if attribute in attributes]

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


def plot(page: str, name: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Traces and layout of one plot on the page."""
    decoder = json.JSONDecoder()
    call = page.index("Plotly.newPlot(", page.index(f'id="{name}"'))
    traces, end = decoder.raw_decode(page, page.index("[", call))
    layout, _ = decoder.raw_decode(page, page.index("{", end))
    return traces, layout


def words(page: str) -> str:
    """The page as it is read: without plots, and with every run of white space as one space."""
    return " ".join(page[page.index("<body") :].split())


def test_the_page_refers_to_nothing_outside_itself(page: str) -> None:
    reader = Reader(page)
    assert reader.all("src") == []
    assert all(address.startswith("#") for address in reader.all("href"))
    assert reader.count("link") == 0
    assert "@import" not in reader.text["style"]
    assert "url(" not in reader.text["style"]
    assert any(str(policy).startswith("default-src 'none'") for policy in reader.all("content"))


def test_plotly_is_in_the_page_once(page: str) -> None:
    assert page.count("plotly.js v") == 1
    assert len(page) < 8 * MEGABYTE


def test_every_link_leads_to_a_place_on_the_page(page: str) -> None:
    reader = Reader(page)
    assert {address.removeprefix("#") for address in reader.all("href")} <= set(reader.all("id"))


def test_parents_are_added_before_the_runs_that_were_asked_for(page: str, store: Storage) -> None:
    assert [record.run for record in collect(store, [SEARCH]).records] == [PRETRAINED, SEARCH]
    rows = [page.index(f"<code>{run}</code><br>") for run in (PRETRAINED, SEARCH)]
    assert rows == sorted(rows)
    assert f'<a href="#run-1"><code>{PRETRAINED}</code></a>' in page


def test_equal_records_give_equal_pages(page: str, store: Storage) -> None:
    assert build_report(store, [SEARCH]) == page


def test_the_answer_comes_from_the_record(page: str) -> None:
    finding = "the WiSE-FT-LP mixture at coefficient 0.5 reaches 81.2 % on the target test and 62.5 % on the"
    assert finding in words(page)
    assert f"chosen on validation data by this rule: {RULE}." in page


def test_a_run_without_test_is_not_said_to_have_one(own_store: Storage) -> None:
    text = words(build_report(own_store, [PRETRAINED]))
    assert "pretraining (supervised) reaches 87.5 % on its validation split." in text
    assert "test splits were read" not in text
    assert 'id="coefficient"' not in text


def test_the_chosen_coefficient_is_marked_in_both_plots(page: str) -> None:
    traces, layout = plot(page, "coefficients-0")
    assert layout["annotations"][0]["text"] == "chosen on validation: 0.5"
    assert (traces[-1]["x"], traces[-1]["y"]) == ([0.5, 0.5], [65.0, 60.0])
    traces, _ = plot(page, "plane-shifted-0")
    assert (traces[-1]["x"], traces[-1]["y"]) == ([65.0], [60.0])


def test_the_ends_of_a_path_are_named_where_no_mark_is(page: str) -> None:
    """In the legend, by symbols of their own: words in the plane would lie on other points."""
    traces, layout = plot(page, "plane-shifted-0")
    assert layout.get("annotations", []) == []
    ends = {trace["name"]: trace for trace in traces if trace.get("name") in ("pretrained", "fine-tuned")}
    assert [(end["x"], end["y"]) for end in ends.values()] == [([50, 40], [50, 40]), ([80, 70], [50, 40])]
    assert len({end["marker"]["symbol"] for end in ends.values()} | {"circle"}) == 3


def test_curves_run_in_order_of_coefficient_for_each_method_and_split(page: str) -> None:
    traces, _ = plot(page, "coefficients-0")
    by_name = {trace.get("name"): trace for trace in traces}
    assert by_name["target, WiSE-FT-LP"]["x"] == [0.0, 0.5, 1.0]
    assert by_name["target, WiSE-FT-LP"]["y"] == [50.0, 65.0, 80.0]
    assert by_name["shifted, WiSE-FT"]["y"] == [40.0, 50.0, 40.0]
    dashes = [by_name[f"target, {method}"]["line"]["dash"] for method in ("WiSE-FT-LP", "WiSE-FT")]
    assert dashes == ["solid", "dash"]


@pytest.mark.parametrize(("successes", "trials"), [(13, 16), (1, 5), (250, 500)])
def test_wilsons_interval_solves_its_equation(successes: int, trials: int) -> None:
    share, z2 = successes / trials, NORMAL_QUANTILE**2  # (share - p)^2 = z^2 p (1 - p) / trials
    roots = np.roots([1 + z2 / trials, -(2 * share + z2 / trials), share**2])
    assert wilson_interval(share, trials) == pytest.approx(sorted(roots))


def test_wilsons_interval_stays_within_zero_and_one() -> None:
    z2 = NORMAL_QUANTILE**2
    assert wilson_interval(0.0, 10) == pytest.approx((0, z2 / (10 + z2)))
    assert wilson_interval(1.0, 10) == pytest.approx((10 / (10 + z2), 1))


def test_accuracies_are_percentages_with_their_interval_and_clouds(page: str) -> None:
    low, high = wilson_interval(13 / 16, 16)
    row = page[: page.index("<code>test/accuracy</code>")].rpartition("<tr>")[2]
    assert "<strong>81.2\N{NO-BREAK SPACE}%</strong>" in row
    assert f">{100 * low:.1f}\N{NO-BREAK SPACE}% to {100 * high:.1f}\N{NO-BREAK SPACE}%<" in row
    assert ">16<" in row


def test_an_accuracy_on_some_classes_alone_rests_on_fewer_clouds_and_has_no_interval(
    own_store: Storage,
) -> None:
    """Also of a search, whose transfer is within its settings."""
    config = {"kind": "search", "transfer": {"shifted_classes": {"chair": "chair"}}}
    record = write_search(own_store, 7, config=config)
    material = collect(own_store, [record.run])
    group = Group(record.name, record.protocol, (record,))
    assert interval(material, group, "shifted-test/accuracy") is None
    assert interval(material, group, "test/accuracy") is not None


def test_results_without_intervals_have_no_column_for_them(own_store: Storage) -> None:
    points = write_search(
        own_store,
        7,
        kind="transfer",
        name="segment",
        protocol="segmentation/full",
        metrics={"test/miou": 0.5, "test/accuracy": 0.75},
        curves={},
    )
    results = words(build_report(own_store, [points.run])).split('<section id="results">')[1]
    table = results[results.index('<span class="tag">segmentation/full</span>') :]
    header = table[: table.index("</thead>")]
    assert ">Value</th>" in header
    assert "interval" not in header
    assert "Clouds" not in header


def test_mistakes_are_shown_of_the_run_that_was_asked_for(own_store: Storage) -> None:
    name = dataset(own_store, "scans")
    data = open_data(own_store, name, 48)
    labels = torch.from_numpy(np.array(data.split("validation").labels))
    classes = len(data.manifest.class_names)
    logits = torch.nn.functional.one_hot((labels + 1) % classes, classes).float()
    publish_mistakes(own_store, "trial-b-s0", Answers(logits, labels), data, "validation")
    page = words(build_report(own_store, [SEARCH]))
    section = page[page.index('<section id="mistakes">') :]
    assert f"{len(labels)} of the {len(labels)} validation clouds of {name} were taken for" in section
    assert section.count("<li>") == min(24, len(labels))
    assert section.count('<svg viewBox="') == min(24, len(labels))
    assert "Nothing was chosen by these mistakes" in section
    assert 'id="mistakes"' not in build_report(own_store, [PRETRAINED])


def test_mistakes_are_not_said_to_have_chosen_nothing_where_test_has_chosen(own_store: Storage) -> None:
    data = open_data(own_store, dataset(own_store, "scans"), 48)
    labels = torch.from_numpy(np.array(data.split("validation").labels))
    logits = torch.nn.functional.one_hot(labels, len(data.manifest.class_names)).float()
    record = write_search(own_store, 7, kind="transfer", curves={}, notes={"legacy": "the epoch by test"})
    publish_mistakes(own_store, record.run, Answers(logits, labels), data, "validation")
    page = words(build_report(own_store, [record.run]))
    section = page[page.index('<section id="mistakes">') :]
    assert "Nothing was chosen" not in section
    assert "Not comparable: the epoch by test." in section


def test_seeds_are_told_as_mean_and_sample_deviation(own_store: Storage) -> None:
    for seed in (1, 2):
        write_search(own_store, seed)
    text = words(build_report(own_store, [f"tiny-search-abcdef0123-s{seed}" for seed in range(3)]))
    values = 100 * np.array([13, 12, 11]) / 16
    shown = f"{values.mean():.1f} ± {values.std(ddof=1):.1f} %"
    assert f"<strong>{shown}</strong>" in text
    assert f"at coefficient 0.5 reaches {shown} on the target test" in text
    assert text.count("<code>test/accuracy</code>") == 1


def test_only_runs_that_differ_in_their_seed_alone_are_put_together(own_store: Storage) -> None:
    first = write_search(own_store, 1)
    others = [
        first.model_copy(update={"run": "tiny-search-abcdef0123-s2", "seed": 2}),
        first.model_copy(update={"run": "tiny-search-9999999999-s1"}),
        first.model_copy(update={"protocol": "full"}),
        first.model_copy(update={"run": "tiny-search-abcdef0123-s1-attempt2"}),
    ]
    groups = group_by_seed([first, *others])
    assert [[record.run for record in group.records] for group in groups] == [
        [first.run, others[0].run],
        *([other.run] for other in others[1:]),
    ]


def test_seeds_that_met_other_clouds_are_not_put_together(own_store: Storage) -> None:
    first, second = write_evaluation(own_store), write_evaluation(own_store, 1)
    assert len(group_by_seed([first, second])) == 1
    other = second.model_copy(update={"notes": {**second.notes, "suite hash": "0ther"}})
    assert len(group_by_seed([first, other])) == 2


def test_an_evaluation_is_told_by_corruption_and_severity_with_what_to_know_of_it(own_store: Storage) -> None:
    record = write_evaluation(own_store)
    page = words(build_report(own_store, [record.run]))
    section = page[page.index('<section id="corruptions">') :]
    header = section[: section.index("</thead>")]
    columns = ("Corruption", "severity 1", "severity 5", "mean", "CE")
    assert [header.index(f">{name}</th>") for name in columns] == sorted(
        header.index(f">{name}</th>") for name in columns
    )
    row = section[section.index("<td>scale</td>") :].partition("</tr>")[0]
    cells = [cell.partition("</td>")[0] for cell in row.split('<td class="number">')[1:]]
    assert cells == ["75.0 %", "50.0 %", "62.5 %", "3.99"]
    for name in ("suite", "origin", "suite hash", "baseline", "comparability", "warning"):
        assert f"<dt>{name}</dt><dd>{record.notes[name]}</dd>" in section
    results = page[page.index('<section id="results">') : page.index('<section id="corruptions">')]
    assert "<code>test/mOA</code>" in results
    assert "<code>test/scale" not in results
    assert "reaches 81.2 % on clean test clouds and 53.1 % on corrupted ones in the mean" in page
    assert 'id="corruptions"' not in build_report(own_store, [SEARCH])


def test_rows_of_a_release_are_not_taken_for_the_clouds_of_one_condition(own_store: Storage) -> None:
    generated = write_evaluation(own_store)
    notes = {**generated.notes, "origin": "official"}
    official = write_evaluation(own_store, run="official-0123456789-s0", name="official", notes=notes)
    material = collect(own_store, [generated.run, official.run])
    first, second = group_by_seed(material.records)
    assert interval(material, first, "test/accuracy") is not None
    assert interval(material, second, "test/accuracy") is None


def test_the_sets_of_an_evaluation_are_told_from_those_of_its_classifier(own_store: Storage) -> None:
    text = words(build_report(own_store, [write_evaluation(own_store).run]))
    roles = ", ".join(re.findall('<span class="quiet">(.*?)</span>', text)).split(", ")
    for role in ("measured on", "classifier&#39;s training data", "classifier&#39;s pretraining data"):
        assert roles.count(role) == 1


def test_a_set_is_told_once_with_what_it_was_to_the_run(own_store: Storage) -> None:
    sets = {f"data of {number}": "shapes-0123456789ab" for number in range(5)} | {
        "data": "scans-0123456789ab"
    }
    record = write_evaluation(own_store, datasets=sets)
    (row,) = [row for row in run_rows(collect(own_store, [record.run])) if row.record.run == record.run]
    assert [name for _, name in row.datasets] == ["shapes-0123456789ab", "scans-0123456789ab"]
    told, alone = (roles for roles, _ in row.datasets)
    assert told.count(", ") == 3
    assert told.endswith(", and 2 more")
    assert alone == "measured on"


def test_the_schedule_of_a_population_is_on_its_page(own_store: Storage) -> None:
    lineage = {"trial": 1.0, "generation": 1.0, "member": 0.0, "parent": 0.0}
    rate = "training.optimiser.learning_rate"
    schedule: list[dict[str, float | str]] = [
        {"epoch": 3.0 * step, "trial": step, "member": 0.0, rate: 1e-3, "supervised.head.kind": "linear"}
        for step in range(2)
    ]
    trials = [trial_row(0.6, "trial-b-s7", **lineage)]
    record = write_search(own_store, 7, curves={"trials": trials, "schedule": schedule})
    page = build_report(own_store, [record.run])
    assert plot(page, "schedule-1-0")[0][0]["x"] == [0, 3]
    assert "All trials, the last generation first, of each the best first" in words(page)


def test_trials_are_listed_best_first_and_the_chosen_one_is_marked(page: str) -> None:
    table = page[page.index('<section id="search">') : page.index('<section id="clouds">')]
    scores = [table.index(f"<td>{score:.1f}\N{NO-BREAK SPACE}%</td>") for score in (70, 55, 40)]
    assert scores == sorted(scores)
    assert table.count('class="chosen"') == 1
    assert table.index('class="chosen"') < scores[0]
    assert "3 trials: 2 finished, 1 stopped early." in table


def test_trials_of_a_loss_are_listed_smallest_first_failed_ones_last_and_not_in_percent(
    own_store: Storage,
) -> None:
    loss = {"metric": "validation/loss", "direction": "minimise"}
    trials = [trial_row(0.75, "trial-a-s7"), trial_row(0.25, "trial-b-s7"), trial_row(0.125)]
    trials.append(trial_row(0) | {"outcome": "failed", "score": ""})
    config = {"kind": "search", "num_trials": 4, "objectives": [loss]}
    record = write_search(own_store, 7, curves={"trials": trials}, config=config)
    (table,) = trial_tables(collect(own_store, [record.run]))
    assert [(row[0], row[-2]) for row in table.rows] == [
        ("0.25", "finished"),
        ("0.75", "finished"),
        ("0.125", "stopped early"),
        ("", "failed"),
    ]
    assert best_trials(record) == ["trial-b-s7", "trial-a-s7"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1e-4, 1e-2], "log"),
        ([1e-3, 2e-2], "linear"),
        ([0.0, 1e-2], "linear"),
        (["linear", "mlp"], "category"),
        ([1.0, "all"], "category"),
    ],
)
def test_wide_ranges_have_a_logarithmic_axis(values: list[float | str], expected: str) -> None:
    assert axis_type(values) == expected


def test_training_curves_hold_the_log(page: str) -> None:
    traces, _ = plot(page, "loss-0")
    assert [trace["name"] for trace in traces] == ["training", "validation"]
    assert traces[1]["x"] == [0.5, 1.0, 1.5, 2.0]
    assert traces[1]["y"] == [3.0, 1.5, 1.0, 0.75]
    names = [trace["name"] for trace in plot(page, "accuracy-1")[0]]
    assert names == ["validation, other trials", "training", "validation"]


def test_a_large_search_makes_a_bounded_page(own_store: Storage) -> None:
    trials = [trial_row(0.3 + row / 100, f"trial-{row:02}-s7") for row in range(MAX_TRIAL_LOGS + 5)]
    record = write_search(own_store, 7, curves={"trials": trials}, notes={"chosen trial": "trial-44-s7"})
    write_log(own_store, "trial-44-s7", num_lines=3000)
    page = build_report(own_store, [record.run])
    assert len(page) < 8 * MEGABYTE
    traces, _ = plot(page, "loss-1")
    assert len(traces) <= 40
    lengths = [len(trace["x"]) for trace in traces]
    assert max(lengths) == MAX_POINTS
    assert (traces[-1]["x"][0], traces[-1]["x"][-1]) == (0.5, 1500.0)


def test_the_gallery_shows_the_same_classes_of_every_set(store: Storage, page: str) -> None:
    gallery = build_gallery(store, collect(store, [SEARCH]))
    assert [one.role for one in gallery.sets] == ["pretraining data", "target", "shifted"]
    assert len(gallery.classes) == 6
    for one in gallery.sets:
        for name, view in zip(gallery.classes, one.views, strict=True):
            assert view is not None
            shown = {view.parts[shade] for shade in view.shades}
            assert all(part.startswith(f"{name}/") or part == "clutter" for part in shown)
            assert np.linalg.norm(view.points, axis=1).max() == pytest.approx(1, abs=2e-3)
    assert page.count('<svg viewBox="') == 3 * 6


def test_one_class_is_visible_in_every_scene_and_its_vertical_is_the_clouds(
    store: Storage, page: str
) -> None:
    gallery = build_gallery(store, collect(store, [SEARCH]))
    for number, one in enumerate(gallery.sets):
        traces, _ = plot(page, f"scene-{number}")
        assert [trace["visible"] for trace in traces] == [True] + 5 * [False]
        assert one.views[0] is not None
        heights = np.frombuffer(base64.b64decode(traces[0]["z"]["bdata"]), np.float32)
        np.testing.assert_array_equal(heights, one.views[0].points[:, 1])


def test_thumbnails_draw_the_upper_point_above_the_lower() -> None:
    points = np.array([[0, 0.9, 0], [0, -0.9, 0], [0.1, 0, 0]], np.float32)
    (view,) = view_together([LabelledCloud(points, ("seat", "leg", "leg"))])
    assert view is not None
    drawing = str(thumbnail(view, "a stool"))
    seat, leg = (drawing.index(f'stroke="{view.colours[shade]}"') for shade in (0, 1))
    height = [int(drawing[drawing.index("M", at) :].split()[1].partition("h")[0]) for at in (seat, leg)]
    assert height[0] < height[1]


def test_equal_parts_have_equal_colours_and_clouds_without_parts_are_coloured_by_height() -> None:
    points = np.array([[0, 1, 0], [0, -1, 0]], np.float32)
    whole, partial, plain, missing = view_together(
        [
            LabelledCloud(points, ("seat", "leg")),
            LabelledCloud(points, ("leg", "clutter")),
            LabelledCloud(points, None),
            None,
        ]
    )
    assert missing is None
    assert whole is not None
    assert partial is not None
    assert plain is not None
    assert whole.colours[whole.shades[1]] == partial.colours[partial.shades[0]]
    assert partial.parts[partial.shades[1]] == "clutter"
    assert plain.parts == ()
    assert list(plain.shades) == [len(plain.colours) - 1, 0]


def test_no_test_split_is_opened(page: str, store: Storage) -> None:
    assert page
    opened = {folder.name for folder in cache_folder().glob("*/*")}
    assert opened == {"validation"}
    assert not list(Path(store.address).rglob("test-*.parquet"))


def test_a_set_that_left_the_store_is_named_and_its_figures_stay(own_store: Storage) -> None:
    gone = dataset(own_store, "scans-sparse")
    own_store.delete_folder(f"datasets/{gone}")
    text = words(build_report(own_store, [SEARCH]))
    assert f"draw): {gone}." in text
    row = text[: text.index("<code>shifted-test/accuracy</code>")].rpartition("<tr>")[2]
    assert "<strong>62.5 %</strong>" in row
    assert " to " not in row


def test_names_cannot_put_markup_into_the_page(own_store: Storage) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    path = f"datasets/{dataset(own_store, 'scans')}"
    manifest = read_manifest(own_store, path)
    assert manifest is not None
    names = [evil, *manifest.details["class_names"][1:]]
    seal(own_store, path, "dataset", manifest.files, {**manifest.details, "class_names": names})
    trials = [trial_row(0.5, "trial-x", **{evil: evil})]
    record = write_search(
        own_store,
        run="x<img src=x onerror=alert(1)>-s0",
        datasets={"data": path.removeprefix("datasets/")},
        name=evil,
        protocol=f"wise_ft_lp/{evil}",
        config={evil: evil},
        curves={"trials": trials, "coefficients": coefficient_rows()},
        notes={evil: evil, "selection rule": evil, "chosen trial": "trial-x"},
        environment={evil: evil},
        metrics={f"{evil}/accuracy": 0.5, "test/accuracy": 0.5, "selection/coefficient": 0.5},
    )
    page = build_report(own_store, [record.run])
    reader = Reader(page)
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert reader.count("img") == 0
    assert reader.all("onerror") == []


def test_text_in_plots_is_not_read_as_markup(own_store: Storage) -> None:
    trials = [trial_row(0.5, "trial-x", setting="<a href='x'>b</a>")]
    record = write_search(own_store, 3, curves={"trials": trials}, notes={"chosen trial": "trial-x"})
    traces, _ = plot(build_report(own_store, [record.run]), "trials-1-2")
    assert traces[0]["x"] == ["&lt;a href=&#x27;x&#x27;&gt;b&lt;/a&gt;"]


@pytest.mark.parametrize(
    ("run", "told"),
    [
        ("tiny-search-abcdef0123-s1", SEARCH),
        ("trial-a-s0", "unfinished"),
    ],
)
def test_a_run_without_record_is_refused_with_what_to_do(store: Storage, run: str, told: str) -> None:
    with pytest.raises(StorageError, match=told) as refusal:
        build_report(store, [run])
    assert repr(run) in str(refusal.value)
    assert "What to do" in str(refusal.value)


def test_a_report_on_nothing_is_refused(store: Storage) -> None:
    with pytest.raises(StorageError, match="at least one"):
        build_report(store, [])


@pytest.mark.parametrize(
    ("seconds", "expected"), [(4.52, "4.5 s"), (45, "45 s"), (185, "3 min 5 s"), (7500, "2 h 5 min")]
)
def test_durations_are_told_in_the_largest_units(seconds: float, expected: str) -> None:
    assert duration(seconds).replace("\N{NO-BREAK SPACE}", " ") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2048.0, "2,048"),
        (2048.4, "2,048"),
        (999.7, "1,000"),
        (99.96, "100"),
        (12.345, "12.3"),
        (1.0, "1"),
        (0.0004567, "0.000457"),
        (-2048.4, "-2,048"),
    ],
)
def test_counts_are_written_out_and_other_numbers_have_three_digits(value: float, expected: str) -> None:
    assert figure("validation/num_pairs", value) == expected


def test_counts_of_several_seeds_have_no_power_of_ten() -> None:
    records = [
        Record(
            run=f"pairs-0123456789-s{seed}",
            kind="pretrain",
            name="pairs",
            seed=seed,
            protocol="pretraining",
            config={},
            code_version="",
            metrics={"validation/num_pairs": pairs},
        )
        for seed, pairs in enumerate((2000.0, 2200.0))
    ]
    group = Group("pairs", "pretraining", tuple(records))
    assert summary(group, "validation/num_pairs") == "2,100 ± 141"


def test_settings_of_trials_are_written_out(own_store: Storage) -> None:
    trials = [trial_row(0.5, "trial-x", **{"training.warmup_steps": 20_000.0, "rate": 0.00012345})]
    record = write_search(own_store, 4, curves={"trials": trials}, notes={"chosen trial": "trial-x"})
    (table,) = trial_tables(collect(own_store, [record.run]))
    assert {"20,000", "0.0001234"} <= set(table.rows[0])
