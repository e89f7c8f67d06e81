"""What data-parallel training costs: operations of each phase, bytes that its all-reduce moves, and what follows.

Tensors are PyTorch's fake ones, which have shapes and no values, so config-F at 1024 px is counted in seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision.models import vgg16

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.benchmarks.limits import count_operations
from anycost.configuration.schema import TrainConfig
from anycost.configuration.stage_schema import AdaChConfig, MultiresConfig, StageConfig
from anycost.losses import discriminator_loss, generator_loss, path_lengths, r1_penalty
from anycost.networks.discriminator import Discriminator
from anycost.networks.generator import Generator
from anycost.stages.spaces import discriminator_space, model_space

GROUP = 4
"""Images counted at a time: the least that the minibatch deviation takes, and what a GPU of the paper's eight has."""


@dataclass(frozen=True)
class PhaseCost:
    """One phase of a step.

    Args:
        operations: floating-point operations (2 per multiply-add) for one image of the batch, forward and backward.
        reduced_bytes: what every process gives to the phase's one all-reduce: the network's gradients.
        every: steps from one such phase to the next.
    """

    name: str
    operations: float
    reduced_bytes: int
    every: int


@dataclass(frozen=True)
class StepCost:
    """The phases of a step of one stage."""

    phases: tuple[PhaseCost, ...]

    @property
    def operations(self) -> float:
        """Per image, phases that are not due in every step taken at their share."""
        return sum(phase.operations / phase.every for phase in self.phases)

    @property
    def reduced_bytes(self) -> float:
        """Per step and process, likewise."""
        return sum(phase.reduced_bytes / phase.every for phase in self.phases)

    def compute_sec(self, images: int, operations_per_sec: float) -> float:
        """One process's arithmetic of a step with `images` of its own."""
        return images * self.operations / operations_per_sec

    def moved_bytes(self, processes: int) -> float:
        """What a ring all-reduce sends from each process in a step: `2 (W - 1) / W` times the gradients."""
        return 2 * (processes - 1) / processes * self.reduced_bytes

    def efficiency(self, processes: int, images: int, operations_per_sec: float, bytes_per_sec: float) -> float:
        """The share of a step that is arithmetic: a phase's all-reduce follows it and hides behind nothing."""
        compute = self.compute_sec(images, operations_per_sec)
        return compute / (compute + self.moved_bytes(processes) / bytes_per_sec)

    def bandwidth_for(self, efficiency: float, processes: int, images: int, operations_per_sec: float) -> float:
        """Bytes per second and process at which that share is reached."""
        allowed = self.compute_sec(images, operations_per_sec) * (1 / efficiency - 1)
        return self.moved_bytes(processes) / allowed


def step_cost(config: TrainConfig) -> StepCost:
    """What a step of `config.stage` (stylegan2, multires or ada_ch) costs; draws are taken at their mean."""
    networks = _Networks(config)
    with FakeTensorMode(allow_non_fake_inputs=True):
        return _step_cost(config.stage, networks)


def _step_cost(stage: StageConfig, networks: "_Networks") -> StepCost:
    g_bytes, d_bytes = (_bytes(network) for network in (networks.generator, networks.discriminator))
    phases = [
        PhaseCost("discriminator", networks.mean(networks.discriminator_operations), d_bytes, 1),
        PhaseCost("generator", networks.mean(networks.generator_operations), g_bytes, 1),
    ]
    if stage.r1.gamma:
        penalty = fmean(map(networks.r1_operations, networks.resolutions))
        phases.append(PhaseCost("r1", penalty, d_bytes, stage.r1.every))
    if stage.path_length.weight and not isinstance(stage, MultiresConfig):
        share = networks.path_length_operations() / stage.path_length.batch_shrink
        phases.append(PhaseCost("path_length", share, g_bytes, stage.path_length.every))
    return StepCost(tuple(phases))


def _bytes(network: nn.Module) -> int:
    return sum(4 * parameter.numel() for parameter in network.parameters())


class _Networks:
    """The networks of a stage, and the operations of its phases for one draw."""

    def __init__(self, config: TrainConfig) -> None:
        stage: StageConfig = config.stage
        multires = isinstance(stage, MultiresConfig)
        self.sampled = stage.sampled_resolutions if isinstance(stage, MultiresConfig) else 1
        self.compares = isinstance(stage, MultiresConfig) and stage.consistency.weight > 0
        self.perceptual = isinstance(stage, MultiresConfig) and stage.consistency.perceptual == "lpips"
        count = stage.num_resolutions if isinstance(stage, MultiresConfig) else 1
        self.space: ArchitectureSpace = model_space(config.model, count)
        conditioned = isinstance(stage, AdaChConfig) and stage.discriminator == "conditioned"
        self.generator = Generator(self.space, config.model.latent_dim, config.model.mapping_layers)
        self.discriminator = Discriminator(discriminator_space(config.model, self.space), count, conditioned)
        self.vgg = vgg16().features[:30].requires_grad_(False) if self.perceptual else None
        self.resolutions = tuple(self.discriminator.resolutions)
        ratios = self.space.ratios if isinstance(stage, AdaChConfig) else (1.0,)
        self.draws = [
            (self.space.uniform(ratio), resolution)
            for ratio in ratios
            for resolution in (self.resolutions if multires else self.resolutions[-1:])
        ]

    def mean(self, operations: Callable[[Architecture, int], float]) -> float:
        """Over the uniform widths and the resolutions, which are drawn evenly; several in a phase count one by one."""
        return fmean(operations(architecture, resolution) for architecture, resolution in self.draws)

    def discriminator_operations(self, architecture: Architecture, resolution: int) -> float:
        """Fakes without gradient, then reals and fakes through the discriminator and back."""
        self.discriminator.requires_grad_(True)

        def phase() -> None:
            with torch.no_grad():
                fakes = self._pictures(architecture, resolution, self._styles())
            real, fake = self.discriminator.score([(self._images(resolution), self._code()), (fakes, self._code())])
            discriminator_loss(real, fake).backward()

        return self._per_image(phase)

    def generator_operations(self, architecture: Architecture, resolution: int) -> float:
        """Pictures through the frozen discriminator and back, and the comparison with the full generator's."""
        self.discriminator.requires_grad_(False)
        full = architecture.channels == self.space.full_channels
        top = self.space.resolution

        def phase() -> None:
            w_plus = self._styles()
            pictures = self._pictures(architecture, resolution, w_plus)
            loss = generator_loss(self.discriminator.score([(pictures, self._code())])[0])
            if self.compares and not (full and resolution == top):
                with torch.no_grad():
                    self._pictures(self.space.full(), top, w_plus)
                loss = loss + pictures.square().mean() + self._perceptual(pictures)
            loss.backward()

        return self._per_image(phase)

    def r1_operations(self, resolution: int) -> float:
        """A gradient of the discriminator, differentiated again."""
        self.discriminator.requires_grad_(True)

        def phase() -> None:
            images = self._images(resolution).requires_grad_()
            r1_penalty(images, self.discriminator(images, self._code())).backward()

        return self._per_image(phase, sampled=1)

    def path_length_operations(self) -> float:
        """A gradient of the full generator, differentiated again; per image of the phase's smaller batch."""
        top = self.space.resolution

        def phase() -> None:
            w_plus = self.generator.styles(self._latents()[:, :1])
            pictures = self.generator.synthesize(w_plus, self.space.full(), self._noises(), (top,))[top]
            path_lengths(pictures, w_plus, torch.empty_like(pictures)).sum().backward()

        return self._per_image(phase, sampled=1)

    def _per_image(self, phase: Callable[[], None], sampled: int | None = None) -> float:
        for network in (self.generator, self.discriminator):
            network.zero_grad()
        return count_operations(phase) / GROUP * (self.sampled if sampled is None else sampled)

    def _styles(self) -> Tensor:
        return self.generator.styles(self._latents(), mixing_cutoff=1)

    def _pictures(self, architecture: Architecture, resolution: int, w_plus: Tensor) -> Tensor:
        return self.generator.synthesize(w_plus, architecture, self._noises(), (resolution,))[resolution]

    def _perceptual(self, pictures: Tensor) -> Tensor:
        """LPIPS's backbone for picture and goal, at 256 px at most."""
        if self.vgg is None:
            return pictures.new_zeros(())
        side = min(pictures.shape[-1], 256)
        small = nn.functional.interpolate(pictures, size=(side, side), mode="bilinear")
        with torch.no_grad():
            self.vgg(torch.empty_like(small))
        return self.vgg(small).square().mean()

    def _latents(self) -> Tensor:
        return torch.empty(GROUP, 2, self.generator.latent_dim)

    def _noises(self) -> list[Tensor]:
        return [torch.empty(GROUP, *shape) for shape in self.generator.noise_shapes()]

    def _images(self, resolution: int) -> Tensor:
        return torch.empty(GROUP, 3, resolution, resolution)

    def _code(self) -> Tensor | None:
        length = self.discriminator.code_length
        return torch.empty(length) if self.discriminator.conditioned else None
