"""The project's own weights format with one sub-generator alone: widths cut, fan-in gains folded, its parent named."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from anycost.export.subject import Run, Subject
from anycost.interchange.locating import open_generator
from anycost.interchange.weights import generator_header, generator_tensors, write_weights


def write_extracted(subject: Subject, path: Path) -> None:
    """Write `generator.extract(architecture)` with the parent's card, and what it was cut out of."""
    small = subject.generator.extract(subject.architecture)
    parent = {key: value for key, value in subject.header.card.items() if key != "ladder"}
    cut = {"architecture": subject.label, "parent": subject.name, "parent_identity": subject.identity}
    header = generator_header(small, card={**parent, "extracted": cut}, licence=subject.header.licence)
    write_weights(path, generator_tensors(small), header)


def extracted_run(path: Path) -> Run:
    """The file as `anycost.load` reads it back. Inputs as of `Subject.inputs`."""
    generator, _ = open_generator(path)

    @torch.no_grad()
    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        strength = inputs["noise_strength"]
        return generator(inputs["w"], latents_in="w", noise=[one.noise * strength for one in generator.styled_layers])

    return run
