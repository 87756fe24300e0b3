"""ReCon's losses with imported weights, against its equations on the official state dict."""

import naive
import pytest
import released
import torch
import torch.nn.functional as F
from released import TINY, Size
from torch import Tensor

from paradigms.two_views import two_views
from pointlab.backbones.recon import ReconConfig, ReconTransformer
from pointlab.objectives.masking import draw_mask
from pointlab.objectives.targets import PictureFeatures, TextFeatures
from pointlab.official import Unstored, export_checkpoint, import_checkpoint
from pointlab.paradigms import Given, ReconParadigmConfig
from pointlab.paradigms.recon import Recon
from pointlab.training.checkpoint import load_weights

CONTRASTED = 0.7


def with_contrast(size: Size) -> released.Shapes:
    """A pretraining whose class query was trained too."""
    return released.recon_pretrain(size) | {
        **released.layer("cls_proj.0", 128, size.width),
        **released.batch_norm("cls_proj.1", 128),
        **released.layer("cls_proj.3", 128, 128),
        **released.batch_norm("cls_proj.4", 128),
    }


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return released.filled(with_contrast(TINY))


def of_clouds(rows: Tensor, of: Tensor) -> Tensor:
    return torch.stack([cloud[own] for cloud, own in zip(rows, of, strict=True)])


def chamfer(made: Tensor, patches: Tensor) -> Tensor:
    distances = (made.unsqueeze(3) - patches.unsqueeze(2)).square().sum(4)
    return distances.amin(3).mean() + distances.amin(2).mean()


def class_contrast(state: dict[str, Tensor], queries: Tensor, texts: list[int]) -> Tensor:
    hidden = naive.batch_norm(state, "1", naive.linear(state, "0", queries)).relu()
    rows = F.normalize(naive.batch_norm(state, "4", naive.linear(state, "3", hidden)), dim=1)
    losses = []
    for own, text in enumerate(texts):
        scores = rows @ rows[own] / 0.1
        same = torch.tensor([other == text for other in texts])
        logits = torch.cat([scores[same].mean().unsqueeze(0), scores[~same]])
        losses.append(-logits.log_softmax(0)[0])
    return torch.stack(losses).mean()


def test_every_loss_equals_the_papers(state: dict[str, Tensor]) -> None:
    imported = import_checkpoint(state, unstored=Unstored(num_groups=8))
    draw = torch.Generator().manual_seed(5)
    pictures, texts = (
        torch.randn(4, 2 * TINY.contrast, generator=draw),
        torch.randn(2, TINY.contrast, generator=draw),
    )
    of_texts = TextFeatures("captions", [5, 6], texts.unsqueeze(1))
    providers = {"image_teacher": PictureFeatures(pictures), "text_teacher": of_texts}
    batch, captions = two_views(), [5, 6, 5, 6]
    batch.captions.copy_(torch.tensor(captions))  # type: ignore[union-attr]
    batch.picture_numbers.copy_(torch.arange(4))  # type: ignore[union-attr]
    config = ReconParadigmConfig.model_validate({"contrast_weight": CONTRASTED, "decoder": {"num_heads": 2}})
    assert isinstance(imported.backbone_config, ReconConfig)
    paradigm = Recon(
        config, ReconTransformer(imported.backbone_config), Given(num_classes=3, providers=providers)
    ).eval()
    assert paradigm.exported().keys() == imported.modules.keys()
    for name, module in paradigm.exported().items():
        load_weights(module, imported.modules[name].state_dict())
    torch.manual_seed(3)
    found = paradigm(batch)

    torch.manual_seed(3)
    patches = paradigm.backbone.group(batch)
    mask = draw_mask(patches.centres, config.mask)
    student = naive.under(state, "MAE_encoder.")
    tokens = naive.embed(naive.under(student, "encoder."), patches.neighbourhoods)
    seen, unseen = (of_clouds(patches.centres, rows) for rows in (mask.visible, mask.hidden))
    encoded = naive.recon_encode(student, of_clouds(tokens, mask.visible), seen)
    rebuilt = naive.linear(
        state, "increase_dim.0", naive.decode(state, "MAE_decoder", encoded[:, 3:], seen, unseen)
    )
    hidden = of_clouds(patches.neighbourhoods, mask.hidden)
    expected = {
        "reconstruction": chamfer(rebuilt.unflatten(2, (-1, 3)), hidden),
        "image": F.smooth_l1_loss(naive.linear(state, "img_proj", encoded[:, 1]), pictures),
        "text": F.smooth_l1_loss(naive.linear(state, "text_proj", encoded[:, 2]), texts.repeat(2, 1)),
        "contrast": class_contrast(naive.under(state, "cls_proj."), encoded[:, 0], captions),
    }
    for name, loss in expected.items():
        torch.testing.assert_close(
            found.metrics[name], loss, atol=1e-5, rtol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
        )
    total = (
        expected["reconstruction"] + expected["image"] + expected["text"] + CONTRASTED * expected["contrast"]
    )
    torch.testing.assert_close(found.loss, total, atol=1e-5, rtol=1e-5)


def test_the_projection_of_the_class_query_is_read_and_goes_back(state: dict[str, Tensor]) -> None:
    imported = import_checkpoint(state)
    assert not imported.report.unused
    assert imported.modules["class_projection"].state_dict()["3.bias"].equal(state["cls_proj.3.bias"])
    back = export_checkpoint(imported).weights
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], state[key]) for key in state)
