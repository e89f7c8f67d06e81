"""Others' files, recognised by their content and turned into ours; nothing in them is run.

One module per origin: `recognises(content) -> bool`, and `read(content, choice) -> Imported`.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from anycost.errors import UserError
from anycost.interchange.foreign import Foreign, Stub, read_foreign
from anycost.interchange.header import GENERATORS, shown
from anycost.interchange.importers import evolved, nvidia, official, rosinality, small, tensorflow
from anycost.interchange.importers.imported import Choice, Imported

__all__ = ["Choice", "Imported", "convert"]

Recognises = Callable[[Any], bool]
Read = Callable[[Any, Choice], Imported]
_CHECKPOINTS: list[tuple[Recognises, Read]] = [
    (nvidia.recognises, nvidia.read),
    (tensorflow.recognises, tensorflow.read),
    (rosinality.recognises, rosinality.read),
    (official.recognises, official.read),
    (small.recognises_resnet, small.read_resnet),
    (small.recognises_directions, small.read_directions),
]
_FORMATS: dict[str, list[tuple[Recognises, Read]]] = {
    "torch": _CHECKPOINTS,
    "pickle": _CHECKPOINTS,
    "safetensors": _CHECKPOINTS,
    "json": [(evolved.recognises, evolved.read)],
    "npy": [(small.recognises_latents, small.read_latents)],
}


def convert(source: Foreign | Path | str, choice: Choice | None = None) -> Imported:
    """What `source` is, as a file of ours; the card names the format and the sha256 of the file.

    Raises `UserError` that begins with the source and says what is not known or does not fit.
    """
    name = "the file" if isinstance(source, Foreign) else f"source={source}"
    choice = choice or Choice()
    foreign = source if isinstance(source, Foreign) else read_foreign(source)
    if "anycost" in foreign.metadata:
        raise UserError(f"{name} is a weights file of anycost already; anycost info weights=FILE says what it holds")
    for recognises, read in _FORMATS[foreign.kind]:
        if recognises(foreign.content):
            try:
                imported = read(foreign.content, choice)
                _check_choice(choice, imported.header.kind)
            except UserError as error:
                raise UserError(f"{name}: {error}") from error
            card = {**imported.header.card, "source_sha256": foreign.identity}
            return replace(imported, header=replace(imported.header, card=card))
    raise UserError(f"{name} is a {foreign.kind} file of no known kind: {_outline(foreign.content)}. {_KNOWN}")


def _check_choice(choice: Choice, kind: str) -> None:
    """Raise `UserError` for a choice that a file of this kind does not offer."""
    if choice.name is not None and kind not in ("architectures", "directions"):
        raise UserError(f"name={choice.name}: this file is not one of several entries; leave name= away")
    for key, value in (("weights", choice.weights), ("part", choice.part)):
        if value != getattr(Choice, key) and kind not in GENERATORS:
            raise UserError(f"{key}={value}: this file holds no generator; leave {key}= away")


_KNOWN = (
    "Known are checkpoints of the official Anycost code and of rosinality/stylegan2-pytorch, StyleGAN2 pickles of "
    "stylegan2-ada-pytorch, stylegan3 and TensorFlow, and Anycost's encoder, attribute predictor, boundaries, evolved "
    "configurations and projected latents"
)


def _outline(content: Any) -> str:
    """What the file holds, in few words."""
    if isinstance(content, dict):
        keys = ", ".join(shown(key, 40) for key in list(content)[:6])
        return f"a dictionary of {keys}{', ...' if len(content) > 6 else ''}" if content else "an empty dictionary"
    if isinstance(content, Stub):
        return f"an object of class {shown(content.name)}"
    shape = getattr(content, "shape", None)
    return f"a {type(content).__name__}{f' of shape {list(shape)}' if shape is not None else ''}"
