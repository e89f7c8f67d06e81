"""What a weights file says to people: prices of its architectures, and the README.md of its repository on the hub."""

import json
from collections.abc import Iterable, Mapping

from anycost.architecture import Architecture, ArchitectureSpace
from anycost.errors import UserError
from anycost.interchange.header import NOT_STATED, Header, generator_form, shown
from anycost.pricing.price_list import Price, PriceList

# Licences that the hub knows by name; the card of any other says "other" and names it.
_LICENCES = (
    "apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-nc-nd-4.0",
    "cc-by-nc-sa-4.0", "cc-by-sa-4.0", "gpl-3.0", "mit", "openrail", "unlicense",
)  # fmt: skip


def uniform_architectures(space: ArchitectureSpace) -> dict[str, Architecture]:
    """All uniform architectures by label, from the largest down; what would leave a layer no channel is left out."""
    found: dict[str, Architecture] = {}
    for resolution in reversed(space.resolutions):
        for ratio in reversed(space.ratios):
            try:
                architecture = space.uniform(ratio, resolution)
            except UserError:
                continue
            found.setdefault(space.label(architecture), architecture)
    return found


def prices(header: Header, architectures: Mapping[str, Architecture] | None = None) -> dict[str, Price]:
    """The price of each of the `architectures` by its name; of the uniform ones where none are given."""
    space, latent_dim, mapping_layers = generator_form(header)
    price_list = PriceList(space, latent_dim, mapping_layers)
    chosen = uniform_architectures(space) if architectures is None else architectures
    return {name: price_list.price(one) for name, one in chosen.items()}


def amount(number: float) -> str:
    """`74.3 G`, `18.6 M`: three digits and a unit, for tables."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g}"


def model_card(header: Header, repo: str, picture: str | None = None, revision: str | None = None) -> str:
    """README.md of the repository `repo`: what the hub indexes, how to load, sizes, prices, how it was trained.

    `picture` is the name of a file of the repository to show; `revision` the branch that the card is for.
    """
    name = repo if revision in (None, "main") else f"{repo}@{revision}"
    space, latent_dim, mapping_layers = generator_form(header)
    lines = [
        *_front_matter(header.licence),
        f"# {repo.partition('/')[2]}",
        "",
        f"A StyleGAN2-like generator of {space.resolution} px pictures that runs at any of the costs below "
        "([Anycost GANs](https://arxiv.org/abs/2103.03243)), by taking fewer channels or a lower resolution. How good "
        "its sub-generators are is a matter of its training.",
        "",
        *([f"![samples]({picture})", ""] if picture else []),
        "```python",
        "import anycost",
        "import torch",
        "",
        f'generator = anycost.load("{name}")',
        f"image = generator(torch.randn(1, {latent_dim}))  # [1, 3, {space.resolution}, {space.resolution}], "
        "nominal range [-1, 1]",
        f'preview = generator(torch.randn(1, {latent_dim}), generator.space.parse("{_preview(space)}"))',
        "```",
        "",
        "## Architectures",
        "",
        f"{amount(space.count())} architectures; resolutions {_listed(space.resolutions)} px; ratios "
        f"{_listed(f'{ratio:g}' for ratio in space.ratios)}; latents of {latent_dim} numbers, {mapping_layers} mapping "
        "layers.",
        "",
        *_price_table(header),
        "",
        "Multiply-adds of one picture: true ones, and in the convention of the paper's figures (torchprofile 0.0.2).",
        "",
        "## How it came about",
        "",
        *_card_lines(header),
        "",
        f"Licence: {_escaped(shown(header.licence, 200))}. `anycost.json` states the sha256 of every file; `anycost "
        "pull` checks it.",
    ]
    return "\n".join(lines) + "\n"


def _front_matter(licence: str) -> list[str]:
    """What the hub reads: YAML between two lines of dashes."""
    known = licence.lower() in _LICENCES
    named = [f"license: {licence.lower()}"] if known else ["license: other", f"license_name: {json.dumps(licence)}"]
    return [
        "---",
        *([] if licence == NOT_STATED else named),
        "library_name: anycost",
        "pipeline_tag: unconditional-image-generation",
        "tags: [anycost, gan, stylegan2]",
        "---",
        "",
    ]


def _preview(space: ArchitectureSpace) -> str:
    """A cheap uniform architecture to show the syntax with: half the channels at half the resolution, where allowed."""
    known = uniform_architectures(space)
    wanted = f"0.5@{space.resolution // 2}"
    return wanted if wanted in known else next(reversed(known), "full")


def _price_table(header: Header) -> list[str]:
    rows = ["| architecture | multiply-adds | in the paper's convention | parameters |", "|---|---|---|---|"]
    for name, price in prices(header).items():
        rows.append(f"| `{name}` | {amount(price.macs)} | {amount(price.macs_paper)} | {amount(price.parameters)} |")
    return rows


def _card_lines(header: Header) -> list[str]:
    entries = {name: value for name, value in header.card.items() if name != "ladder"}
    if not entries:
        return ["Not stated."]
    return [f"- {shown(name)}: {_escaped(shown(value, 200))}" for name, value in sorted(entries.items())]


def _escaped(text: str) -> str:
    """Without what Markdown or HTML would read: cards come from files of others."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#!" else c for c in text)


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))
