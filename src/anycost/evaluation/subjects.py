"""What is evaluated: the sub-generators of a weights file, or pictures from elsewhere."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from anycost.architecture import Architecture
from anycost.errors import UserError
from anycost.evaluation.passes import ImageSource
from anycost.evaluation.pictures import GivenPictures
from anycost.evaluation.rendering import Given, Rendered
from anycost.metrics.batches import Resize, antialiased
from anycost.metrics.measure import Measure
from anycost.metrics.protocols import MetricProtocol
from anycost.networks.generator import Generator

_OF_PICTURES = ("frechet", "kernel", "precision_recall", "inception_score")


class Subject(Protocol):
    """Something with one column of images per architecture; `identity` and `images` stand in its records.

    Attributes:
        title: for people: the option and its value.
        identity: 16 hex digits of the content.
        images: how many images the weights had been trained on; 0 for pictures.
        architectures: by label.
    """

    title: str
    identity: str
    images: int
    architectures: Mapping[str, Architecture]

    def check(self, protocols: Iterable[MetricProtocol]) -> None:
        """`UserError` for a protocol that cannot be measured on this."""

    def source(self, labels: Sequence[str], measures: Sequence[Measure]) -> ImageSource:
        """The images of these architectures, as these measures (of equal sampling) want them."""


@dataclass
class GeneratorSubject:
    """Sub-generators of one generator; `resize` brings the images that they are compared with to their resolutions.

    These are the full generator's, or those of `imitated`, another generator of the same latents.
    """

    generator: Generator
    title: str
    identity: str
    images: int
    architectures: Mapping[str, Architecture]
    resize: Resize = antialiased
    imitated: Generator | None = None

    def check(self, protocols: Iterable[MetricProtocol]) -> None:
        """Everything can be measured on a generator."""

    def source(self, labels: Sequence[str], measures: Sequence[Measure]) -> ImageSource:
        first = measures[0]
        return Rendered(
            self.generator,
            {label: self.architectures[label] for label in labels},
            first.sampling,
            with_target=any(measure.needs_target for measure in measures),
            epsilon=first.protocol.epsilon or 0.0,
            resize=self.resize,
            imitated=self.imitated,
        )


class PicturesSubject:
    """Pictures from elsewhere, under the name of their folder."""

    images = 0

    def __init__(self, pictures: GivenPictures, device: torch.device) -> None:
        self.pictures, self.device = pictures, device
        self.title, self.identity = f"images={pictures.path}", pictures.identity()
        self.architectures: Mapping[str, Architecture] = {pictures.name: Architecture(pictures.resolution, (), ())}

    def check(self, protocols: Iterable[MetricProtocol]) -> None:
        """Only distributions can be measured on pictures, and only where there are enough of them."""
        for protocol in protocols:
            if protocol.kind not in _OF_PICTURES:
                raise UserError(
                    f"metrics={protocol.name} needs a generator and {self.title} are pictures; metrics of "
                    "distributions work: fid50k_full, kid50k_full, pr50k3_full, is50k, fd5k_embedded, kd5k_embedded, "
                    "pr5k3_embedded"
                )
            if protocol.samples > len(self.pictures):
                raise UserError(
                    f"metrics={protocol.name} needs {protocol.samples} pictures and {self.title} has "
                    f"{len(self.pictures)}; {self._fitting(protocol)}"
                )

    def _fitting(self, protocol: MetricProtocol) -> str:
        from anycost.metrics.table import PROTOCOLS

        fitting = [
            one for one in PROTOCOLS.values() if one.kind in _OF_PICTURES and one.samples <= len(self.pictures)
        ]
        if fitting:
            return f"that is enough for {', '.join(one.name for one in fitting)}"
        if protocol.features in ("inception", "embedded") and len(self.pictures) >= 8:
            return f"metrics=frechet{len(self.pictures)}_{protocol.features} is a distance of so many"
        return "that is too few for any metric"

    def source(self, labels: Sequence[str], measures: Sequence[Measure]) -> ImageSource:
        return Given(self.pictures, self.device)
