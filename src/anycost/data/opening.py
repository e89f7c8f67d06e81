"""From the data configuration to a source that is known to fit: every mistake gets its message here, at the start."""

import logging

from anycost.configuration.schema import DataConfig
from anycost.data.celeba_hq import celeba_hq_split
from anycost.data.datasets import Source
from anycost.data.decode import UnusableImage
from anycost.data.faces import FaceSource
from anycost.data.geometry import check_large_enough, check_resolution, square_side
from anycost.data.kinds import detect_kind, open_pictures
from anycost.data.location import picture_path
from anycost.data.sources import PictureSource, Selection
from anycost.errors import UserError

log = logging.getLogger(__name__)

CHECKED = 1000
"""How many picture headers are looked at before a training starts, spread over the data set."""


def open_source(config: DataConfig) -> Source:
    """The source of `config`, checked; raises `UserError` naming the option, its value and the remedy."""
    check_resolution("data.resolution", config.resolution)
    path = picture_path(config)
    if path is None:
        return FaceSource(size=config.size) if config.size else FaceSource()
    kind = detect_kind(path)
    if kind != config.kind:
        raise UserError(f"data.kind={config.kind}: {config.path} is a {kind}; use data.kind={kind}")
    source = open_pictures(path, config.subset, config.size)
    if len(source) == 0:
        raise UserError(f"data.path={config.path} has no pictures in it")
    if config.split is not None:
        source = celeba_hq_split(source, config.split)
    if config.size is not None:
        if config.size > len(source):
            raise UserError(f"data.size={config.size} is more than the {len(source)} pictures of {config.path}")
        source = Selection(source, range(config.size))
    check_pictures(source, config.resolution, config.padding)
    return source


def check_pictures(source: PictureSource, resolution: int, padding: str) -> None:
    """Look at up to `CHECKED` headers; raise `UserError` for pictures that are too small or (by option) not square.

    Unreadable ones are logged: training replaces them. Where none can be read, that is a `UserError` too.
    """
    places = sorted({k * len(source) // CHECKED for k in range(CHECKED)})
    sizes: dict[int, tuple[int, int]] = {}
    for k in places:
        try:
            sizes[k] = source.size(k)
        except UnusableImage as error:
            log.warning("%s in %s %s (`anycost prepare` makes a clean archive)", source.name(k), source.path, error)
    if not sizes:
        raise UserError(f"data.path={source.path}: none of {len(places)} pictures looked at can be read")
    _check_square(source, sizes, padding)
    smallest = min(sizes, key=lambda k: square_side(sizes[k], padding))
    try:
        check_large_enough(sizes[smallest], resolution, padding)
    except UnusableImage as error:
        raise UserError(
            f"data.resolution={resolution} is larger than the pictures: {source.name(smallest)} in {source.path} "
            f"{error}; lower data.resolution, or let `anycost prepare` leave small pictures out"
        ) from error


def _check_square(source: PictureSource, sizes: dict[int, tuple[int, int]], padding: str) -> None:
    for k, size in sizes.items():
        try:
            square_side(size, padding)
        except UnusableImage as error:
            raise UserError(
                f"data.padding=error: {source.name(k)} in {source.path} {error}; "
                f"take data.padding=crop or data.padding=letterbox"
            ) from error
