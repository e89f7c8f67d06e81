"""`anycost push`: put weights on a Hugging Face hub, with a model card and the sha256 of every file.

    anycost push weights=logs/train/runs/NAME repo=OWNER/NAME licence=cc-by-nc-4.0
    anycost push weights=FILE repo=OWNER/NAME private=true revision=candidate architectures=[full,0.5,0.25]

Log in once with `hf auth login`. Everything goes up in one commit; the same command again uploads what has changed.
Others then write anycost.load("OWNER/NAME"), or weights=OWNER/NAME in any command.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from anycost.commands.arguments import parse
from anycost.configuration.fields import MISSING, option

_SAMPLES = "samples.png"


@dataclass
class PushConfig:
    """What goes where."""

    weights: str = option(MISSING, "weights file, run folder, pipeline folder, or OWNER/NAME on the hub", path=True)
    repo: str = option(MISSING, "OWNER/NAME; it is made where it does not exist")
    revision: str | None = option(None, "branch; default: main")
    private: bool = option(False, "make a new repository private")
    licence: str | None = option(None, "licence of the weights, for example cc-by-nc-4.0; default: what the file says")
    message: str = option("Weights from anycost", "what the commit says")
    samples: int = option(4, "rows of pictures on the card; 0: no pictures", at_least=0)
    architectures: list[str] = option(["full"], "columns of these pictures: full, 0.5, 0.5@512")


def main(arguments: Sequence[str]) -> int:
    """Check the weights, make the card, upload, and print the address of the commit."""
    config = parse(PushConfig, arguments, __doc__)
    if config is None:
        return 0
    from anycost.interchange.card import model_card
    from anycost.interchange.header import NOT_STATED
    from anycost.interchange.hub import Parcel, library, push, relicensed, repository
    from anycost.interchange.locating import find_weights

    library()  # where it is missing, say so before pictures are made
    repo = repository(config.repo, config.revision)
    with relicensed(find_weights(config.weights), config.licence) as (weights, header):
        if header.licence == NOT_STATED:
            print("no licence is stated: nobody knows what they may do with it; licence=... sets one", file=sys.stderr)
        files = {_SAMPLES: _pictures(weights, config)} if config.samples else {}
        files["README.md"] = model_card(header, repo, _SAMPLES if config.samples else None, config.revision).encode()
        address = push(Parcel(weights, files), repo, config.revision, config.private, config.message)
    print(f"pushed: {address}")
    return 0


def _pictures(weights: Path, config: PushConfig) -> bytes:
    """A PNG grid: rows are latents, columns architectures."""
    import io

    from anycost.grids import draw_grid, sample_columns
    from anycost.interchange.locating import open_generator

    generator, _ = open_generator(weights)
    architectures = generator.space.parse_list(config.architectures)
    columns = sample_columns(generator, architectures, range(config.samples), batch_size=1)
    content = io.BytesIO()
    draw_grid(columns).save(content, format="PNG")
    return content.getvalue()
