"""Prompts around a foreign transformer equal their explicit loops, and leave it as it is."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from paradigms.providers import contents, small_foreign
from pointlab.objectives.prompting import ForeignTransformer, PromptConfig, Prompting


def prompting(foreign: ForeignTransformer, **changes: Any) -> Prompting:
    """Prompts for tokens of six channels, with all weights large enough to matter."""
    torch.manual_seed(0)
    around = Prompting(PromptConfig(num_prompts=3).model_copy(update=changes), 6, foreign)
    for parameter in around.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return around


def given() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    return torch.randn(2, 5, 6, generator=draw), torch.randn(2, 5, 3, generator=draw)


@pytest.mark.parametrize("kind", ["deep", "shallow"])
def test_prompts_equal_the_loop_over_blocks_that_overwrites_them(kind: str) -> None:
    foreign = small_foreign(depth=3)
    around, (tokens, centres) = prompting(foreign, kind=kind).eval(), given()
    clouds = []
    for cloud in range(2):
        places = torch.cat([around.prompt_positions[0], around.positional(centres[cloud])])
        rows = torch.cat([around.prompt_tokens[0], around.enter(tokens[cloud])])
        for index, block in enumerate(foreign.blocks):
            if kind == "deep" and index >= 1:
                rows[:3] = around.deep_tokens[index - 1]
                places[:3] = around.deep_positions[index - 1]
            rows = block((rows + places).unsqueeze(0), None).squeeze(0)
        clouds.append(around.leave(foreign.norm(rows)[3:]))
    found = around(tokens, centres, foreign)
    torch.testing.assert_close(found, torch.stack(clouds), atol=1e-5, rtol=1e-4)


class Listener(nn.Module):
    """A block that keeps what it is given, and changes nothing."""

    def forward(self, rows: Tensor, mask: None) -> Tensor:
        self.heard = rows
        return rows


def test_dropout_is_of_prompts_alone_and_another_for_each_cloud() -> None:
    blocks = nn.ModuleList([Listener(), Listener()])
    foreign = ForeignTransformer(blocks, nn.Identity(), width=200)
    around, (tokens, centres) = prompting(foreign, dropout=0.5).train(), given()
    for parameter in (around.prompt_tokens, around.deep_tokens):
        nn.init.ones_(parameter)
    around(tokens, centres, foreign)
    places = (around.prompt_positions[0], around.deep_positions[0])
    for block, at_prompts in zip(blocks, places, strict=True):
        prompts = (block.heard[:, :3] - at_prompts).round(decimals=4)
        assert prompts.unique().tolist() == [0, 2]
        assert prompts.mean().item() == pytest.approx(1, abs=0.15)  # five standard errors
        assert not torch.equal(prompts[0], prompts[1])
    entered, at_centres = around.enter(tokens), around.positional(centres)
    torch.testing.assert_close(blocks[0].heard[:, 3:], entered + at_centres)
    torch.testing.assert_close(blocks[1].heard[:, 3:], entered + 2 * at_centres)


def test_gradients_reach_every_prompt_and_projection_through_a_network_that_stays() -> None:
    foreign = small_foreign().requires_grad_(False)
    before, around, (tokens, centres) = contents(foreign), prompting(foreign), given()
    around(tokens, centres, foreign).square().sum().backward()
    assert [name for name, p in around.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert all(parameter.grad is None for parameter in foreign.parameters())
    assert contents(foreign) == before


def test_prompts_that_the_settings_leave_out_are_neither_trained_nor_stored() -> None:
    foreign, (tokens, centres) = small_foreign(), given()
    shallow, bare = prompting(foreign, kind="shallow"), prompting(foreign, num_prompts=0)
    prompts = [
        {name for name, _ in around.named_parameters() if name.startswith(("prompt_", "deep_"))}
        for around in (shallow, bare)
    ]
    assert prompts == [{"prompt_tokens", "prompt_positions"}, set()]
    assert bare(tokens, centres, foreign).shape == (2, 5, 6)


def test_prompts_start_as_truncated_normals() -> None:
    around = Prompting(PromptConfig(), 384, small_foreign(width=96, depth=12))
    assert around.deep_tokens.shape == around.deep_positions.shape == (11, 64, 96)
    assert around.prompt_tokens.shape == around.prompt_positions.shape == (1, 64, 96)
    for parameter in (
        around.prompt_tokens,
        around.prompt_positions,
        around.deep_tokens,
        around.deep_positions,
    ):
        assert parameter.std().item() == pytest.approx(0.02, rel=0.03)
