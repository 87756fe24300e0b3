"""The parts of Point-MAE's pretraining step, against the same step written plainly (`plain_point_mae.py`).

Both take steps in turn on the same clouds and from the same draws: 1,024 points, 64 patches of 32, 384
channels, 12 + 4 blocks, 60 % hidden, AdamW. First one step of each is compared: loss and gradients are equal
to rounding, or the script stops. Then come the times of each part (the gradient is cut at the borders of
parts, so that each has its own backward pass), samples a second, and ratios with their spread.

The plain step runs with torch as it comes, the project's as its training processes are set up; the memory
setting of `training/allocation.py` serves both. `--option` puts in the place of the plain step one of the
project's own that changes results. On a machine with other work, take `--clock processor` and one thread.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from plain_point_mae import PlainPointMae, Sizes
from torch import Tensor, nn

from pointlab.backbones import PatchTransformer, PatchTransformerConfig
from pointlab.backbones.patches import group_patches
from pointlab.geometry import chamfer_distance
from pointlab.objectives.decoders import DecoderConfig
from pointlab.objectives.masking import MaskConfig, draw_mask
from pointlab.paradigms import Given
from pointlab.paradigms.masked import Masked, MaskedConfig
from pointlab.training import OptimiserConfig
from pointlab.training.numerics import autocast, prepare_process
from pointlab.training.optimiser import build_optimiser

PARTS = ("group", "embed", "encode", "decode", "loss")
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
WARM_UP = 2
"""Steps that do not count: the first ones allocate memory and choose kernels."""


class Ours:
    """`Masked`, laid open; `embed_all` as in its configuration."""

    def __init__(self, sizes: Sizes, *, embed_all: bool = True) -> None:
        torch.manual_seed(0)
        backbone = PatchTransformerConfig(
            width=sizes.width,
            depth=sizes.depth,
            num_heads=sizes.num_heads,
            num_groups=sizes.num_groups,
            group_size=sizes.group_size,
            embedder_widths=sizes.widths,
            drop_path_rate=sizes.drop_path_rate,
            class_token=False,
        )
        decoder = DecoderConfig(
            depth=sizes.decoder_depth, num_heads=sizes.num_heads, drop_path_rate=sizes.drop_path_rate
        )
        config = MaskedConfig(
            mask=MaskConfig(ratio=sizes.mask_ratio),
            decoder=decoder,
            embed="all" if embed_all else "visible",
        )
        self.network = Masked(config, PatchTransformer(backbone), Given(num_classes=1))

    def group(self, points: Tensor) -> None:
        """Patches, and which of them are hidden."""
        counts = torch.full((len(points),), points.shape[1])
        sizes = self.network.backbone.config
        patches = group_patches(points, counts, num_groups=sizes.num_groups, group_size=sizes.group_size)
        mask = draw_mask(patches.centres, self.network.config.mask)
        self.seen, self.unseen = patches.at(mask.visible), patches.at(mask.hidden)

    def embed(self) -> Tensor:
        """Tokens of the visible patches."""
        company = self.unseen.neighbourhoods if self.network.config.embed == "all" else None
        tokens: Tensor = self.network.backbone.embedder(self.seen.neighbourhoods, company)
        return tokens

    def encode(self, tokens: Tensor) -> Tensor:
        """They after the encoder."""
        return self.network.backbone.encode(tokens, self.seen.centres, class_token=False)

    def decode(self, latent: Tensor) -> Tensor:
        """The points of the hidden patches."""
        decoded = self.network.decoder(latent, self.seen.centres, self.unseen.centres)
        rebuilt: Tensor = self.network.to_points(decoded)
        return rebuilt

    def loss(self, rebuilt: Tensor) -> Tensor:
        """Their Chamfer distance to what they are."""
        clouds = rebuilt.flatten(0, 1).unflatten(1, (-1, 3))
        return chamfer_distance(clouds, self.unseen.neighbourhoods.flatten(0, 1))


class Plain:
    """The plain network with the weights of `ours`."""

    def __init__(self, sizes: Sizes, ours: Ours) -> None:
        self.network = PlainPointMae(sizes)
        for mine, its in zip(self.network.parameters(), in_plain_order(ours.network), strict=True):
            mine.data.copy_(its.data.view_as(mine))
        self.group, self.embed, self.encode = self.network.group, self.network.embed, self.network.encode
        self.decode, self.loss = self.network.decode, self.network.loss


def in_plain_order(network: Masked) -> list[nn.Parameter]:
    """The parameters of `network` in the order of the plain one's."""
    backbone, decoder = network.backbone, network.decoder
    encoding = [backbone.embedder, backbone.positional, backbone.blocks, backbone.norm]
    decoding = [decoder.positional, decoder.blocks, decoder.norm, network.to_points]
    rest = [parameter for part in (*encoding, *decoding) for parameter in part.parameters()]
    return [decoder.mask_token, *rest]


@dataclass
class Runner:
    """Steps of one network, part by part."""

    name: str
    network: Ours | Plain
    optimiser: torch.optim.Optimizer
    is_plain: bool = False
    precision: str = "fp32"
    clock: Callable[[], float] = time.perf_counter

    def step(self, points: Tensor, seed: int) -> dict[str, float]:
        """One optimiser step; seconds of each part, forwards and backwards."""
        torch.use_deterministic_algorithms(not self.is_plain)
        _, laps = self.gradients(points, seed)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        laps.end("optimiser")
        return laps.seconds

    def gradients(self, points: Tensor, seed: int) -> tuple[Tensor, "Laps"]:
        """The loss, with gradients left at the parameters, and the seconds of each part."""
        torch.manual_seed(seed)
        laps, ends, begins = Laps(self.clock), list[Tensor](), list[Tensor]()
        self.network.group(points)
        laps.end("group")
        for name in PARTS[1:]:
            with autocast(points.device, self.precision):
                ends.append(getattr(self.network, name)(*begins[-1:]))
            begins.append(ends[-1].detach().requires_grad_())
            laps.end(name)
        for name, end, begin in reversed(list(zip(PARTS[1:], ends, begins, strict=True))):
            end.backward(begin.grad)
            laps.end(f"{name} backward")
        return ends[-1].detach(), laps


class Laps:
    """Seconds from one `end` to the next."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock, self.seconds, self.start = clock, dict[str, float](), clock()

    def end(self, lap: str) -> None:
        """Note the seconds since the last lap ended under this name."""
        now = self.clock()
        self.seconds[lap], self.start = now - self.start, now


def plain_optimiser(network: nn.Module) -> torch.optim.Optimizer:
    """AdamW with the paper's rule: one-dimensional parameters and tokens do not decay."""
    named = list(network.named_parameters())
    spared = [one for name, one in named if one.ndim <= 1 or "token" in name]
    others = [one for name, one in named if not (one.ndim <= 1 or "token" in name)]
    groups = [{"params": spared, "weight_decay": 0.0}, {"params": others, "weight_decay": 0.05}]
    return torch.optim.AdamW(groups, lr=1e-3)


def runner_of_ours(sizes: Sizes, option: str | None = None) -> Runner:
    ours = Ours(sizes, embed_all=option != "visible")
    optimiser = build_optimiser(ours.network, OptimiserConfig(learning_rate=1e-3))
    return Runner(option or "pointlab", ours, optimiser, precision="bf16" if option == "bf16" else "fp32")


def runner_of_plain(sizes: Sizes, ours: Ours) -> Runner:
    plain = Plain(sizes, ours)
    return Runner("plain", plain, plain_optimiser(plain.network), is_plain=True)


def differences(ours: Runner, plain: Runner, points: Tensor) -> tuple[float, float]:
    """Relative difference of the losses, and the largest of a gradient in units of the largest gradient.

    In the precision of `points`, in which the networks are left.
    """
    for one in (ours, plain):
        one.network.network.to(points.dtype)
    losses = [one.gradients(points, seed=0)[0] for one in (ours, plain)]
    pairs = list(zip(in_plain_order(ours.network.network), plain.network.network.parameters(), strict=True))
    largest = max(float(its.grad.abs().max()) for _, its in pairs)
    apart = max(float((own.grad.view_as(its) - its.grad).abs().max()) for own, its in pairs)
    for one in (ours, plain):
        one.optimiser.zero_grad(set_to_none=True)
    return abs(float(losses[0] / losses[1]) - 1), apart / largest


def require_equal(ours: Runner, plain: Runner, points: Tensor) -> None:
    """In float64 to all digits that matter; in float32 to what small variances leave of its rounding."""
    for some, for_loss, for_gradient in ((points[:4].double(), 1e-12, 1e-9), (points, 1e-5, 1e-2)):
        loss, gradient = differences(ours, plain, some)
        print(f"equal in {some.dtype}: loss to {loss:.0e}, gradients to {gradient:.0e} of the largest")
        assert loss < for_loss, "the losses differ"
        assert gradient < for_gradient, "the gradients differ"


def random_clouds(num_clouds: int, num_points: int = 1024) -> Tensor:
    """Points of ellipsoids within the unit sphere."""
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(num_clouds, num_points, 3, generator=generator)
    points = nn.functional.normalize(points, dim=2)
    return points * torch.rand(num_clouds, 1, 3, generator=generator).add(0.5).div(1.5)


def show(runner: Runner, laps: list[dict[str, float]], batch_size: int) -> None:
    """Medians of each part, forwards and backwards, and their share of the step."""
    medians = {name: statistics.median(lap[name] for lap in laps) for name in laps[0]}
    step = statistics.median(sum(lap.values()) for lap in laps)
    print(f"\n{runner.name}: {step:.3f} s a step, {batch_size / step:.1f} samples/s")
    for name in (*PARTS, "optimiser"):
        forward, backward = medians[name], medians.get(f"{name} backward", 0.0)
        share = (forward + backward) / sum(medians.values())
        print(f"  {name:<10}{1e3 * forward:>8.0f} ms{1e3 * backward:>8.0f} ms back{share:>8.1%}")


def show_ratio(other: list[dict[str, float]], ours: list[dict[str, float]]) -> None:
    """How many times as long the other takes, in all and part by part: median and 80 % of the turns."""
    names = {"step": tuple(ours[0])} | {name: (name, f"{name} backward") for name in (*PARTS, "optimiser")}
    print("\ntimes as fast")
    for name, members in names.items():
        sides = ([sum(lap.get(member, 0) for member in members) for lap in laps] for laps in (other, ours))
        ratios = sorted(first / second for first, second in zip(*sides, strict=True))
        low, middle, high = (ratios[round(share * (len(ratios) - 1))] for share in (0.1, 0.5, 0.9))
        print(f"  {name:<10}{middle:>6.2f} ({low:.2f} to {high:.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: PYTHONPATH=platform python benchmarks/masked.py --steps 8 --threads 2",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch (default: 1)")
    parser.add_argument("--batch-size", type=int, default=32, help="samples of a step (default: 32)")
    parser.add_argument("--steps", type=int, default=8, help="timed steps of each (default: 8)")
    parser.add_argument(
        "--option", choices=["visible", "bf16"], help="measure this in place of the plain step"
    )
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="whose seconds (default: wall)")
    options = parser.parse_args()
    prepare_process(options.threads)
    sizes, points = Sizes(), random_clouds(options.batch_size)
    ours = runner_of_ours(sizes)
    other = runner_of_ours(sizes, options.option) if options.option else runner_of_plain(sizes, ours.network)
    ours.clock = other.clock = CLOCKS[options.clock]
    print(f"torch {torch.__version__}, {options.threads} thread(s), seconds by the {options.clock} clock")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs, batches of {options.batch_size}")
    if options.option is None:
        require_equal(ours, other, points)
    turns = [[one.step(points, seed) for one in (other, ours)] for seed in range(WARM_UP + options.steps)]
    laps = [list(side) for side in zip(*turns[WARM_UP:], strict=True)]
    for runner, own in zip((other, ours), laps, strict=True):
        show(runner, own, options.batch_size)
    show_ratio(*laps)


if __name__ == "__main__":
    main()
