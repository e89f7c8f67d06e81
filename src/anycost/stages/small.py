"""What the baselines of Figure 5 share: one small generator is trained beside a frozen wide one [Anycost, Sec. 4]."""

from collections.abc import Mapping

from torch import Tensor

from anycost.errors import UserError
from anycost.networks.carry_over import carry_over, generator_of, network_part
from anycost.networks.generator import Generator
from anycost.stages.stylegan2 import Stylegan2Stage


class SmallStage(Stylegan2Stage):
    """Stage 1 for a small generator, whose pictures are compared with those of the wide `teacher`.

    The teacher is part of the stage, hence of its checkpoints: a run continues when the teacher's file has gone.
    """

    def expect(self, state: Mapping[str, Tensor]) -> None:
        """Room for the checkpoint's teacher. `UserError` where it has none: it is one of another stage."""
        teacher = network_part(state, "teacher")
        if not teacher:
            raise UserError(f"the checkpoint holds no wide generator: it does not continue stage={self.options.name}")
        self.teacher = generator_of(teacher)

    def imitated_generator(self) -> Generator | None:
        """The wide generator: consistency is measured with it."""
        return self.teacher

    def take_discriminator(self, weights: Mapping[str, Tensor]) -> str:
        """Carry over `discriminator.*`; returns what was done. `UserError` where there is none that fits."""
        part = network_part(weights, "discriminator")
        if not part:
            raise UserError("the file holds no discriminator")
        try:
            return str(carry_over(part, self.discriminator))
        except UserError as error:
            raise UserError(f"{error}; model.discriminator_multiplier of the wide model makes it fit") from error
