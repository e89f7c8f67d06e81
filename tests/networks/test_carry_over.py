"""Weights carried over between the stages: what is kept, what stays fresh, what is refused."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from anycost.architecture import ArchitectureSpace
from anycost.errors import UserError
from anycost.networks.carry_over import carry_over
from anycost.networks.discriminator import Discriminator
from anycost.networks.generator import Generator

SPACE = ArchitectureSpace(32, 0.02, 8, num_resolutions=3)


def images(resolution: int = 32) -> Tensor:
    return torch.randn(4, 3, resolution, resolution, dtype=torch.float64)


def code() -> Tensor:
    return torch.tensor(SPACE.one_hot(SPACE.uniform(0.5)), dtype=torch.float64)


def copies(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def test_multi_resolution_at_the_top_is_the_single_one() -> None:
    single, multi = Discriminator(SPACE, 1).double(), Discriminator(SPACE, 3).double()
    x = images()
    assert not torch.allclose(multi(x), single(x))
    report = carry_over(single.state_dict(), multi)
    assert torch.equal(multi(x), single(x))
    assert sorted(report.fresh) == sorted(f"from_rgb.{r}.{kind}" for r in (8, 16) for kind in ("weight", "bias"))
    assert sorted(report.copied) == sorted(single.state_dict())
    assert not report.unused


def test_new_entries_keep_their_fresh_values() -> None:
    single, multi = Discriminator(SPACE, 1), Discriminator(SPACE, 3)
    before = copies(multi)
    report = carry_over(single.state_dict(), multi)
    assert all(torch.equal(multi.state_dict()[name], before[name]) for name in report.fresh)


@pytest.mark.parametrize("num_resolutions", [1, 3])
def test_conditioned_keeps_everything_but_the_conditioning(num_resolutions: int) -> None:
    """With its conditioning set to nothing, the carried-over network is the unconditioned one at every resolution."""
    multi, conditioned = Discriminator(SPACE, 3).double(), Discriminator(SPACE, num_resolutions, True).double()
    report = carry_over(multi.state_dict(), conditioned)
    assert all(".condition." in name for name in report.fresh)
    assert len(report.fresh) == 6 * 4
    with torch.no_grad():
        for name in report.fresh:
            conditioned.get_parameter(name).zero_()
    for resolution in conditioned.resolutions:
        x = images(resolution)
        torch.testing.assert_close(conditioned(x, code()), multi(x), rtol=1e-10, atol=1e-12)


def test_single_straight_to_conditioned() -> None:
    single, conditioned = Discriminator(SPACE, 1), Discriminator(SPACE, 3, True)
    report = carry_over(single.state_dict(), conditioned)
    kinds = {"from_rgb" if name.startswith("from_rgb") else "condition" for name in report.fresh}
    assert kinds == {"from_rgb", "condition"}
    assert len(report.copied) == len(single.state_dict())


def test_generator_renders_the_same_after_carry_over() -> None:
    first, second = (Generator(SPACE, latent_dim=6, mapping_layers=1).double() for _ in range(2))
    z = torch.randn(2, 6, dtype=torch.float64)
    report = carry_over(first.state_dict(), second)
    assert torch.equal(first(z), second(z))
    assert not report.fresh
    assert any(name.endswith("noise") for name in report.copied), "fixed noise belongs to the picture (trap 8)"


def test_memory_layout_of_the_target_stays() -> None:
    target = Discriminator(SPACE, 1)
    strides = {name: tensor.stride() for name, tensor in target.state_dict().items()}
    carry_over({name: tensor.contiguous() for name, tensor in Discriminator(SPACE, 1).state_dict().items()}, target)
    assert {name: tensor.stride() for name, tensor in target.state_dict().items()} == strides


def test_source_is_not_shared() -> None:
    source, target = Discriminator(SPACE, 1), Discriminator(SPACE, 1)
    carry_over(source.state_dict(), target)
    with torch.no_grad():
        source.final_dense.weight.zero_()
    assert target.final_dense.weight.ne(0).any()


def narrower(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return Discriminator(ArchitectureSpace(32, 0.02, 4, num_resolutions=3), 3).state_dict()


def without_a_block(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.startswith("blocks.16")}


def of_half_the_resolution(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return Discriminator(ArchitectureSpace(16, 0.02, 8, num_resolutions=2), 2).state_dict()


def of_a_generator(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return Generator(SPACE, latent_dim=6, mapping_layers=1).state_dict()


@pytest.mark.parametrize("broken", [narrower, without_a_block, of_half_the_resolution, of_a_generator])
def test_weights_that_do_not_fit_are_refused_before_anything_changes(
        broken: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    target = Discriminator(SPACE, 3)
    before = copies(target)
    with pytest.raises(UserError):
        carry_over(broken(target.state_dict()), target)
    assert all(torch.equal(tensor, before[name]) for name, tensor in target.state_dict().items())
