"""The adversarial stage: state and phases that all three stages of Anycost share.

A step reads discriminator, r1, generator, path length; each phase zeroes, accumulates over micro-batches, averages over
processes and steps one network. Stages differ by the discriminator, `Planner`, `Consistency` and `PathLength` that they
compose.
"""

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from anycost.architecture import ArchitectureSpace
from anycost.configuration.schema import TrainConfig
from anycost.configuration.stage_schema import ConsistencyConfig
from anycost.data.batches import Batch
from anycost.data.datamodule import ImageDataModule
from anycost.interchange.weights import Header, generator_header, generator_tensors
from anycost.losses import discriminator_loss, generator_loss, path_lengths, r1_penalty
from anycost.networks.carry_over import carry_over
from anycost.networks.discriminator import Discriminator, Trunk
from anycost.networks.generator import Generator
from anycost.randomness import derive_seed
from anycost.stages.compilation import compile_networks
from anycost.stages.consistency import Consistency
from anycost.stages.gradients import FlatGradients
from anycost.stages.optimizers import build_adam
from anycost.stages.phases import Phase
from anycost.stages.planning import LatentDraws, Planner, StepPlan
from anycost.stages.regularisers import PathLength
from anycost.stages.spaces import discriminator_space
from anycost.stages.stage import Stage

Scalars = dict[str, Tensor]


class AdversarialStage(Stage):
    """Generator, discriminator, averaged generator, clock, and the phases of a step.

    Subclasses build `space` and `planner`, and may add `consistency` and `path_length`.

    Args:
        space: of the generator; its `num_resolutions` are those that are trained.
        discriminator: makes one from a space and its `num_resolutions`.
    """

    planner: Planner

    def __init__(
        self, config: TrainConfig, space: ArchitectureSpace, discriminator: Callable[..., Trunk] = Discriminator
    ) -> None:
        super().__init__(config)
        self.space = space
        model = config.model
        # The networks' initial weights and noise maps are a function of the seed alone.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(config.seed, "networks"))
            self.generator = Generator(space, model.latent_dim, model.mapping_layers, model.checkpointing)
            self.discriminator = discriminator(
                discriminator_space(model, space), space.num_resolutions, checkpointing=model.checkpointing
            )
        self.ema = copy.deepcopy(self.generator).requires_grad_(False)
        self.draws = LatentDraws(config.seed, model.latent_dim)
        self.teacher: Generator | None = None
        self.consistency: Consistency | None = None
        self.path_length: PathLength | None = None

    def add_consistency(self, options: ConsistencyConfig) -> None:
        """Compose the consistency loss (Eq. 5) where its weight is not 0."""
        if options.weight:
            if options.target == "teacher":
                self.teacher = copy.deepcopy(self.generator).requires_grad_(False)
            self.consistency = Consistency(options, self.config.data.filter)

    def initialise(self, weights: Mapping[str, Tensor]) -> str:
        """Carry over `generator.*` and `discriminator.*` of an earlier stage; returns one line that says what.

        The averaged generator and the frozen teacher start as the generator does.
        """
        lines = []
        for name in ("generator", "discriminator"):
            part = {key.removeprefix(f"{name}."): x for key, x in weights.items() if key.startswith(f"{name}.")}
            if part or name == "generator":
                lines.append(f"{name}: {carry_over(part, getattr(self, name))}")
            else:
                lines.append(f"{name}: none in the file, stays fresh")
        for copied in (self.ema, self.teacher):
            if copied is not None:
                copied.load_state_dict(self.generator.state_dict())
        return "; ".join(lines)

    # ---- what others ask of a stage

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Resolutions of the images that the stage trains on, ascending."""
        return tuple(self.discriminator.resolutions)

    def shown_architectures(self) -> list[str]:
        """What `architectures: [auto]` of grids and metrics means: the full generator, here."""
        return ["full"]

    def evaluation_generator(self) -> Generator:
        """The generator that samples and metrics come from: the averaged one where there is one."""
        return self.ema if self.config.callbacks.ema.enabled else self.generator

    def imitated_generator(self) -> Generator | None:
        """The generator that metrics of consistency compare with; None: the full one that is evaluated."""
        return None

    def build_data(self) -> ImageDataModule:
        """Images of all trained resolutions."""
        return ImageDataModule(self.config.data, self.resolutions, self.seed)

    def results(self) -> tuple[dict[str, Tensor], Header]:
        """The generator that is evaluated and the raw discriminator, for the next stage and for use."""
        generator = self.evaluation_generator()
        tensors = generator_tensors(generator)
        tensors |= {f"discriminator.{name}": x for name, x in self.discriminator.state_dict().items()}
        card = {**self.card(), "weights": "ema" if generator is self.ema else "raw"}
        return tensors, generator_header(generator, "training", card)

    # ---- Lightning

    def on_fit_start(self) -> None:
        if self.config.trainer.compile:
            compile_networks(self.generator, self.discriminator)
        if self.consistency is not None:
            self.consistency.to(self.device, self.generator.constant.dtype)
        self.flat = {
            "generator": FlatGradients(list(self.generator.parameters())),
            "discriminator": FlatGradients(list(self.discriminator.parameters())),
        }

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        options = self.options.optimizer
        r1 = self.options.r1.every if self.options.r1.gamma else None
        length = self.path_length.config.every if self.path_length is not None else None
        self.adam = {
            "generator": build_adam(options, list(self.generator.parameters()), lazy_every=length),
            "discriminator": build_adam(options, list(self.discriminator.parameters()), lazy_every=r1),
        }
        return self.restore_optimizers()

    def training_step(self, batch: Batch, batch_index: int) -> None:
        """One step: the phases that are due, then the clock."""
        self.values, self.measured = {}, {}
        shares = self._shares(batch)
        plan = self.planner.plan(self.clock.images)
        self.discriminator_phase(plan, shares)
        if self.options.r1.gamma and self.clock.due(self.options.r1.every):
            self.r1_phase(plan, shares)
        self.generator_phase(plan, shares)
        if self.path_length is not None and self.clock.due(self.path_length.config.every):
            self.path_length_phase(shares)
        self.clock.advance()

    # ---- phases

    def discriminator_phase(self, plan: StepPlan, shares: Sequence[Batch]) -> None:
        """Logistic loss of reals and fakes, summed over the sampled resolutions."""
        resolutions = plan.discriminator_resolutions
        with Phase(self, "discriminator", len(shares), "discriminator") as phase:
            for share in shares:
                fakes, reals = self._fakes(plan, share), self._reals(share, resolutions)
                judged = self.discriminator.judge([(reals, plan.real_architecture), (fakes, plan.fake_architecture)])
                pairs = list(zip(*judged, strict=True))
                loss = torch.stack([discriminator_loss(real, fake) for real, fake in pairs]).sum()
                phase.backward(
                    loss,
                    {
                        "train/d_loss": loss,
                        "train/real_logit": torch.stack([real.mean() for real, _ in pairs]).mean(),
                        "train/fake_logit": torch.stack([fake.mean() for _, fake in pairs]).mean(),
                    },
                )

    @torch.no_grad()
    def _fakes(self, plan: StepPlan, share: Batch) -> dict[int, Tensor]:
        latents, noises = self._inputs("d", share, plan.discriminator_cutoff)
        w_plus = self.generator.styles(latents, mixing_cutoff=plan.discriminator_cutoff)
        return self.generator.synthesize(w_plus, plan.fake_architecture, noises, plan.discriminator_resolutions)

    def r1_phase(self, plan: StepPlan, shares: Sequence[Batch]) -> None:
        """R1 on the plan's resolutions, in full precision: `gamma / 2 * every * penalty`."""
        options = self.options.r1
        told = plan.real_architecture if options.architecture == "real" else plan.fake_architecture
        with Phase(self, "discriminator", len(shares), "r1", full_precision=True) as phase:
            for share in shares:
                images = {r: x.requires_grad_() for r, x in self._reals(share, plan.r1_resolutions).items()}
                ((logits,),) = self.discriminator.judge([(images, told)])
                penalty = r1_penalty(list(images.values()), logits)
                phase.backward(penalty * (options.gamma / 2 * options.every), {"train/r1": penalty})

    def generator_phase(self, plan: StepPlan, shares: Sequence[Batch]) -> None:
        """Non-saturating loss summed over the sampled resolutions, plus the consistency with the full generator."""
        architecture, sampled = plan.generator_architecture, plan.generator_resolutions
        full = architecture.channels == self.space.full_channels
        compared = self.consistency.compared(self.resolutions, sampled, full) if self.consistency else ()
        with Phase(self, "generator", len(shares), "generator") as phase:
            for share in shares:
                latents, noises = self._inputs("g", share, plan.generator_cutoff)
                w_plus = self.generator.styles(latents, mixing_cutoff=plan.generator_cutoff)
                images = self.generator.synthesize(w_plus, architecture, noises, sorted({*sampled, *compared}))
                (logits,) = self.discriminator.judge([({r: images[r] for r in sampled}, architecture)])
                loss = torch.stack([generator_loss(one) for one in logits]).sum()
                scalars = {"train/g_loss": loss}
                if self.consistency is not None:
                    if compared and self.teacher is not None:
                        w_plus = self.teacher.styles(latents, mixing_cutoff=plan.generator_cutoff)
                    extra, parts = self._consistency_loss(images, compared, w_plus, noises)
                    loss, scalars = loss + extra, scalars | parts
                phase.backward(loss, scalars)

    def _consistency_loss(
        self, images: dict[int, Tensor], compared: Sequence[int], w_plus: Tensor, noises: Sequence[Tensor]
    ) -> tuple[Tensor, Scalars]:
        assert self.consistency is not None
        pixel = perceptual = torch.zeros((), device=self.device)
        if compared:
            shown, top = self.teacher or self.generator, self.space.resolution
            with torch.no_grad():
                target = shown.synthesize(w_plus, shown.space.full(), noises, (top,))[top]
            pixel, perceptual = self.consistency.loss(images, compared, target)
        scalars = {"train/consistency_pixel": pixel, "train/consistency_perceptual": perceptual}
        return self.consistency.config.weight * (pixel + perceptual), scalars

    def path_length_phase(self, shares: Sequence[Batch]) -> None:
        """Path-length penalty on a part of the batch with latents of its own, in full precision."""
        assert self.path_length is not None
        shrink = self.path_length.config.batch_shrink
        parts = [_first(share, max(len(share["index"]) // shrink, 1)) for share in shares]
        with Phase(self, "generator", len(parts), "path_length", full_precision=True) as phase:
            if len(parts) > 1:
                # The mean over all micro-batches must enter the running mean before the first penalty.
                means = [self._path_lengths(part, create_graph=False).detach().mean() for part in parts]
                self.path_length.update(torch.stack(means).mean())
            for part in parts:
                lengths = self._path_lengths(part, create_graph=True)
                if len(parts) == 1:
                    self.path_length.update(lengths.detach().mean())
                penalty = self.path_length.penalty(lengths)
                phase.backward(penalty, {"train/path_penalty": penalty, "train/path_length": lengths.mean()})

    def _path_lengths(self, part: Batch, create_graph: bool) -> Tensor:
        indices, like = part["index"].tolist(), self.generator.constant
        z = self.draws.latents("pl", indices, mixing=False, like=like)
        noises = self.draws.noises("pl", indices, self.generator.noise_shapes(), like)
        side = self.space.resolution
        (direction,) = self.draws.noises("pl-direction", indices, [(3, side, side)], like)
        w_plus = self.generator.styles(z)
        images = self.generator.synthesize(w_plus, self.space.full(), noises, (side,))[side]
        return path_lengths(images, w_plus, direction, create_graph)

    # ---- pieces of phases

    def _shares(self, batch: Batch) -> list[Batch]:
        size = len(batch["index"])
        micro = min(self.config.trainer.micro_batch or size, size)
        count = size // micro
        return [_every(batch, start, count) for start in range(count)]

    def _reals(self, share: Batch, resolutions: Sequence[int]) -> dict[int, Tensor]:
        return {r: share["images"][r].to(self.generator.constant.dtype) / 127.5 - 1 for r in resolutions}

    def _inputs(self, phase: str, share: Batch, cutoff: int | None) -> tuple[Tensor, list[Tensor]]:
        """Latents `[B, 1 or 2, latent_dim]` and noise maps of the phase, for any architecture."""
        like, indices = self.generator.constant, share["index"].tolist()
        latents = self.draws.latents(phase, indices, cutoff is not None, like)
        if phase == "g" and self.options.generator_noise == "batch":
            indices = [self.clock.images]
        return latents, self.draws.noises(phase, indices, self.generator.noise_shapes(), like)


def _every(batch: Batch, start: int, count: int) -> Batch:
    images = {resolution: x[start::count] for resolution, x in batch["images"].items()}
    return {"index": batch["index"][start::count], "images": images}


def _first(share: Batch, size: int) -> Batch:
    return {"index": share["index"][:size], "images": {}}
