"""Checkpoints of rosinality/stylegan2-pytorch: of its trainer, and of its converter from TensorFlow.

They differ from the official Anycost ones in what lies beside the networks: `latent_avg`, the mean style of the
averaged generator, and `args`. Their widths below 64 px are 512 whatever the multiplier is.
"""

from collections.abc import Mapping
from typing import Any

from anycost.interchange.importers.imported import Choice, Imported
from anycost.interchange.importers.networks import Networks, build
from anycost.interchange.importers.official import chosen, left_out
from anycost.interchange.importers.skip_layout import is_generator, read_discriminator, read_generator

_OWN = {"latent_avg", "args", "ada_aug_p"}
_OFFICIAL = {"epoch", "fid", "best_fid", "mean_path_length"}


def recognises(content: Any) -> bool:
    """Generators beside what only this trainer or converter writes."""
    if not isinstance(content, Mapping) or not any(is_generator(content.get(key)) for key in ("g_ema", "g")):
        return False
    trained = "g_optim" in content and not _OFFICIAL & set(content)
    return bool(_OWN & set(content)) or trained


def read(content: Mapping[str, Any], choice: Choice) -> Imported:
    """The generator that `choice` names, with discriminator and mean style where the file has them."""
    mean = content.get("latent_avg")
    raw_mean = mean is not None and choice.weights == "raw"
    networks = Networks(
        source="rosinality StyleGAN2 checkpoint",
        weights=choice.weights,
        generator=read_generator(chosen(content, choice)),
        discriminator=(lambda: read_discriminator(content["d"])) if "d" in content else None,
        truncation_mean=None if raw_mean else mean,
        hint=(_argument(content.get("args"), "channel_multiplier"), 512),
        left_out=(*left_out(content, ("g", "d", "g_ema", "latent_avg")),
                  *(["latent_avg (the mean style of the averaged generator)"] if raw_mean else [])),
    )  # fmt: skip
    return build(networks, choice)


def _argument(args: Any, name: str) -> Any:
    """An entry of the trainer's `args`, which is an `argparse.Namespace`, if it can be read."""
    state = args if isinstance(args, Mapping) else getattr(args, "state", None)
    return state.get(name) if isinstance(state, Mapping) else None
