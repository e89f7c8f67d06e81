"""`anycost info`: what a weights file holds: origin, licence, space, contents, and what its architectures cost.

    anycost info weights=logs/train/runs/NAME
    anycost info weights=FILE architectures=[full,0.5@256,found.json] json=true
    anycost info weights=OWNER/NAME

macs are true multiply-adds of one picture; macs_paper follow the paper's figures (torchprofile 0.0.2, about twice as
many); parameters are those of the extracted generator. The whole file is read and checked.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anycost.commands.arguments import parse
from anycost.configuration.fields import MISSING, option

if TYPE_CHECKING:
    from rich.console import Console

    from anycost.interchange.inspection import Inspection


@dataclass
class InfoConfig:
    """Which file, and how to tell."""

    weights: str = option(MISSING, "weights file, run folder, pipeline folder, or OWNER/NAME on the hub", path=True)
    architectures: list[str] = option([], "whose prices: full, 0.5@256, FILE.json; default: all uniform ones")
    json: bool = option(False, "print one JSON object")


def main(arguments: Sequence[str]) -> int:
    """Read, check and print."""
    config = parse(InfoConfig, arguments, __doc__)
    if config is None:
        return 0
    from anycost.interchange.inspection import inspect
    from anycost.interchange.locating import find_weights

    inspection = inspect(find_weights(config.weights), config.architectures)
    if config.json:
        print(json.dumps(inspection.to_json(), default=str))
        return 0
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    _print_file(console, inspection)
    _print_card(console, inspection)
    _print_contents(console, inspection)
    _print_generator(console, inspection)
    return 0


def _print_file(console: "Console", inspection: "Inspection") -> None:
    from anycost.interchange.header import shown

    header = inspection.header
    _line(console, "file", f"{inspection.path} ({inspection.bytes / 1e6:.3g} MB)")
    _line(console, "sha256", inspection.sha256)
    _line(console, "kind", f"{header.kind}, format {header.format}")
    _line(console, "licence", shown(header.licence, 200))
    if inspection.broken:
        _line(console, "damage", f"{len(inspection.broken)} tensors are not finite: {shown(inspection.broken, 200)}")


def _print_card(console: "Console", inspection: "Inspection") -> None:
    from anycost.interchange.header import GENERATORS, shown

    card = {name: value for name, value in inspection.header.card.items() if name != "ladder"}
    for number, (name, value) in enumerate(sorted(card.items())):
        _line(console, "" if number else "card", f"{shown(name)}: {shown(value, 200)}")
    if inspection.header.kind not in GENERATORS:
        for number, (name, value) in enumerate(sorted(inspection.header.model.items())):
            _line(console, "" if number else "model", f"{shown(name)}: {shown(value, 200)}")


def _print_contents(console: "Console", inspection: "Inspection") -> None:
    from anycost.interchange.card import amount
    from anycost.interchange.header import shown

    for number, (name, part) in enumerate(inspection.contents.items()):
        plural = "" if part.tensors == 1 else "s"
        text = f"{shown(name)}: {part.tensors} tensor{plural}, {amount(part.numbers)} numbers, {', '.join(part.types)}"
        _line(console, "" if number else "contents", text)


def _print_generator(console: "Console", inspection: "Inspection") -> None:
    """Space and prices, where there is a generator."""
    from rich.table import Table

    from anycost.interchange.card import amount
    from anycost.interchange.header import GENERATORS, generator_form, ladder_entry

    if inspection.header.kind not in GENERATORS:
        return
    space, latent_dim, mapping_layers = generator_form(inspection.header)
    _line(console, "latents", f"{latent_dim} numbers, {mapping_layers} mapping layers, {space.num_points} styles")
    _line(console, "space", f"{', '.join(map(str, space.resolutions))} px; ratios "
          f"{', '.join(f'{ratio:g}' for ratio in space.ratios)}; {amount(space.count())} architectures")  # fmt: skip
    pairs = (f"{side} px {' '.join(map(str, dict.fromkeys(counts)))}" for side, counts in ladder_entry(space).items())
    _line(console, "channels", ", ".join(pairs))
    table = Table("architecture", "macs", "macs_paper", "parameters", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, price in inspection.prices.items():
        table.add_row(name, amount(price.macs), amount(price.macs_paper), amount(price.parameters))
    console.print()
    console.print(table)


def _line(console: "Console", name: str, text: str) -> None:
    console.print(f"{name:<9} {text}", soft_wrap=True)
