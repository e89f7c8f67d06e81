"""The clock of training: images seen. Every schedule, name and x-axis derives from it."""

from dataclasses import dataclass


def whole_batches(kimg: float, batch_size: int) -> int:
    """The images of a stage of `kimg` thousand: those of whole batches, one at least."""
    return max(round(kimg * 1000) // batch_size, 1) * batch_size


@dataclass
class Clock:
    """Counts images in steps of the global batch."""

    batch_size: int
    images: int = 0

    @property
    def step(self) -> int:
        """Steps completed."""
        return self.images // self.batch_size

    @property
    def kimg(self) -> float:
        return self.images / 1000

    def advance(self) -> None:
        self.images += self.batch_size

    def due(self, every_steps: int) -> bool:
        """Whether the step under way is one of every `every_steps` (the last of each such group)."""
        return (self.step + 1) % every_steps == 0

    def crossed(self, every_kimg: float) -> bool:
        """Whether the step that just ended reached or passed a multiple of `every_kimg` thousand images."""
        interval = max(round(every_kimg * 1000), 1)
        return self.images // interval > (self.images - self.batch_size) // interval
