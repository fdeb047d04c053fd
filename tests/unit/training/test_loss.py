"""Losses against values computed by hand, and the paper's claim about gradients."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import Tensor

from tinydet.training.data.batch import Target
from tinydet.training.loss.assigner import DynamicAssigner, SizeAssigner
from tinydet.training.loss.dcloss import GradientBalance, band_of
from tinydet.training.loss.detection import DetectionLoss, build_assigner, build_loss
from tinydet.training.loss.mask import covered_cells, mask_loss
from tinydet.training.loss.points import Points, make_points
from tinydet.training.loss.similarity import diou, iou, nwd
from tinydet.training.model import RawOutputs, build_detector, model_config
from tinydet.training.model.config import Fbsm
from tinydet.training.recipes.recipe import Balance

CLASSES = ("small-vehicle", "large-vehicle")


def make_target(boxes: list[list[float]], class_ids: list[int] | None = None) -> Target:
    return Target(
        boxes_xyxy_px=torch.tensor(boxes).reshape(-1, 4),
        class_ids=torch.tensor(class_ids if class_ids is not None else [0] * len(boxes), dtype=torch.int64),
        labelled=torch.ones(len(CLASSES), dtype=torch.bool),
        ignored_xyxy_px=torch.zeros(0, 4),
    )


def random_raw(seed: int, size: int = 128) -> RawOutputs:
    torch.manual_seed(seed)
    sides = [size // stride for stride in (4, 8, 16)]
    logits = [torch.randn(1, 2, side, side, requires_grad=True) for side in sides]
    distances = [(torch.rand(1, 4, side, side) * 2 + 0.5).requires_grad_() for side in sides]
    return RawOutputs(logits, distances, [])


def test_iou_diou_and_nwd_of_boxes_computed_by_hand() -> None:
    a = torch.tensor([0.0, 0.0, 4.0, 4.0])
    b = torch.tensor([2.0, 0.0, 6.0, 4.0])
    assert iou(a, b).item() == pytest.approx(8 / 24, abs=1e-6)
    assert diou(a, b).item() == pytest.approx(8 / 24 - 4 / 52, abs=1e-6)
    assert nwd(a, b, constant_px=12.7).item() == pytest.approx(math.exp(-2 / 12.7), abs=1e-4)
    c = torch.tensor([1.0, 0.0, 3.0, 4.0])  # same centre, half the width: only the size term counts
    assert nwd(a, c, constant_px=12.7).item() == pytest.approx(math.exp(-1 / 12.7), abs=1e-4)


def test_bands_are_those_of_ai_tod() -> None:
    sides = [7.9, 8.0, 15.9, 16.0, 31.9, 32.0]
    boxes = torch.tensor([[0.0, 0.0, side, side] for side in sides])
    assert band_of(boxes).tolist() == [0, 1, 1, 2, 2, 3]


def test_every_cell_a_box_touches_is_covered() -> None:
    boxes = torch.tensor([[3.0, 5.0, 9.0, 7.0], [28.0, 28.0, 32.0, 32.0]])
    cells = covered_cells([boxes], height=8, width=8, stride=4)[0, 0]
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[1, 0:3] = True
    expected[7, 7] = True
    assert torch.equal(cells, expected)


def test_overlapping_boxes_cover_a_cell_once() -> None:
    cells = covered_cells([torch.tensor([[0.0, 0.0, 8.0, 8.0]] * 3)], height=4, width=4, stride=4)
    assert cells.sum() == 4


IGNORED = torch.tensor([[64.0, 0.0, 128.0, 128.0]])  # the right half
ON_THE_LEFT = [[20.0, 20.0, 32.0, 32.0]]


def test_an_ignored_region_sends_no_gradient() -> None:
    """Neither positive nor negative: the network's output there does not change class and mask loss."""
    raw = random_raw(3)
    masks = [torch.randn(1, 1, side, side, requires_grad=True) for side in (32, 16, 8)]
    target = replace(make_target(ON_THE_LEFT), ignored_xyxy_px=IGNORED)
    loss = DetectionLoss((4, 8, 16), SizeAssigner(), balance="object")(
        RawOutputs(raw.logits, raw.distances, masks), [target]
    )
    loss.total.backward()
    for level in [*raw.logits, *masks]:
        assert level.grad is not None
        half = level.shape[-1] // 2
        assert not level.grad[..., half:].any()
        assert level.grad[..., :half].all()


def test_an_object_inside_an_ignored_region_is_still_learned() -> None:
    raw = random_raw(4)
    target = replace(make_target([[80.0, 80.0, 92.0, 92.0]]), ignored_xyxy_px=IGNORED)
    loss = DetectionLoss((4, 8, 16), SizeAssigner(), balance="object")(raw, [target])
    loss.total.backward()
    assert loss.positives > 0
    assert raw.logits[0].grad is not None and raw.logits[0].grad[0, 0, 21, 21] != 0
    assert mask_loss([torch.zeros(1, 1, 32, 32)], [target], (4,)) > 0


def _perfect_boxes(points: Points, box: list[float]) -> Tensor:
    return torch.tensor(box).expand(len(points.strides), 4).clone()


def test_the_dynamic_assigner_takes_near_cells_and_gives_each_to_one_object() -> None:
    points = make_points([torch.zeros(1, 1, 32 // s * 4, 32 // s * 4) for s in (4, 8, 16)], (4, 8, 16))
    target = make_target([[20.0, 20.0, 32.0, 32.0], [26.0, 20.0, 38.0, 32.0]])
    boxes = _perfect_boxes(points, [20.0, 20.0, 32.0, 32.0])
    assignment = DynamicAssigner()(points, torch.zeros(len(boxes), 2), boxes, target)
    assert len(assignment.positives) == len(set(assignment.positives.tolist()))
    assert set(assignment.objects.tolist()) == {0, 1}
    centres = (target.boxes_xyxy_px[:, :2] + target.boxes_xyxy_px[:, 2:]) / 2
    distance = (points.centres_px[assignment.positives] - centres[assignment.objects]).norm(dim=1)
    assert (distance < 2.5 * points.strides[assignment.positives]).all()


def test_nwd_gives_a_tiny_object_more_cells_than_iou_alone() -> None:
    points = make_points([torch.zeros(1, 1, 16, 16)], (4,))
    target = make_target([[30.0, 30.0, 35.0, 35.0]])
    boxes = torch.cat([points.centres_px - 2.5, points.centres_px + 2.5], dim=1)
    counts = [
        len(DynamicAssigner(use_nwd=use)(points, torch.zeros(256, 2), boxes, target).positives) for use in (True, False)
    ]
    assert counts[0] > counts[1] >= 1


def test_size_assigner_sends_tiny_objects_to_p2_and_large_ones_up() -> None:
    strides = (4, 8, 16, 32, 64)
    points = make_points([torch.zeros(1, 1, 512 // s, 512 // s) for s in strides], strides)
    target = make_target([[100.0, 100.0, 106.0, 106.0], [100.0, 100.0, 300.0, 300.0], [0.0, 0.0, 500.0, 500.0]])
    assignment = SizeAssigner()(points, torch.zeros(0), torch.zeros(0), target)
    levels = {
        index: set(points.levels[assignment.positives[assignment.objects == index]].tolist()) for index in range(3)
    }
    assert levels == {0: {0}, 1: {3}, 2: {4}}


@pytest.mark.parametrize("assigner", [DynamicAssigner(), SizeAssigner()])
def test_no_object_no_positive(assigner: DynamicAssigner | SizeAssigner) -> None:
    raw = random_raw(0)
    loss = DetectionLoss((4, 8, 16), assigner, balance="object")(raw, [make_target([])])
    assert loss.positives == 0
    assert loss.objects == 0
    assert loss.boxes == 0
    loss.total.backward()
    assert raw.logits[0].grad is not None and torch.isfinite(raw.logits[0].grad).all()


def test_an_unlabelled_class_is_neither_positive_nor_negative() -> None:
    raw = random_raw(1)
    target = Target(
        boxes_xyxy_px=torch.tensor([[40.0, 40.0, 52.0, 52.0]]),
        class_ids=torch.tensor([0]),
        labelled=torch.tensor([True, False]),
        ignored_xyxy_px=torch.zeros(0, 4),
    )
    loss = build_loss(model_config("n", CLASSES))(raw, [target])
    loss.total.backward()
    for logits in raw.logits:
        assert logits.grad is not None
        assert (logits.grad[:, 1] == 0).all()
        assert (logits.grad[:, 0] != 0).any()


@pytest.mark.parametrize("balance", ["object", "band"])
def test_dcloss_with_one_band_is_the_plain_loss_exactly(balance: Balance) -> None:
    target = make_target([[40.0, 40.0, 52.0, 52.0], [80.0, 20.0, 94.0, 30.0]], [0, 1])
    balanced = DetectionLoss((4, 8, 16), DynamicAssigner(), balance=balance)
    plain = DetectionLoss((4, 8, 16), DynamicAssigner(), balance="none")
    for seed in range(3):
        raw = random_raw(seed)
        assert balanced(raw, [target]).total.item() == plain(raw, [target]).total.item()


@pytest.mark.parametrize("per_object", [True, False])
def test_dcloss_weights_keep_the_total_and_respect_the_clip(*, per_object: bool) -> None:
    balance = GradientBalance(3, per_object=per_object, momentum=0.0, max_weight=2.0)
    balance.update(torch.tensor([0, 0, 0, 1]), torch.tensor([4.0, 4.0, 4.0, 0.1]), torch.ones(4))
    share, weights = balance.gradient_share, balance.weights()
    assert (weights * share).sum().item() == pytest.approx(share.sum().item(), rel=1e-6)
    assert 1.5 < weights[1] / weights[0] <= 4.0 + 1e-6
    assert weights[2] == 1  # never seen


def test_per_object_the_number_of_objects_does_not_count_and_that_of_their_cells_does() -> None:
    """77 tiny objects, 20 small ones and 3 larger ones, as in `tiny`; magnitudes worked by hand."""
    bands = torch.tensor([1] * 77 + [2] * 20 + [3] * 3)
    per_object, per_band = GradientBalance(4), GradientBalance(4, per_object=False)
    for balance in (per_object, per_band):
        balance.update(bands, torch.full((100,), 0.3), torch.ones(100))
    assert per_object.weights().tolist() == pytest.approx([1, 1, 1, 1])
    weights = per_band.weights().tolist()
    assert weights[1] < 0.8 < 1.5 < weights[2]

    halves = GradientBalance(2)  # the first object has two cells, and so twice the pull of the second
    halves.update(torch.tensor([0, 0, 1]), torch.ones(3), torch.tensor([0.5, 0.5, 1.0]))
    assert halves.weights().tolist() == pytest.approx([0.75, 1.5])


def test_a_balance_per_object_holds_over_steps_in_which_a_band_has_no_object() -> None:
    balance = GradientBalance(2, momentum=0.9)
    balance.update(torch.tensor([0, 1]), torch.tensor([1.0, 1.5]), torch.ones(2))
    before = balance.weights()
    for _ in range(30):
        balance.update(torch.tensor([0, 0]), torch.tensor([1.0, 1.0]), torch.ones(2))
    assert float(before[0] / before[1]) == pytest.approx(1.5)
    after = balance.weights()
    assert float(after[0] / after[1]) == pytest.approx(1.5, rel=1e-4)


@pytest.mark.parametrize("balance", ["object", "band"])
def test_pulls_of_two_bands_converge_to_equal_ones(balance: Balance) -> None:
    """Train a real network on objects of two bands, three tiny and two small: the pulls sent back must even out."""
    torch.manual_seed(0)
    model = build_detector(model_config("n", CLASSES)).train()
    tiny = [[8.0 + 20 * i, 8.0, 17.0 + 20 * i, 17.0] for i in range(3)]
    target = make_target([*tiny, [70.0, 90.0, 100.0, 120.0], [20.0, 90.0, 50.0, 120.0]])
    images = torch.rand(1, 3, 128, 128)
    loss = build_loss(model.config, balance=balance)
    loss.assigner = SizeAssigner()
    assert loss.class_balance is not None and loss.box_balance is not None
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    for _ in range(12):
        optimizer.zero_grad()
        loss(model(images), [target]).total.backward()
        optimizer.step()
    objects = torch.tensor([3.0, 2.0]) if balance == "object" else torch.ones(2)
    for term in (loss.class_balance, loss.box_balance):
        pull = term.gradient_share[1:3] / objects
        assert not 0.8 < pull[0] / pull[1] < 1.25  # without balance, one band pulls harder
        weighted = term.weights()[1:3] * pull
        assert weighted[0] / weighted[1] == pytest.approx(1.0, abs=0.05)


def test_the_state_of_the_balance_is_that_of_earlier_versions_per_band_and_has_objects_per_object() -> None:
    names = {
        balance: set(build_loss(model_config("n", CLASSES), balance=balance).state_dict())
        for balance in get_args(Balance)
    }
    shares = {"class_balance.gradient_share", "box_balance.gradient_share"}
    objects = {"class_balance.object_share", "box_balance.object_share"}
    assert names == {"object": shares | objects, "band": shares, "none": set()}


def test_the_top_levels_get_gradient_from_tiny_objects_only_in_efpn_bs() -> None:
    """Gradient that tiny objects send back (class and box terms of the cells that answer for them).

    In the plain FPN the weights that belong to P5 and P6 alone hear nothing at all. In E-FPN-BS the weights over P5
    and P6 are the CEM's, and every tiny object reaches them.
    """
    target = make_target([[20.0 + 30 * i, 40.0, 30.0 + 30 * i, 50.0] for i in range(4)])
    images = torch.rand(1, 3, 128, 128)

    def object_gradients(neck: str) -> dict[str, float]:
        torch.manual_seed(0)
        own = neck == "efpn-bs"
        model = build_detector(model_config("n", CLASSES, neck=neck, cem=own, fbsm="gate" if own else "off")).train()
        loss = build_loss(model.config)(model(images), [target])
        assert loss.positives >= 4
        (loss.objects + loss.boxes).backward()
        return {
            name: 0.0 if parameter.grad is None else float(parameter.grad.norm())
            for name, parameter in model.named_parameters()
        }

    plain = object_gradients("fpn")
    idle = [name for name in plain if name.startswith(("neck.outputs.3", "neck.outputs.4", "heads.3", "heads.4"))]
    assert len(idle) > 10
    assert all(plain[name] == 0 for name in idle)
    assert plain["heads.0.distances.weight"] > 0

    enhanced = object_gradients("efpn-bs")
    for name in ("neck.cem.compress_p5.weight", "neck.cem.compress_p6.weight", "neck.cem.gate.weight"):
        assert enhanced[name] > 0


@pytest.mark.parametrize("fbsm", ["gate", "teacher"])
def test_the_mask_loss_reaches_the_features_before_the_gates(fbsm: Fbsm) -> None:
    """It reaches the mask's own layers and, through P2 to P4, neck and backbone; not what lies behind the gates."""
    torch.manual_seed(0)
    model = build_detector(model_config("n", CLASSES, fbsm=fbsm)).train()
    loss = build_loss(model.config)(model(torch.rand(1, 3, 128, 128)), [make_target([[20.0, 40.0, 30.0, 50.0]])])
    loss.mask.backward()
    reached = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    behind = ("heads.", "neck.outputs.")
    assert reached == {name for name, _ in model.named_parameters() if not name.startswith(behind)}


@pytest.mark.parametrize(
    ("neck", "dynamic", "expected"),
    [("efpn-bs", False, SizeAssigner), ("efpn-bs", True, DynamicAssigner), ("fpn", True, SizeAssigner)],
)
def test_the_dynamic_assigner_is_for_efpn_bs_alone(neck: str, dynamic: bool, expected: type) -> None:
    own = neck == "efpn-bs"
    config = model_config("n", CLASSES, neck=neck, cem=own, fbsm="gate" if own else "off")
    assert isinstance(build_assigner(config, nwd=True, dynamic=dynamic), expected)
