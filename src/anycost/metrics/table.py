"""The table of all metrics that can be asked for by name: published protocols, and offline ones of our own."""

import re
from collections.abc import Iterable
from dataclasses import fields
from difflib import get_close_matches

from anycost.errors import UserError
from anycost.metrics.protocols import (
    ALIGNED_256,
    BOX_256,
    PERCEPTUAL_256,
    PYTORCH_299,
    TENSORFLOW_224,
    TENSORFLOW_299,
    UNRESIZED,
    MetricProtocol,
    full_image,
    in_training,
)

_FULL_IMAGE = full_image("bilinear")
_FULL_ANSWER = "full generator's answer, same latent and noise, at its own resolution"
_KINDS_IN_TRAINING = re.compile(r"(frechet|kernel|consistency)([1-9]\d*)_(inception|lpips|embedded)")


def _inception(name: str, kind: str, samples: int = 50_000, reals: str = "all", **more: int) -> MetricProtocol:
    """NVIDIA's way with Inception: images as saved, TensorFlow's resize."""
    return MetricProtocol(name, kind, "inception", samples, reals, TENSORFLOW_299, "uint8", "random", **more)  # type: ignore[arg-type]


def _anycost_fid(name: str, count: int) -> MetricProtocol:
    """The official Anycost code's way: images that were never rounded, PyTorch's resize, as many reals as fakes."""
    return MetricProtocol(name, "frechet", "inception", count, str(count), PYTORCH_299, "none", "random")


def _embedded(name: str, kind: str, samples: int, **more: int) -> MetricProtocol:
    return MetricProtocol(
        name, kind, "embedded", samples, f"<={samples}", UNRESIZED, "uint8", "random", **more  # type: ignore[arg-type]
    )


def _path_length(name: str, pairs: int, features: str = "lpips") -> MetricProtocol:
    return MetricProtocol(
        name, "path_length", features, pairs, "none", BOX_256, "none", "const", epsilon=1e-4, percentiles=(1, 99)
    )


def _consistency(name: str, features: str) -> MetricProtocol:
    return MetricProtocol(
        name, "consistency", features, 2_000, "none", PERCEPTUAL_256, "none", "const", target=_FULL_IMAGE
    )


def _attributes(name: str, features: str, samples: int, resize: str) -> MetricProtocol:
    return MetricProtocol(
        name, "attributes", features, samples, "none", resize, "none", "const", truncation=0.5, target=_FULL_ANSWER
    )


PROTOCOLS: dict[str, MetricProtocol] = {
    protocol.name: protocol
    for protocol in (
        # Published: they need Inception, LPIPS-VGG or the official attribute predictor.
        _inception("fid50k_full", "frechet"),
        _anycost_fid("fid50k", 50_000),
        _anycost_fid("fid70k", 70_000),
        _inception("kid50k_full", "kernel", subsets=100, subset_size=1000),
        MetricProtocol(
            "pr50k3_full", "precision_recall", "vgg16", 50_000, "all", TENSORFLOW_224, "uint8", "random", neighbours=3
        ),
        _inception("is50k", "inception_score", reals="none", splits=10),
        _path_length("ppl2_wend", 50_000),
        _path_length("ppl100k_wend", 100_000),
        _consistency("lpips_consistency", "lpips"),
        _attributes("attribute_consistency", "attribute_predictor", 10_000, ALIGNED_256),
        # Offline: the embedded network; numbers for comparisons on one data set.
        _embedded("fd1k_embedded", "frechet", 1_000),
        _embedded("fd5k_embedded", "frechet", 5_000),
        _embedded("fd20k_embedded", "frechet", 20_000),
        _embedded("kd5k_embedded", "kernel", 5_000),
        _embedded("pr5k3_embedded", "precision_recall", 5_000, neighbours=3),
        _path_length("ppl1k_wend_embedded", 1_000, "embedded"),
        _consistency("consistency_embedded", "embedded"),
        _attributes("attribute_consistency_embedded", "embedded", 2_000, "at most 64 bilinear antialiased"),
    )
}


def protocols(names: Iterable[str]) -> list[MetricProtocol]:
    """The protocols of these names, once each, in this order.

    Names of training's metrics (`frechet5000_inception`) are known too, so that other architectures can be measured
    as a training measured its own. Raises `UserError` with the close names for an unknown one.
    """
    found = {name: PROTOCOLS.get(name) or _named_as_in_training(name) for name in names}
    if not found:
        raise UserError(f"metrics=[] names no metric; there are {', '.join(PROTOCOLS)}")
    return list(found.values())


def offline_names(protocol: MetricProtocol) -> list[str]:
    """The metrics of the same kind that need no download."""
    return [one.name for one in PROTOCOLS.values() if one.kind == protocol.kind and one.features == "embedded"]


def _named_as_in_training(name: str) -> MetricProtocol:
    if match := _KINDS_IN_TRAINING.fullmatch(name):
        kind, samples, features = match[1], int(match[2]), match[3]
        protocol = in_training(kind, features, features, samples)
        if samples == 1 and kind != "consistency":
            raise UserError(f"metrics={name}: a distance between sets of images needs two of them or more")
        if protocol.name == name and features in (("lpips", "embedded") if kind == "consistency" else
                                                  ("inception", "embedded")):  # fmt: skip
            return protocol
    begun = [known for known in PROTOCOLS if name and known.startswith(name.lower())]
    close = begun or get_close_matches(name.lower(), PROTOCOLS, n=4, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    raise UserError(f"metrics={name} is not known; {hint}There are {', '.join(PROTOCOLS)}")


def markdown_protocols() -> str:
    """Every field of every protocol, for docs/metrics.md: a row each, and a line of what is the same for all.

    Fields that only some kinds have stand together in the last column.
    """
    rows = list(PROTOCOLS.values())
    names = [field.name for field in fields(MetricProtocol)]
    special = [field.name for field in fields(MetricProtocol) if field.default in (None, "")]
    shared = [name for name in names if name not in special and len({getattr(row, name) for row in rows}) == 1]
    header = [name for name in names if name not in (*shared, *special)]
    lines = [[*header, "further"], ["---"] * (len(header) + 1)]
    for row in rows:
        given = [f"{name}: {_cell(getattr(row, name))}" for name in special if getattr(row, name) not in (None, "")]
        lines.append([*(_cell(getattr(row, name)) for name in header), "; ".join(given) or "-"])
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"{table}\nThe same for all: {', '.join(f'{name} {_cell(getattr(rows[0], name))}' for name in shared)}.\n"


def _cell(value: object) -> str:
    if isinstance(value, tuple):
        return " to ".join(f"{part:g}" for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
