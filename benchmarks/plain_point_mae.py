"""Point-MAE's pretraining step written plainly in torch: what `masked.py` measures the project against.

Pang et al., "Masked Autoencoders for Point Cloud Self-supervised Learning", ECCV 2022, section 3, in its
released sizes. Nothing is saved up: every layer is the torch module that the paper names, every patch passes
every layer of the embedder. Parameters are made in the project's order, so that weights can be copied over
one by one; masks and drop paths are drawn in its order too.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Sizes:
    """Those of the paper."""

    width: int = 384
    depth: int = 12
    decoder_depth: int = 4
    num_heads: int = 6
    num_groups: int = 64
    group_size: int = 32
    widths: tuple[int, int, int] = (128, 256, 512)
    mask_ratio: float = 0.6
    drop_path_rate: float = 0.1


def farthest_points(points: Tensor, num_samples: int) -> Tensor:
    batch = torch.arange(len(points))
    nearest = torch.full(points.shape[:2], torch.inf)
    chosen = [torch.zeros(len(points), dtype=torch.int64)]
    for _ in range(num_samples - 1):
        distances = ((points - points[batch, chosen[-1]].unsqueeze(1)) ** 2).sum(2)
        nearest = torch.minimum(nearest, distances)
        chosen.append(nearest.argmax(1))
    return torch.stack(chosen, dim=1)


def grouped(points: Tensor, sizes: Sizes) -> tuple[Tensor, Tensor]:
    """Centres, and the points of their patches relative to them."""
    batch = torch.arange(len(points))
    centres = points[batch[:, None], farthest_points(points, sizes.num_groups)]
    distances = ((centres[:, :, None] - points[:, None]) ** 2).sum(3)
    rows = distances.topk(sizes.group_size, dim=2, largest=False).indices
    return centres, points[batch[:, None, None], rows] - centres[:, :, None]


class Embedder(nn.Module):
    """The mini-PointNet, groups folded into the batch."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        first, second, third = sizes.widths
        self.first = nn.Sequential(
            nn.Conv1d(3, first, 1), nn.BatchNorm1d(first), nn.ReLU(), nn.Conv1d(first, second, 1)
        )
        self.second = nn.Sequential(
            nn.Conv1d(2 * second, third, 1),
            nn.BatchNorm1d(third),
            nn.ReLU(),
            nn.Conv1d(third, sizes.width, 1),
        )

    def forward(self, patches: Tensor) -> Tensor:
        """A token for each patch."""
        batch, groups, members, _ = patches.shape
        local = self.first(patches.reshape(batch * groups, members, 3).transpose(1, 2))
        largest = local.max(dim=2, keepdim=True).values
        joined = torch.cat([largest.expand(-1, -1, members), local], dim=1)
        return self.second(joined).max(dim=2).values.view(batch, groups, -1)


class Block(nn.Module):
    """A pre-norm block with its attention written out."""

    def __init__(self, sizes: Sizes, rate: float) -> None:
        super().__init__()
        width = sizes.width
        self.num_heads, self.rate = sizes.num_heads, rate
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.projection = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def attend(self, tokens: Tensor) -> Tensor:
        """Softmax attention in every head, projected."""
        batch, length, width = tokens.shape
        qkv = self.qkv(tokens).reshape(batch, length, 3, self.num_heads, width // self.num_heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        weights = (query @ key.transpose(2, 3) * query.shape[-1] ** -0.5).softmax(dim=3)
        return self.projection((weights @ value).transpose(1, 2).reshape(batch, length, width))

    def drop(self, branch: Tensor) -> Tensor:
        """Drop path."""
        if self.rate == 0:
            return branch
        keep = 1 - self.rate
        return branch * branch.new_empty(len(branch), 1, 1).bernoulli_(keep) / keep

    def forward(self, tokens: Tensor) -> Tensor:
        """Attention, then the perceptron."""
        tokens = tokens + self.drop(self.attend(self.norm1(tokens)))
        return tokens + self.drop(self.mlp(self.norm2(tokens)))


def blocks(sizes: Sizes, depth: int) -> nn.ModuleList:
    return nn.ModuleList(Block(sizes, sizes.drop_path_rate * index / (depth - 1)) for index in range(depth))


def positional(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 128), nn.GELU(), nn.Linear(128, width))


class PlainPointMae(nn.Module):
    """The network as the paper describes it; its methods are the parts that are measured apart."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.embedder = Embedder(sizes)
        self.positional = positional(sizes.width)
        self.blocks = blocks(sizes, sizes.depth)
        self.norm = nn.LayerNorm(sizes.width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, sizes.width))
        self.decoder_positional = positional(sizes.width)
        self.decoder_blocks = blocks(sizes, sizes.decoder_depth)
        self.decoder_norm = nn.LayerNorm(sizes.width)
        self.to_points = nn.Conv1d(sizes.width, 3 * sizes.group_size, 1)

    def group(self, points: Tensor) -> None:
        """Patches, and which of them are hidden."""
        self.centres, self.patches = grouped(points, self.sizes)
        batch, num_groups = self.centres.shape[:2]
        num_hidden = int(self.sizes.mask_ratio * num_groups)
        order = torch.rand(batch, num_groups, dtype=torch.float64).argsort(1)
        self.is_hidden = torch.zeros(batch, num_groups, dtype=torch.bool)
        self.is_hidden.scatter_(1, order[:, :num_hidden], True)

    def embed(self) -> Tensor:
        """Tokens of all patches, of which the visible ones are kept."""
        tokens = self.embedder(self.patches)
        return tokens[~self.is_hidden].reshape(len(tokens), -1, tokens.shape[2])

    def encode(self, tokens: Tensor) -> Tensor:
        """They after the encoder."""
        places = self.positional(self._centres(~self.is_hidden))
        for block in self.blocks:
            tokens = block(tokens + places)
        return self.norm(tokens)

    def decode(self, latent: Tensor) -> Tensor:
        """The points of the hidden patches."""
        centres = torch.cat([self._centres(~self.is_hidden), self._centres(self.is_hidden)], dim=1)
        places = self.decoder_positional(centres)
        num_hidden = centres.shape[1] - latent.shape[1]
        rows = torch.cat([latent, self.mask_token.expand(len(latent), num_hidden, -1)], dim=1)
        for block in self.decoder_blocks:
            rows = block(rows + places)
        hidden = self.decoder_norm(rows[:, -num_hidden:])
        return self.to_points(hidden.transpose(1, 2)).transpose(1, 2)

    def loss(self, rebuilt: Tensor) -> Tensor:
        """Their Chamfer distance to what they are."""
        clouds = rebuilt.reshape(-1, self.sizes.group_size, 3)
        target = self.patches[self.is_hidden]
        distances = ((clouds[:, :, None] - target[:, None]) ** 2).sum(3)
        return distances.min(dim=2).values.mean() + distances.min(dim=1).values.mean()

    def _centres(self, which: Tensor) -> Tensor:
        return self.centres[which].reshape(len(which), -1, 3)
