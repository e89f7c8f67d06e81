"""`anycost pull`: weights from a Hugging Face hub into its local cache, checked by their sha256.

    anycost pull name=OWNER/NAME
    anycost pull name=OWNER/NAME@v1 output=generator.safetensors

Not needed before other commands: weights=OWNER/NAME, or hf://OWNER/NAME@REVISION/FILE, pulls by itself. A private
repository needs `hf auth login` once; $HF_ENDPOINT names another hub.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from anycost.commands.arguments import parse
from anycost.configuration.fields import MISSING, option


@dataclass
class PullConfig:
    """What to fetch, and where to put it."""

    name: str = option(MISSING, "OWNER/NAME, OWNER/NAME@REVISION or hf://OWNER/NAME[@REVISION][/FILE]")
    output: str | None = option(None, "file to copy the weights to; default: they stay in the hub's cache", path=True)


def main(arguments: Sequence[str]) -> int:
    """Fetch, check, and print where the file lies."""
    config = parse(PullConfig, arguments, __doc__)
    if config is None:
        return 0
    import shutil

    from anycost.files import atomic_write
    from anycost.interchange.hub import pull
    from anycost.networks.published import sha256

    path = pull(config.name)
    if config.output:
        with path.open("rb") as source, atomic_write(config.output) as file:
            shutil.copyfileobj(source, file)
    print(f"weights: {config.output or path}")
    print(f"sha256:  {sha256(path)}")
    return 0
