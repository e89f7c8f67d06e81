"""A training step of the adaptive-channel stage as its paper states it, on the plain networks.

Same draws and losses as `anycost.stages.ada_ch`, obvious arithmetic: every resolution is rendered, each batch passes
the discriminator alone. The tests hold that both steps move the weights alike.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anycost.architecture import Architecture
from anycost.benchmarks.plain_discriminator import PlainDiscriminator
from anycost.benchmarks.plain_generator import PlainGenerator
from anycost.data.batches import Batch
from anycost.data.pyramid import downsample
from anycost.losses import discriminator_loss, generator_loss, r1_penalty
from anycost.stages.ada_ch import AdaChStage
from anycost.stages.planning import StepPlan


class PlainStep:
    """Starts from the weights, draws and options of `stage` and then goes its own way."""

    def __init__(self, stage: AdaChStage) -> None:
        self.stage, self.options, self.space, self.images = stage, stage.options, stage.space, 0
        model, like = stage.config.model, stage.generator.constant
        ladder = (model.resolution, model.multiplier, model.channel_cap)
        self.generator = PlainGenerator(*ladder, model.latent_dim, model.mapping_layers).to(like.dtype)
        self.discriminator = PlainDiscriminator(*ladder, len(stage.resolutions), conditioned=True).to(like.dtype)
        self.generator.load_from(stage.generator)
        self.discriminator.load_from(stage.discriminator)
        self.ema = copy.deepcopy(self.generator)
        self.adam_g = self._adam(self.generator, 1.0)
        self.adam_d = self._adam(self.discriminator, self.options.r1.every / (self.options.r1.every + 1))

    def _adam(self, network: nn.Module, c: float) -> torch.optim.Adam:
        options = self.options.optimizer
        betas = (options.beta1**c, options.beta2**c)
        return torch.optim.Adam(network.parameters(), lr=options.learning_rate * c, betas=betas)

    def __call__(self, batch: Batch) -> None:
        plan = self.stage.planner.plan(self.images)
        self._discriminator_step(plan, batch)
        step = self.images // len(batch["index"]) + 1
        if step % self.options.r1.every == 0:
            self._r1_step(plan, batch)
        self._generator_step(plan, batch)
        self._average(0.5 ** (len(batch["index"]) / (self.options.ema_kimg * 1000)))
        self.images += len(batch["index"])

    def _discriminator_step(self, plan: StepPlan, batch: Batch) -> None:
        with torch.no_grad():
            fakes = self._render("d", batch, plan.fake_architecture, plan.discriminator_cutoff)
        real_code, fake_code = self._code(plan.real_architecture), self._code(plan.fake_architecture)
        losses = []
        for resolution in plan.discriminator_resolutions:
            real = self.discriminator(self._real(batch, resolution), real_code)
            fake = self.discriminator(fakes[resolution], fake_code)
            losses.append(discriminator_loss(real, fake))
        self._step(self.adam_d, torch.stack(losses).sum(), self.discriminator)

    def _r1_step(self, plan: StepPlan, batch: Batch) -> None:
        (resolution,) = plan.r1_resolutions
        images = self._real(batch, resolution).requires_grad_()
        penalty = r1_penalty(images, self.discriminator(images, self._code(plan.real_architecture)))
        self._step(self.adam_d, penalty * self.options.r1.gamma / 2 * self.options.r1.every, self.discriminator)

    def _generator_step(self, plan: StepPlan, batch: Batch) -> None:
        self.discriminator.requires_grad_(False)
        images = self._render("g", batch, plan.generator_architecture, plan.generator_cutoff)
        code = self._code(plan.generator_architecture)
        scores = [self.discriminator(images[resolution], code) for resolution in plan.generator_resolutions]
        loss = torch.stack([generator_loss(score) for score in scores]).sum()
        with torch.no_grad():
            full = self._render("g", batch, self.space.full(), plan.generator_cutoff)[self.space.resolution]
        for resolution in plan.generator_resolutions:
            target = downsample(full, resolution, self.stage.config.data.filter)
            loss = loss + self.options.consistency.weight * F.mse_loss(images[resolution], target)
        self._step(self.adam_g, loss, self.generator)
        self.discriminator.requires_grad_(True)

    def _step(self, adam: torch.optim.Adam, loss: Tensor, network: nn.Module) -> None:
        adam.zero_grad(set_to_none=False)
        loss.backward()
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        adam.step()

    @torch.no_grad()
    def _average(self, decay: float) -> None:
        for averaged, current in zip(self.ema.parameters(), self.generator.parameters(), strict=True):
            averaged.lerp_(current, 1 - decay)

    def _render(self, phase: str, batch: Batch, architecture: Architecture, cutoff: int | None) -> dict[int, Tensor]:
        like, indices = self.generator.constant, batch["index"].tolist()
        latents = self.stage.draws.latents(phase, indices, cutoff is not None, like)
        noises = self.stage.draws.noises(phase, indices, self.stage.generator.noise_shapes(), like)
        return self.generator(latents, architecture.channels, mixing_cutoff=cutoff, noise=noises)

    def _code(self, architecture: Architecture) -> Tensor:
        return torch.tensor(self.space.one_hot(architecture), dtype=self.generator.constant.dtype)

    def _real(self, batch: Batch, resolution: int) -> Tensor:
        return batch["images"][resolution].to(self.generator.constant.dtype) / 127.5 - 1
