"""Products of a patch transformer's layers from two libraries, and its maxima with and without members.

Which library is faster, MKL or oneDNN, is the processor's affair; `backbones/products.py` takes oneDNN. A
ratio is the processor time of the other form over that of the project's, forms in turns.
"""

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from turns import medians_of_turns

from pointlab.backbones.maxima import maximum, maximum_and_member
from pointlab.backbones.products import linear
from pointlab.training.numerics import prepare_process

SIZES = {
    "demo": [(16384, 32, 64), (16384, 64, 128), (16384, 128, 96), (1024, 96, 288), (1024, 384, 96)],
    "papers": [(65536, 128, 256), (65536, 256, 512), (65536, 512, 384), (2048, 384, 1152), (2048, 1536, 384)],
}
"""Rows, inputs and outputs: three layers of the embedder, two of a block, for batches of 32."""
MEMBERS = {"demo": 16, "papers": 32}
"""Points of a patch."""
MULTIPLICATIONS = 1e9
"""At least so many in a turn."""


def forwards(product: Callable[..., Tensor], operands: list[Tensor], times: int) -> Callable[[], None]:
    def form() -> None:
        with torch.no_grad():
            for _ in range(times):
                product(*operands)

    return form


def both_ways(product: Callable[..., Tensor], operands: list[Tensor], times: int) -> Callable[[], None]:
    def form() -> None:
        for _ in range(times):
            product(*operands).sum().backward()

    return form


def show(size: str, shape: tuple[int, int, int], turns: int) -> None:
    rows, inputs, outputs = shape
    operands = [torch.randn(shape, requires_grad=True) for shape in ((rows, inputs), (outputs, inputs))]
    times = max(1, round(MULTIPLICATIONS / (rows * inputs * outputs)))
    ratios = []
    for way in (forwards, both_ways):
        forms = {"MKL": way(F.linear, operands, times), "ours": way(linear, operands, times)}
        taken = medians_of_turns(forms, turns)
        ratios.append(taken["MKL"] / taken["ours"])
    name = f"{size}: {rows} x {inputs} to {outputs}"
    print(f"{name:<32}forward {ratios[0]:.2f}, with backward {ratios[1]:.2f}")


def show_maximum(size: str, turns: int) -> None:
    """The maximum that makes the tokens: with the member that has it, as gradients need it, and without."""
    rows, _, outputs = SIZES[size][2]
    values = torch.randn(rows // MEMBERS[size], MEMBERS[size], outputs)
    forms = {"with": lambda: maximum_and_member(values), "without": lambda: maximum(values)}
    taken = medians_of_turns(forms, turns)
    name = f"{size}: maximum over a patch"
    print(f"{name:<32}with its member / without {taken['with'] / taken['without']:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: PYTHONPATH=platform python benchmarks/products.py --turns 9",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--turns", type=int, default=5, help="turns, of which the median counts (default: 5)")
    options = parser.parse_args()
    prepare_process(1)
    print(f"torch {torch.__version__}, one thread; MKL / oneDNN as convolutions")
    for size, shapes in SIZES.items():
        for shape in shapes:
            show(size, shape, options.turns)
        show_maximum(size, options.turns)


if __name__ == "__main__":
    main()
