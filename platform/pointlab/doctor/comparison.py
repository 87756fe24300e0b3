"""What the nodes of a cluster reported, compared with the driver and with each other."""

from collections.abc import Iterator, Mapping, Sequence

from pointlab.doctor.environment import differences
from pointlab.doctor.finding import Finding, failed, of_error, passed, warned
from pointlab.doctor.node import Report
from pointlab.errors import PointlabError

ODD_SKEW, WRONG_SKEW = 5.0, 600.0
"""Seconds: logs of several nodes no longer lie in order; stores refuse requests from 900 on."""


def presence(
    num_reports: int, errors: Sequence[PointlabError], silent: Sequence[str] = (), leaving: Sequence[str] = ()
) -> Iterator[Finding]:
    """That every node carried out its task: `num_reports` did, and these did not or were not asked."""
    check = "nodes: answer"
    for error in errors:
        yield of_error(error, check)
    for node in silent:
        yield failed(
            f"The cluster counts on {node}, and its raylet does not answer this node.",
            "open all ports between the nodes; if it has just been lost, wait until Ray has noticed",
            check,
        )
    for node in leaving:
        yield warned(f"{node} is about to leave, and was not asked.", "it takes no new work", check)
    if not num_reports:
        yield failed("No node of the cluster has answered.", "start its nodes, or look at their logs", check)
    elif errors or silent or leaving:
        yield passed(
            f"{num_reports} of {num_reports + len(errors) + len(silent) + len(leaving)} nodes", check
        )
    else:
        yield passed(_count(num_reports), check)


def agreement(own: Mapping[str, str], reports: Mapping[str, Report]) -> Iterator[Finding]:
    """That every node has the driver's versions."""
    other = {node: told for node, each in reports.items() if (told := differences(own, each.versions))}
    for node, told in other.items():
        yield failed(
            f"{node} has {told}.",
            "start all nodes from one image, and submit with the working directory it was made from",
            "nodes: versions",
        )
    if reports and not other:
        yield passed(", ".join(f"{name} {version}" for name, version in own.items()), "nodes: versions")


def clocks(began: float, ended: float, reports: Mapping[str, Report]) -> Iterator[Finding]:
    """That every node took the time to be one between the driver's before and after asking."""
    worst = 0.0
    for node, each in reports.items():
        skew = max(each.clock - ended, began - each.clock, 0.0)
        worst = max(worst, skew)
        how = "ahead of" if each.clock > ended else "behind"
        told = f"The clock of {node} is at least {skew:.0f} s {how} the driver's."
        remedy = (
            "let chrony or systemd-timesyncd set the clocks; a store refuses requests that are off by much"
        )
        if skew > WRONG_SKEW:
            yield failed(told, remedy, "nodes: clocks")
        elif skew > ODD_SKEW:
            yield warned(told, remedy, "nodes: clocks")
    if reports and worst <= ODD_SKEW:
        yield passed(f"none off by more than {ODD_SKEW:g} s", "nodes: clocks")


def condensed(reports: Mapping[str, Report]) -> Iterator[Finding]:
    """What the nodes found: each trouble with its nodes, and one line for what is well on all of them."""
    by_check: dict[str, list[tuple[str, Finding]]] = {}
    for node, each in reports.items():
        for finding in each.findings:
            by_check.setdefault(finding.check, []).append((node, finding))
    for check, found in by_check.items():
        troubles: dict[Finding, list[str]] = {}
        for node, finding in found:
            if finding.verdict != "pass":
                troubles.setdefault(finding, []).append(node)
        for finding, places in troubles.items():
            told = f"On {', '.join(places)}: {finding.found}"
            yield finding.model_copy(update={"check": f"nodes: {check}", "found": told})
        if not troubles:
            first = [finding.found for node, finding in found if node == found[0][0]]
            number = _count(len({node for node, _ in found}))
            yield passed(f"{number}: {'; '.join(first)}", f"nodes: {check}")


def _count(number: int) -> str:
    return "1 node" if number == 1 else f"all {number} nodes"
