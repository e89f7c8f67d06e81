"""`anycost convert`: others' checkpoints as weights files of ours. Nothing that the file holds is run.

    anycost convert source=generator_anycost-ffhq-config-f.pt output=anycost-f.safetensors
    anycost convert source=network-snapshot.pkl output=g.safetensors licence="NVIDIA Source Code License-NC"
    anycost convert source=checkpoint.pt output=raw.safetensors weights=raw part=generator

The format is found from the content: the official Anycost code (generators, trainer's checkpoints, encoder, attribute
predictor, boundaries, evolved configurations, projected latents), rosinality/stylegan2-pytorch, and StyleGAN2 pickles
of stylegan2-ada-pytorch, stylegan3 and TensorFlow. docs/convert.md says what is kept and what is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from anycost.commands.arguments import parse
from anycost.configuration.fields import MISSING, option
from anycost.errors import UserError

if TYPE_CHECKING:
    from anycost.interchange.importers import Imported


@dataclass
class ConvertConfig:
    """What is converted, and into which file."""

    source: str = option(MISSING, "file to convert", path=True)
    output: str = option(MISSING, "file to write: .safetensors, or .json for architectures", path=True)
    weights: str = option("ema", "which generator: averaged, or the one in training", ("ema", "raw"))
    part: str = option("all", "generator leaves a discriminator out", ("all", "generator"))
    name: str | None = option(None, "one entry of a file of architectures or directions")
    licence: str | None = option(None, "under which the weights may be used; kept in the header")


def main(arguments: Sequence[str]) -> int:
    """Convert, and say what was found, what was left out or differs, and where the result lies."""
    config = parse(ConvertConfig, arguments, __doc__)
    if config is None:
        return 0
    from anycost.interchange.importers import Choice, convert

    source, output = Path(config.source), Path(config.output)
    if "://" in config.source:
        raise UserError(f"source={config.source} is an address; download the file first, then name it: source=FILE")
    if not source.is_file():
        raise UserError(f"source={source} is not a file" if source.exists() else f"source={source} does not exist")
    if output.resolve() == source.resolve():
        raise UserError(f"output={output} is the source itself; name another file")
    imported = convert(source, Choice(config.weights, config.part, config.name))
    if output.suffix != imported.suffix:
        raise UserError(f"output={output} must end in {imported.suffix}: {imported.found[0]}")
    if config.licence:
        imported = replace(imported, header=replace(imported.header, licence=config.licence))
    imported.write(output)
    _report(imported, output)
    return 0


def _report(imported: "Imported", output: Path) -> None:
    header = imported.header
    print(f"source:   {header.card['source']}, sha256 {header.card['source_sha256'][:16]}...")
    for number, line in enumerate(imported.found):
        print(f"{'' if number else 'found:':<10}{line}")
    if header.space:
        print(f"space:    {_described(header.space)}")
    for title, entry in (("left out:", "left_out"), ("differs:", "differs")):
        for number, line in enumerate(header.card.get(entry, ())):
            print(f"{'' if number else title:<10}{line}")
    print(f"written:  {output}")
    if imported.architectures:
        print(f"use it:   architectures={output} wherever architectures are asked for")
        return
    print(f"licence:  {header.licence}")
    print(f"next:     anycost info weights={output}")


def _described(space: dict) -> str:
    from anycost.interchange.header import space_of

    built = space_of(space)
    if built.channels:
        ladder = f"channels {', '.join(map(str, built.channels[1::2]))} (no multiplier and cap give these)"
    else:
        ladder = f"multiplier {built.multiplier:g}, channel cap {built.channel_cap}"
    return f"{built.resolution} px, {ladder}, trained at {', '.join(map(str, built.resolutions))} px"
