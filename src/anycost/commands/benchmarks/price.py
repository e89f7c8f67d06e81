"""`anycost benchmark price`: what architectures cost, in closed form; one JSON object per line and architecture.

    anycost benchmark price model=config_f model.resolution=1024 architecture=0.5@256
    anycost benchmark price weights=logs/train/runs/NAME architectures=[full,0.5,found.json]

macs are true multiply-adds of one picture; macs_paper follow the paper's figures (torchprofile 0.0.2, about twice as
many); parameters are those of the extracted generator; activation_bytes is the peak of live activations in float32.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from anycost.commands.arguments import parse
from anycost.commands.benchmarks.subject import model_help, open_subject, split_model
from anycost.configuration.fields import option
from anycost.pricing.price_list import PriceList


@dataclass
class PriceConfig:
    """Whose architectures, and which."""

    weights: str | None = option(None, "weights file, run folder, pipeline folder, or OWNER/NAME on the hub", path=True)
    architecture: str | None = option(None, "full, 0.5, 0.5@256, FILE.json or FILE.json:NAME; default: full")
    architectures: list[str] = option([], "several of them, with commas")


def main(arguments: Sequence[str]) -> int:
    """Print the prices."""
    about_model, others = split_model(arguments)
    config = parse(PriceConfig, others, __doc__)
    if config is None:
        print(model_help())
        return 0
    subject = open_subject(config.weights, about_model)
    prices = PriceList(subject.space, subject.latent_dim, subject.mapping_layers)
    texts = [config.architecture, *config.architectures] if config.architecture else config.architectures
    for name, architecture in subject.architectures(texts or ["full"]).items():
        price = prices.price(architecture)
        line = {
            "architecture": name,
            "label": subject.space.label(architecture),
            "resolution": architecture.resolution,
            "channels": list(architecture.channels),
            "macs": price.macs,
            "macs_paper": price.macs_paper,
            "parameters": price.parameters,
            "activation_bytes": price.activation_bytes,
        }
        print(json.dumps(line))
    return 0
