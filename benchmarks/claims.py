"""What a finished study says of claims about pretraining: a difference, its interval, yes, no or open.

    python benchmarks/claims.py laptop-study-... --root results

It reads the study's record alone. A difference is taken at equal backbone, route, number of labels and seed,
in points; what rests on one pretrained backbone is one draw, and the interval is Student's 95 % over these,
as in the study's own tables. A backbone with a single seed has no interval and is left out. ReCon has a
backbone of its own: it meets ACT by what each gains over random weights on its own backbone. What WiSE-FT-LP
loses in target accuracy is told beside what it gains under corruptions: "at equal accuracy" is for the reader
to judge.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from pointlab.storage import open_storage, require_record
from pointlab.study import read_interim
from pointlab.study.clusters import Draw, strata_of
from pointlab.study.statistics import pooled_difference

Cell = Mapping[str, float | str]
Place = tuple[str, str, str, int]
"""Backbone, route, labels and seed."""
ACCURACY, ROBUSTNESS, MIOU = "test/accuracy", "corrupted-test/mOA", "test/miou"
PROBE, FULL, MIXED = "linear-probe", "full", "wise-ft-lp"
ROOMS, ROOMS_PROBE = "few-rooms", "few-rooms-probe"


@dataclass(frozen=True)
class Contrast:
    """Cells of one start and protocol against those of another, by a measure; with `gains`, the gains of both
    over random weights under their protocol, whatever their backbones."""

    claim: str
    one: tuple[str, str]
    other: tuple[str, str]
    measure: str
    gains: bool = False

    @property
    def name(self) -> str:
        """The difference in words."""
        (start, protocol), (reference, other_protocol) = self.one, self.other
        if start == reference:
            return f"{start}: {protocol} - {other_protocol}"
        return f"{protocol}: {start} - {reference}" + (", gains over scratch" if self.gains else "")


GEOMETRIC = "1 geometric regularisation helps supervised transfer"
SUPERVISED = "2 supervised wins probes, contrastive gains when fine-tuned"
ACT, RECON = "3 ACT beats masked modelling alone", "4 ReCon beats ACT"
PPKT = "5 PPKT beats scratch on scenes with few labels"
WISE = "6 WiSE-FT-LP lifts robustness at equal accuracy"
CONTRASTS = (
    *(
        Contrast(GEOMETRIC, ("geometric", protocol), ("supervised", protocol), measure)
        for protocol in (PROBE, FULL)
        for measure in (ACCURACY, ROBUSTNESS)
    ),
    Contrast(SUPERVISED, ("supervised", PROBE), ("contrastive", PROBE), ACCURACY),
    Contrast(SUPERVISED, ("supervised", FULL), ("contrastive", FULL), ACCURACY),
    Contrast(SUPERVISED, ("contrastive", FULL), ("contrastive", PROBE), ACCURACY),
    Contrast(SUPERVISED, ("supervised", FULL), ("supervised", PROBE), ACCURACY),
    *(Contrast(ACT, ("act", protocol), ("masked", protocol), ACCURACY) for protocol in (PROBE, FULL)),
    *(
        Contrast(RECON, ("recon", protocol), ("act", protocol), ACCURACY, gains=True)
        for protocol in (PROBE, FULL)
    ),
    *(Contrast(PPKT, ("ppkt", protocol), ("scratch", protocol), MIOU) for protocol in (ROOMS_PROBE, ROOMS)),
    *(
        Contrast(WISE, (start, MIXED), (start, FULL), measure)
        for start in ("supervised", "geometric", "contrastive", "masked", "act", "recon")
        for measure in (ROBUSTNESS, ACCURACY)
    ),
)


def main() -> None:
    """Print a row for every contrast of which the study has cells."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study")
    parser.add_argument("--root", default="results")
    options = parser.parse_args()
    storage = open_storage(options.root)
    record = read_interim(storage, options.study) or require_record(storage, options.study)
    cells = [cell for cell in record.curves["cells"] if cell["outcome"] == "finished"]
    print("| claim | difference | of | points | 95 % | clusters | so far |\n|---|---|---|---|---|---|---|")
    for contrast in CONTRASTS:
        row = told(contrast, cells)
        if row:
            print(f"| {contrast.claim} | {contrast.name} | {contrast.measure} | {row} |")


def told(contrast: Contrast, cells: list[Cell]) -> str:
    """Difference, interval, number of clusters and the verdict; nothing where no stratum has two clusters."""
    strata = [each for each in strata_of(draws(contrast, cells)) if len(each.clusters) > 1]
    found = pooled_difference(
        [each.clusters[:, 0].tolist() for each in strata], [each.weight for each in strata]
    )
    if found is None or found.interval is None:
        return ""
    low, high = found.interval
    verdict = "yes" if low > 0 else "no" if high < 0 else "open"
    return f"{100 * found.mean:+.1f} | [{100 * low:+.1f}, {100 * high:+.1f}] | {found.count} | {verdict}"


def draws(contrast: Contrast, cells: list[Cell]) -> Iterator[Draw]:
    """The difference at every place that both sides have."""
    ones, others = (values(cells, *side, contrast) for side in (contrast.one, contrast.other))
    for place in sorted(ones.keys() & others.keys()):
        backbone, route, _, seed = place
        difference = np.array([ones[place] - others[place]])
        yield Draw(backbone, route, (route, seed), difference)


def values(cells: list[Cell], start: str, protocol: str, contrast: Contrast) -> dict[Place, float]:
    """The measure by backbone, route, labels and seed; of gains, what random weights have is taken off, and
    backbones meet."""
    found: dict[Place, float] = {}
    random: dict[Place, float] = {}
    for cell in cells:
        if cell["protocol"] != protocol or cell.get(contrast.measure, "") == "":
            continue
        backbone, route, labels = (str(cell[level]) for level in ("backbone", "route", "samples_per_class"))
        place = (backbone, route, labels, int(cell["seed"]))
        if cell["start"] == start:
            found[place] = float(cell[contrast.measure])
        if cell["start"] == "scratch":
            random[place] = float(cell[contrast.measure])
    if not contrast.gains:
        return found
    return {("any", *place[1:]): value - random[place] for place, value in found.items() if place in random}


if __name__ == "__main__":
    main()
