"""How figures, names and metrics are put into words, the same in every section of the page."""

from pointlab.storage import Record

GAP = "\N{NO-BREAK SPACE}"
METHODS = {
    "full": "full fine-tuning",
    "linear_probe": "the linear probe",
    "mlp_probe": "the MLP probe",
    "knn": "the vote of nearest neighbours",
    "linear_svm": "the linear SVM",
    "few_shot": "few-shot classification",
    "zero_shot": "zero-shot classification",
    "wise_ft": "the WiSE-FT mixture",
    "wise_ft_lp": "the WiSE-FT-LP mixture",
    "lp_ft": "fine-tuning from the linear probe",
    "soup": "the model soup",
}
"""What a transfer's protocol is called in a sentence."""
WORDS_OF_STAMPS = frozenset({"by-depth", "fisher", "uniform", "greedy", "probed-again", "chosen-feature"})
"""Parts of stamps that are words already: how weights were averaged, and that what is read was chosen."""
PARENT_ROLES = {
    "pretrained": "pretraining data",
    "latents": "stage I's data",
    "teacher": "teacher's data",
    "image_teacher": "image teacher's data",
    "text_teacher": "text teacher's data",
}
OWN_SETS = {
    "pretrain": "pretraining data",
    "teacher": "training data",
    "retrieve": "searched set",
    "match": "matched frames",
}
"""What the set in the role `data` was to a run, by its kind; a target to all others."""
TRAINED_ROLES = {"data": "training data", "shifted": "shifted set", **PARENT_ROLES}


def percent(value: float) -> str:
    """A share in [0, 1] as a percentage with one decimal."""
    return f"{100 * value:.1f}{GAP}%"


def is_share(metric: str) -> bool:
    """Whether `metric` is told in percent, as an accuracy, the mean of some, a recall or an IoU is."""
    if "/recall_at_" in metric or metric == "selection/score":
        return True
    return metric.endswith(("accuracy", "/accuracy_std", "/mOA", "/error", "miou")) or "iou/" in metric


def measure_name(metric: str) -> str:
    """What `metric` measures, without where."""
    name = metric.rpartition("/")[2]
    return {"miou": "mean IoU"}.get(name, name.replace("miou", "mean IoU").replace("_", " "))


def is_of_a_split(metric: str) -> bool:
    """Whether `metric` is one of a whole split, `test/accuracy`, and not `test/scale/1/accuracy`."""
    return metric.count("/") <= 1


def figure(metric: str, value: float) -> str:
    """`value` as a reader wants it: accuracies in percent, all others as `number` has them."""
    return percent(value) if is_share(metric) else number(value)


def number(value: float, digits: int = 3) -> str:
    """To so many digits, with whole numbers whole, and no digit of what lies before the point cut off."""
    is_long = abs(value) >= 10**digits - 0.5  # where `g` would take to powers of ten
    return f"{value:,.0f}" if is_long or float(value).is_integer() else f"{value:.{digits}g}"


def duration(seconds: float) -> str:
    """Seconds in the largest units that fit: 45 s, 3 min 5 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f}{GAP}s" if seconds < 10 else f"{whole}{GAP}s"
    if whole < 3600:
        return f"{whole // 60}{GAP}min {whole % 60}{GAP}s"
    return f"{whole // 3600}{GAP}h {whole % 3600 // 60}{GAP}min"


def role_name(kind: str, role: str) -> str:
    """What a dataset was to a run of this kind: its pretraining data, its target, its shifted set.

    To a study, that of a route; to an evaluation or an analysis, what it measured on, and what these were to
    its classifier or subjects.
    """
    if kind in ("evaluate", "analyse"):
        return "measured on" if role == "data" else _role_of_subject(role)
    if kind == "study":
        route, _, part = role.partition("/")
        return f"{role_name('transfer', part)} of {route}"
    part = role.rpartition("/")[2]
    return OWN_SETS.get(kind, "target") if part == "data" else PARENT_ROLES.get(part, part)


def _role_of_subject(role: str) -> str:
    """What a set was to what was measured: `one/latents` is stage I's data, `one` what it was trained on.

    What it started from is called `one-pretrained`; records of earlier versions have `one-data`, too.
    """
    first, _, rest = role.partition("/")
    used, _, own = first.rpartition("-")
    if not used or own not in TRAINED_ROLES:
        used, own = first, "data"
    part = rest.rpartition("/")[2] or own
    return f"{used}'s {TRAINED_ROLES.get(part, part)}"


def split_name(record: Record, metric: str) -> str:
    """The split that `metric` was measured on, such as "shifted test"."""
    prefix = metric.rpartition("/")[0]
    role, _, split = prefix.rpartition("-")
    if split in ("train", "validation") and not role:
        split = {"train": "training"}.get(split, split)
        return f"{split}, at the selected step" if "selected step" in record.notes else split
    if split == "test" and not role and record.kind != "pretrain":
        role = "target"
    return f"{role} {split}".strip() or "search"


def dataset_of(record: Record, metric: str) -> tuple[str | None, str]:
    """The dataset and the split on whose clouds `metric` was measured; no dataset where it is unknown."""
    role, _, split = metric.rpartition("/")[0].rpartition("-")
    key = "data" if role in ("", "target") else role
    return record.datasets.get(key), split
