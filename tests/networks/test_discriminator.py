"""The discriminator in its three forms: equal to the plain definition over random shapes, and how it is called."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from anycost.architecture import ArchitectureSpace
from anycost.benchmarks.plain_discriminator import PlainDiscriminator
from anycost.errors import UserError
from anycost.losses import discriminator_loss, r1_penalty
from anycost.networks.discriminator import Discriminator, minibatch_std

SPACE = ArchitectureSpace(32, 0.02, 8, num_resolutions=3)


@torch.no_grad()
def liven(network: nn.Module) -> None:
    """Move biases off zero, so that an error in any of them shows."""
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            parameter.add_(0.3 * torch.randn_like(parameter))


def pictures(batch: int, resolution: int) -> Tensor:
    return torch.randn(batch, 3, resolution, resolution, dtype=torch.float64)


def code_of(ratio: float, space: ArchitectureSpace = SPACE) -> Tensor:
    return torch.tensor(space.one_hot(space.from_ratios([ratio] * space.num_points)), dtype=torch.float64)


@pytest.fixture(params=[(1, False), (3, False), (3, True)], ids=["single", "multi", "conditioned"])
def discriminator(request: pytest.FixtureRequest) -> Discriminator:
    network = Discriminator(SPACE, *request.param).double()
    liven(network)
    return network


@pytest.fixture
def conditioned() -> Discriminator:
    network = Discriminator(SPACE, 3, True).double()
    liven(network)
    return network


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Discriminator, PlainDiscriminator, Tensor, Tensor | None]:
    """A discriminator, the plain one of equal weights, images and, where it is conditioned, a code."""
    resolution = draw(st.sampled_from([8, 16, 32]))
    multiplier, cap = draw(st.sampled_from([(1, 5), (0.006, 8), (0.003, 4)]))
    entries, is_conditioned = draw(st.integers(1, resolution.bit_length() - 3)), draw(st.booleans())
    torch.manual_seed(draw(st.integers(0, 99)))
    space = ArchitectureSpace(resolution, multiplier, cap, num_resolutions=entries)
    fast = Discriminator(space, entries, is_conditioned).double()
    liven(fast)
    plain = PlainDiscriminator(resolution, multiplier, cap, entries, is_conditioned).double()
    plain.load_from(fast)
    side = draw(st.sampled_from(space.resolutions))
    ratio = draw(st.sampled_from(space.ratios))
    images = pictures(draw(st.sampled_from([1, 2, 3, 4, 8])), side)
    return fast, plain, images, code_of(ratio, space) if is_conditioned else None


def assert_same_gradients(fast: nn.Module, plain: nn.Module, losses: tuple[Tensor, Tensor]) -> None:
    found, wanted = (
        torch.autograd.grad(loss, tuple(network.parameters()), allow_unused=True, materialize_grads=True)
        for loss, network in zip(losses, (fast, plain), strict=True))
    names = [dict(zip((name for name, _ in network.named_parameters()), gradients, strict=True))
             for network, gradients in ((fast, found), (plain, wanted))]
    assert names[0].keys() == names[1].keys()
    for name, gradient in names[0].items():
        torch.testing.assert_close(gradient, names[1][name], rtol=1e-7, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}")


@given(pairs())
def test_logits_and_gradients_equal_the_plain_definition(
        pair: tuple[Discriminator, PlainDiscriminator, Tensor, Tensor | None]) -> None:
    fast, plain, images, code = pair
    logits, expected = fast(images, code), plain(images, code)
    assert logits.shape == (len(images),)
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-11)
    assert_same_gradients(fast, plain, (discriminator_loss(logits, logits), discriminator_loss(expected, expected)))


@given(pairs())
def test_r1_and_its_gradient_equal_the_plain_definition(
        pair: tuple[Discriminator, PlainDiscriminator, Tensor, Tensor | None]) -> None:
    fast, plain, images, code = pair
    images.requires_grad_()
    penalties = tuple(r1_penalty(images, network(images, code)) for network in (fast, plain))
    torch.testing.assert_close(penalties[0], penalties[1], rtol=1e-9, atol=1e-12)
    assert_same_gradients(fast, plain, penalties)


def test_batches_scored_together_are_as_if_alone(conditioned: Discriminator) -> None:
    """Real and fake of several resolutions and codes in one call: minibatch statistics never mix them."""
    inputs = [(pictures(4, 16), code_of(0.5)), (pictures(8, 32), code_of(0.25)), (pictures(2, 8), code_of(1.0)),
              (pictures(4, 32), code_of(0.75)), (pictures(4, 16), code_of(1.0))]
    together = conditioned.score(inputs)
    for (images, code), logits in zip(inputs, together, strict=True):
        torch.testing.assert_close(logits, conditioned(images, code), rtol=1e-10, atol=1e-12)


def test_groups_of_a_batch_are_interleaved(discriminator: Discriminator) -> None:
    """Image j of a batch of B belongs to group j mod B/4: rank r of 2 holds whole groups of the global batch."""
    images, code = pictures(8, 32), code_of(0.5)
    whole = discriminator(images, code)
    for rank in range(2):
        torch.testing.assert_close(discriminator(images[rank::2], code), whole[rank::2], rtol=1e-10, atol=1e-12)


def test_code_may_be_one_for_all_or_one_each(conditioned: Discriminator) -> None:
    images, code = pictures(4, 16), code_of(0.5)
    expected = conditioned(images, code)
    torch.testing.assert_close(conditioned(images, code.expand(4, -1)), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(conditioned(images, code[None]), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("resolution", [8, 16, 32])
def test_code_changes_the_logits_of_a_fresh_network(resolution: int) -> None:
    """The conditioning is not an identity at the start: its layers have PyTorch's own initial values."""
    network, images = Discriminator(SPACE, 3, True).double(), pictures(4, resolution)
    logits = [network(images, code_of(ratio)) for ratio in SPACE.ratios]
    assert all(not torch.allclose(logits[0], other) for other in logits[1:])


def test_conditioning_is_in_the_last_two_blocks_only(conditioned: Discriminator) -> None:
    names = {name.split(".condition.")[0] for name in conditioned.state_dict() if ".condition." in name}
    assert names == {f"blocks.{side}.{layer}" for side in (16, 8) for layer in ("conv1", "conv2", "skip")}


def test_initial_multiplicative_perturbation_is_that_of_the_official_code() -> None:
    network = Discriminator(ArchitectureSpace(1024, 0.5, 64), 4, True)
    layers = [module for name, module in network.named_modules() if name.endswith("condition.scale")]
    code = torch.tensor(ArchitectureSpace(1024, 0.5, 64).one_hot(ArchitectureSpace(1024, 0.5, 64).full()))
    drawn = torch.cat([layer(code) for layer in layers]).detach()
    assert drawn.std().item() == pytest.approx(0.29, abs=0.04)


@torch.no_grad()
def test_initial_values() -> None:
    network = Discriminator(ArchitectureSpace(32, 0.2, 32), 2)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            assert parameter.eq(0).all(), name
        elif parameter.numel() > 500:
            assert parameter.std().item() == pytest.approx(1, rel=0.1), name


@pytest.mark.parametrize("resolution", [4, 16, 64, 48])
def test_image_of_another_resolution_is_refused(resolution: int) -> None:
    with pytest.raises(UserError, match=str(resolution)):
        Discriminator(SPACE, 1).double()(pictures(4, resolution))


@pytest.mark.parametrize("shape", [(4, 1, 32, 32), (4, 3, 16, 32), (4, 3, 32, 16), (3, 32, 32)])
def test_image_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError):
        Discriminator(SPACE, 2).double()(torch.randn(shape, dtype=torch.float64))


@pytest.mark.parametrize("code", [None, torch.ones(31).double(), torch.ones(4, 8).double()])
def test_missing_or_foreign_code_is_refused(conditioned: Discriminator, code: Tensor | None) -> None:
    with pytest.raises(UserError, match="code"):
        conditioned(pictures(4, 32), code)


@pytest.mark.parametrize("batch", [5, 6, 7, 9])
def test_batch_that_does_not_split_into_groups_is_refused(discriminator: Discriminator, batch: int) -> None:
    with pytest.raises(UserError, match=str(batch)):
        discriminator(pictures(batch, 32), code_of(0.5))


@pytest.mark.parametrize("num_resolutions", [0, 4, 9])
def test_impossible_number_of_resolutions_is_refused(num_resolutions: int) -> None:
    """A 32 px discriminator has blocks, and so entries, at 32, 16 and 8 px."""
    with pytest.raises(UserError):
        Discriminator(SPACE, num_resolutions)


def test_model_without_a_block_is_refused() -> None:
    with pytest.raises(UserError):
        Discriminator(ArchitectureSpace(4, 1, 8, num_resolutions=1), 1)


def test_minibatch_deviation_of_constant_images() -> None:
    """[A §2]: samples that are constant 0..7 give 2.2361 for all of them."""
    x = torch.arange(8.0, dtype=torch.float64)[:, None, None, None].expand(8, 2, 4, 4)
    out = minibatch_std(x)
    assert out.shape == (8, 3, 4, 4)
    assert torch.equal(out[:, :2], x)
    assert out[:, 2].flatten().tolist() == pytest.approx([2.2360679797] * 128, abs=5e-9)


def test_minibatch_deviation_groups() -> None:
    x = torch.tensor([0.0, 0, 1, 0, 2, 0, 3, 0]).double()[:, None, None, None].expand(8, 1, 2, 2)
    plane = minibatch_std(x)[:, 1, 0, 0]
    assert plane.tolist() == pytest.approx([1.25**0.5, 1e-4] * 4, abs=1e-7)


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 8, 12])
def test_minibatch_deviation_naive(batch: int) -> None:
    x = torch.randn(batch, 3, 2, 2, dtype=torch.float64)
    out, members = minibatch_std(x), min(batch, 4)
    for j in range(batch):
        group = [k for k in range(batch) if k % (batch // members) == j % (batch // members)]
        assert len(group) == members
        spread = ((x[group] - x[group].mean(0)).square().mean(0) + 1e-8).sqrt().mean()
        torch.testing.assert_close(out[j, 3], spread.expand(2, 2), rtol=1e-10, atol=1e-12)


def test_bf16_computes_close_to_fp32_and_returns_fp32(discriminator: Discriminator) -> None:
    network, images, code = discriminator.float(), pictures(8, 32).float(), code_of(0.5).float()
    expected = network(images, code)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(images, code)
    assert logits.dtype == torch.float32
    assert not torch.equal(logits, expected), "autocast must reach the convolutions"
    assert (logits - expected).norm() < 0.05 * expected.norm()


@pytest.mark.parametrize("kind", ["usual", "bf16", "r1"])
def test_recomputing_blocks_changes_no_gradient(discriminator: Discriminator, kind: str) -> None:
    images, code = pictures(4, 32).float().requires_grad_(), code_of(0.5).float()
    gradients = []
    for discriminator.float().checkpointing in (False, True):
        discriminator.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=kind == "bf16"):
            logits = discriminator(images, code)
        (r1_penalty(images, logits) if kind == "r1" else logits.square().sum()).backward()
        gradients.append([parameter.grad for parameter in discriminator.parameters()])
    for usual, again in zip(*gradients, strict=True):
        assert (usual is None) == (again is None)
        assert usual is None or torch.equal(usual, again)
