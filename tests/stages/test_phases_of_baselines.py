"""The phases of reduced discriminators and of MSG-GAN, one by one: what is penalised, and what it reaches."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from anycost.configuration.composition import compose
from anycost.data.batches import Batch
from anycost.errors import UserError
from anycost.interchange.loading import load
from anycost.interchange.weights import read_weights, write_weights
from anycost.stages.base import AdversarialStage
from anycost.training.stage_run import build_stage

SMALL = [
    "data.resolution=16", "model.multiplier=0.03125", "model.channel_cap=24", "model.latent_dim=16",
    "model.mapping_layers=1", "init_from=none", "trainer=cpu", "trainer.precision=64", "features=embedded",
]
STAGES = {
    "msg_gan": ["stage=msg_gan"],
    "reduced": ["stage=ada_ch", "stage.discriminator=reduced", "stage.consistency.weight=0"],
}
Build = Callable[..., AdversarialStage]


@pytest.fixture(autouse=True)
def _quiet(quiet_torch: None) -> None:
    """Every test here."""


@pytest.fixture
def build() -> Build:
    """`build(name, *overrides)`: the stage in float64, ready for its phases, without a Trainer."""

    def make(name: str, *overrides: str) -> AdversarialStage:
        stage = build_stage(compose(*STAGES[name], *SMALL, *overrides)).double()
        stage.configure_optimizers()
        stage.on_fit_start()
        return stage

    return make


@pytest.fixture
def batch() -> Batch:
    images = {side: torch.randint(0, 256, (8, 3, side, side), dtype=torch.uint8) for side in (8, 16)}
    return {"index": torch.arange(8), "images": images}


def silent(stage: AdversarialStage, network: str) -> list[str]:
    """Parameters of the network that the last phase gave no gradient."""
    return [name for name, parameter in getattr(stage, network).named_parameters() if not parameter.grad.any()]


@pytest.mark.parametrize("name", list(STAGES))
def test_gradients_reach_every_layer(build: Build, batch: Batch, name: str) -> None:
    """Two sampled resolutions of the reduced one reach both entries, as all of MSG-GAN's do at once."""
    stage = build(name, *(["stage.sampled_resolutions=2"] if name == "reduced" else []))
    stage.values = {}
    plan = stage.planner.plan(0)
    stage.discriminator_phase(plan, [batch])
    assert silent(stage, "discriminator") == []
    stage.generator_phase(plan, [batch])
    assert silent(stage, "generator") == []
    stage.r1_phase(plan, [batch])
    weights = {name for name in silent(stage, "discriminator") if name.endswith("weight")}  # slopes have no biases
    assert weights == _unused_weights(stage, plan.r1_resolutions)


def _unused_weights(stage: AdversarialStage, used: tuple[int, ...]) -> set[str]:
    """The weights of the entries that R1 did not look at, and of the block above."""
    above = ["blocks.16.conv1.weight", "blocks.16.conv2.weight", "blocks.16.skip.weight"] if 16 not in used else []
    return {f"from_rgb.{side}.weight" for side in stage.resolutions if side not in used} | set(above)


def test_r1_of_a_pyramid_is_the_squared_slope_at_all_its_pictures(build: Build, batch: Batch) -> None:
    stage = build("msg_gan")
    stage.values = {}
    plan = stage.planner.plan(0)
    assert plan.r1_resolutions == plan.discriminator_resolutions == plan.generator_resolutions == (8, 16)
    images = {side: (x.double() / 127.5 - 1).requires_grad_() for side, x in batch["images"].items()}
    ((logits,),) = stage.discriminator.judge([(images, stage.space.full())])
    slopes = torch.autograd.grad(logits.sum(), list(images.values()))
    stage.r1_phase(plan, [batch])
    expected = sum(slope.square().flatten(1).sum(1) for slope in slopes).mean().item()
    assert stage.values["train/r1"] == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("told", ["real", "fake"])
def test_r1_of_a_reduced_discriminator_is_at_the_ratio_it_is_told(build: Build, batch: Batch, told: str) -> None:
    stage = build("reduced", f"stage.r1.architecture={told}")
    stage.values = {}
    plan = next(plan for plan in map(stage.planner.plan, range(0, 800, 8))
                if plan.real_architecture.ratios[0] == 1 and plan.fake_architecture.ratios[0] == 0.25)
    (side,) = plan.r1_resolutions
    images = (batch["images"][side].double() / 127.5 - 1).requires_grad_()
    architecture = plan.real_architecture if told == "real" else plan.fake_architecture
    ((logits,),) = stage.discriminator.judge([({side: images}, architecture)])
    (slope,) = torch.autograd.grad(logits.sum(), images)
    stage.r1_phase(plan, [batch])
    expected = slope.square().flatten(1).sum(1).mean().item()
    assert stage.values["train/r1"] == pytest.approx(expected, rel=1e-10)


def test_reals_and_fakes_are_judged_at_their_own_ratios(build: Build, batch: Batch) -> None:
    stage = build("reduced", "stage.sampled_resolutions=1")
    stage.values = {}
    plan = next(plan for plan in map(stage.planner.plan, range(0, 800, 8))
                if plan.real_architecture.ratios[0] == 0.5 and plan.fake_architecture.ratios[0] == 0.25)
    (side,) = plan.discriminator_resolutions
    images = batch["images"][side].double() / 127.5 - 1
    ((logits,),) = stage.discriminator.judge([({side: images}, stage.space.uniform(0.5))])
    stage.discriminator_phase(plan, [batch])
    assert stage.values["train/real_logit"] == pytest.approx(logits.mean().item(), rel=1e-10)
    widths = stage.space.uniform(0.5).channels
    entry = stage.discriminator.get_parameter(f"from_rgb.{side}.weight").grad
    used = int(entry.flatten(1).any(1).sum())
    assert used == widths[-1 if side == 16 else -3]


def test_what_msg_gan_shows(build: Build) -> None:
    assert build("msg_gan").shown_architectures() == ["full", "full@8"]


def test_weights_of_msg_gan_hold_its_discriminator_and_load(build: Build, tmp_path: Path) -> None:
    stage, file = build("msg_gan"), tmp_path / "weights.safetensors"
    write_weights(file, *stage.results())
    tensors, header = read_weights(file)
    assert header.kind == "training"
    for name, tensor in stage.discriminator.state_dict().items():
        assert torch.equal(tensors[f"discriminator.{name}"], tensor)
    generator, z = load(str(file)), torch.randn(2, 16)
    assert generator(z, generator.space.parse("full@8")).shape == (2, 3, 8, 8)


def test_a_reduced_discriminator_takes_over_that_of_multires(build: Build) -> None:
    multires = build_stage(compose("stage=multires", *SMALL)).double()
    stage = build("reduced", "stage.sort_channels=false")
    report = stage.initialise(multires.results()[0])
    assert "fresh" not in report
    assert "unused" not in report
    for name, tensor in multires.discriminator.state_dict().items():
        assert torch.equal(stage.discriminator.state_dict()[name], tensor)


@pytest.mark.parametrize("mode", ["flexible", "sandwich"])
def test_reduced_discriminators_are_for_uniform_architectures(mode: str) -> None:
    with pytest.raises(UserError, match=rf"stage\.discriminator=reduced.*stage\.mode={mode}"):
        compose(*STAGES["reduced"], *SMALL, f"stage.mode={mode}")


def test_msg_gan_of_more_resolutions_than_there_are_is_refused() -> None:
    with pytest.raises(UserError, match=r"stage\.num_resolutions=3 does not fit data\.resolution=16"):
        compose(*STAGES["msg_gan"], *SMALL, "stage.num_resolutions=3")
