"""The answer on top of the page: a sentence for each experiment that was asked for, and its key figures."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from pointlab.experiment.legacy_settings import PREFIX as LEGACY
from pointlab.report.analysis_findings import headline
from pointlab.report.collect import Material
from pointlab.report.matching_findings import matching_figures, matching_finding
from pointlab.report.results import Group, group_by_seed, interval, summary
from pointlab.report.retrieval_findings import key_figures, retrieval_finding
from pointlab.report.situations import headline as study_headline
from pointlab.report.situations import situations
from pointlab.report.sweeps import ENDS
from pointlab.report.wording import METHODS, WORDS_OF_STAMPS, percent
from pointlab.storage import Record
from pointlab.study.words import words_read

HEADLINES = (
    {
        "test/accuracy": "on the target test",
        "shifted-test/accuracy": "on the shifted test",
        "corrupted-test/mOA": "on the corrupted target test in the mean",
    },
    {
        "target-validation/accuracy": "on target validation data",
        "shifted-validation/accuracy": "on shifted validation data",
        "corrupted-validation/mOA": "on corrupted validation data in the mean",
    },
    {
        "validation/accuracy": "on its validation split",
        "shifted-validation/accuracy": "on shifted validation data",
        "corrupted-validation/mOA": "on corrupted validation data in the mean",
    },
)
OF_POINTS = (
    {
        "test/miou": "mean IoU on the target test",
        "shifted-test/miou": "mean IoU on the shifted test",
    },
    {"target-validation/miou": "mean IoU on target validation data"},
    {"validation/miou": "mean IoU on its validation split"},
)
UNDER_CORRUPTIONS = (
    {"test/accuracy": "on clean test clouds", "test/mOA": "on corrupted ones in the mean"},
    {"validation/accuracy": "on clean validation clouds", "validation/mOA": "on corrupted ones in the mean"},
)

"""What answers the question best, and what stands in where a run was not tested."""


@dataclass(frozen=True)
class KeyFigure:
    """One large number with what it is and how sure it is."""

    label: str
    value: str
    note: str


@dataclass(frozen=True)
class Answer:
    """What an experiment found, and how what it reports was chosen."""

    name: str
    finding: str
    choice: str
    figures: tuple[KeyFigure, ...]
    situations: tuple[tuple[str, str], ...] = ()
    """Of a study: where one stands, and what to start from there."""


def answers(material: Material) -> list[Answer]:
    """One answer for each group of seeds among the runs that were asked for; groups of one name are told
    apart by their runs."""
    groups = group_by_seed(material.asked)
    names = Counter(group.name for group in groups)
    return [
        Answer(
            group.name if names[group.name] == 1 else ", ".join(record.run for record in group.records),
            _finding(group, material.cells),
            _choice(group),
            tuple(_key_figures(material, group)),
            tuple(
                told
                for record in group.records
                if record.kind == "study"
                for told in situations(record, material.cells)
            ),
        )
        for group in groups
    ]


def _finding(group: Group, cells: Mapping[str, Record]) -> str:
    if group.records[0].kind == "study":
        return " ".join(study_headline(record, cells) for record in group.records)
    if group.records[0].kind == "analyse":
        return " ".join(headline(record) for record in group.records)
    if group.records[0].kind == "retrieve":
        return retrieval_finding(group)
    if group.records[0].kind == "match":
        return matching_finding(group)
    reached = [
        f"{summary(group, metric)} {where}{_asked(group, metric)}"
        for metric, where in _headlines(group).items()
    ]
    if not reached:
        return f"{_subject(group)} has ended; its record holds no accuracy."
    seeds = f" (mean and deviation over {len(group.records)} seeds)" if len(group.records) > 1 else ""
    chance = f", by chance {_chance(group)}" if _chance(group) else ""
    return f"{_subject(group)} reaches {' and '.join(reached)}{seeds}{chance}."


def _asked(group: Group, metric: str) -> str:
    """Of a shifted set that shares some classes alone: that only these were asked about, and of how many
    clouds."""
    split = metric.partition("/")[0].removeprefix("shifted-")
    told = group.records[0].notes.get(f"shifted {split} clouds", "")
    is_asked = told and metric.startswith("shifted-")
    return f" (shared classes alone, {told.partition(';')[0]} clouds)" if is_asked else ""


def _chance(group: Group) -> str:
    """What guessing would reach, in words, where nothing was trained that could be worse."""
    return group.records[0].notes.get("by chance", "")


def _headlines(group: Group) -> dict[str, str]:
    lines = UNDER_CORRUPTIONS if group.records[0].kind == "evaluate" else HEADLINES
    if any(group.values(metric) for line in OF_POINTS for metric in line):
        lines = OF_POINTS
    present = [{metric: at for metric, at in line.items() if group.values(metric)} for line in lines]
    whole = (found for found, line in zip(present, lines, strict=True) if next(iter(line)) in found)
    return next(whole, next(filter(None, present), {}))


def _subject(group: Group) -> str:
    if group.records[0].kind == "evaluate":
        return f"the classifier under {group.protocol}"
    method = _method(group.protocol)
    coefficients = sorted(set(group.values("selection/coefficient")))
    if not coefficients:
        return method
    if by_depth := group.records[0].notes.get("by depth"):
        return f"{method} at coefficients {by_depth.partition(';')[0]}"
    if len(coefficients) == 1:
        end = f" (the {ENDS[coefficients[0]]} end)" if coefficients[0] in ENDS else ""
        return f"{method} at coefficient {coefficients[0]:g}{end}"
    return f"{method} at coefficients {coefficients[0]:g} to {coefficients[-1]:g}"


def _method(stamp: str) -> str:
    """The protocol in words, by which prompts, and how few labels it had; that it was searched, key figures
    tell."""
    if stamp.startswith(LEGACY):
        return f"{_method(stamp.removeprefix(LEGACY))} with habits of released code"
    protocol, *further = stamp.split("/")
    few = [part.removesuffix("-per-class") for part in further if part.endswith("-per-class")]
    labels = f" with {few[0]} labelled training clouds of each class" if few else ""
    scenes = [part.removesuffix("-of-scenes") for part in further if part.endswith("-of-scenes")]
    if protocol == "segmentation":
        share = f" with labels of {scenes[0]} of the training scenes" if scenes else ""
        return f"{METHODS[further[0]]} for segmentation{share}"
    prompts = f" by the {further[0].replace('_', '-')} prompts" if protocol == "zero_shot" else ""
    folds = f" ({', '.join(further[:2])})" if protocol == "few_shot" else ""
    options = [part for part in further if part in WORDS_OF_STAMPS]
    averaged = f" ({', '.join(options)})" if options else ""
    if protocol in METHODS:
        return METHODS[protocol] + prompts + folds + averaged + labels
    return protocol + (f" ({', '.join(further)})" if further else "")


def _choice(group: Group) -> str:
    rule = group.records[0].notes.get("selection rule")
    sentences = []
    if rule is not None:
        sentences.append(f"The coefficient was chosen on validation data by this rule: {rule}.")
    if group.records[0].kind == "evaluate":
        sentences.append("An evaluation measures and chooses nothing.")
    elif group.records[0].kind == "study":
        sentences.append(_choice_of_a_study(group))
    elif group.records[0].kind == "analyse":
        sentences.append(f"An analysis explains and chooses nothing; it measures on {_split(group)}.")
        favoured = group.records[0].notes.get("selected on the shown split")
        sentences += [f"Not independent of that split: {favoured}."] if favoured else []
    elif group.records[0].kind == "retrieve":
        sentences.append("A retrieval ranks and chooses nothing.")
    elif group.records[0].kind == "match":
        sentences.append("A matching asks and chooses nothing.")
    elif legacy := group.records[0].notes.get("legacy"):
        sentences.append(f"Not comparable: {legacy}.")
    elif any(group.values(metric) for metric in HEADLINES[0]):
        sentences.append("The test splits were read once, after every choice.")
    sentences += dict.fromkeys(filter(None, map(words_read, group.records)))
    return " ".join(sentences)


def _choice_of_a_study(group: Group) -> str:
    cells = [row for record in group.records for row in record.curves["cells"]]
    is_tested = any(row.get("test/accuracy", "") != "" for row in cells)
    legacy = group.records[0].notes.get("legacy")
    which = f"Not comparable: {legacy}. In every other cell" if legacy else "In every cell"
    return (
        f"{which} the step, the penalty and whatever else was chosen was chosen on the whole validation"
        " split of its target, however few training labels it had"
        + ("; its test split was read once, after every choice." if is_tested else ".")
    )


def _split(group: Group) -> str:
    return group.protocol.rpartition("/")[2]


def _key_figures(material: Material, group: Group) -> list[KeyFigure]:
    figures = []
    for metric, where in _headlines(group).items():
        bounds = interval(material, group, metric)
        spread = f"95 % interval {percent(bounds[0])} to {percent(bounds[1])}" if bounds else ""
        chance = f"by chance {_chance(group)}" if _chance(group) else ""
        note = "; ".join(filter(None, [chance, spread, _asked(group, metric).strip(" ()")]))
        what = where if metric.endswith("/miou") else f"accuracy {where}"
        figures.append(KeyFigure(what, summary(group, metric), note))
    if group.records[0].kind == "retrieve":
        figures += [KeyFigure(*told) for told in key_figures(group)]
    if group.records[0].kind == "match":
        figures += [KeyFigure(*told) for told in matching_figures(group)]
    if group.values("selection/coefficient"):
        value = summary(group, "selection/coefficient")
        given = "the mean of those by depth; " if "by depth" in group.records[0].notes else ""
        figures.append(KeyFigure("mixing coefficient", value, f"{given}0 is pretrained, 1 is fine-tuned"))
    if group.values("trials"):
        figures.append(KeyFigure("trials", summary(group, "trials"), "compared on validation data"))
    return figures
