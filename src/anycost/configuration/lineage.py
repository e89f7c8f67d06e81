"""Which runs of a sweep start from the weights of which others: they are trained after them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from anycost.configuration.schema import TrainConfig
from anycost.configuration.stage_schema import PIPELINE, DistillConfig, PipelineConfig
from anycost.errors import UserError

ROW = "row:"
PRECEDING = {"multires": "stylegan2", "ada_ch": "multires"}


def dependencies(runs: Sequence[tuple[TrainConfig, Path]]) -> list[list[int]]:
    """For every run (configuration, folder) the positions of those that it starts from, ascending.

    A run starts from what `init_from` and `stage.teacher` name: `row:NAME` is the row of the same seed, a path may be
    another run's folder, and `auto` is every run of the preceding stage with the same data, model and seed. What is
    not among `runs` is left out: it may be there already. Raises `UserError` for runs that wait for each other.
    """
    found = [sorted({other for name in _origins(config) for other in _named(name, position, runs)})
             for position, (config, _) in enumerate(runs)]
    _check_circles(dict(enumerate(found)))
    return found


def rows_meant(config: TrainConfig, runs: Sequence[tuple[TrainConfig, Path]]) -> dict[str, int]:
    """`key=row:NAME` of `config` -> how many of `runs` are of that row and of its seed; 1 where all is well."""
    rows = Counter((other.table.row, other.seed) for other, _ in runs)
    return {f"{key}={name}": rows[name.removeprefix(ROW), config.seed] for key, name in _origin_keys(config)
            if name.startswith(ROW)}


def decisive(config: TrainConfig) -> tuple:
    """What two stages must share so that the one continues the other."""
    data, model = config.data, config.model
    return (
        *(data.name, data.path, data.subset, data.split, data.resolution),
        *(model.multiplier, model.channel_cap, model.latent_dim, model.mapping_layers),
        config.seed,
    )


def _origin_keys(config: TrainConfig) -> Iterator[tuple[str, str]]:
    yield "init_from", config.init_from
    if isinstance(config.stage, DistillConfig):
        yield "stage.teacher", config.stage.teacher


def _origins(config: TrainConfig) -> Iterator[str]:
    for _, name in _origin_keys(config):
        yield name


def _named(name: str, position: int, runs: Sequence[tuple[TrainConfig, Path]]) -> Iterator[int]:
    """Positions of the runs that `name` means to the run at `position`."""
    own = runs[position][0]
    for other, (config, folder) in enumerate(runs):
        if other == position:
            if name.startswith(ROW) and name.removeprefix(ROW) == own.table.row:
                raise UserError(f"{name} is the row itself; name the row that it starts from")
        elif name == "auto":
            if PRECEDING.get(own.stage.name) in _trained(config) and decisive(config) == decisive(own):
                yield other
        elif name.startswith(ROW):
            if (config.table.row, config.seed) == (name.removeprefix(ROW), own.seed):
                yield other
        elif _inside(Path(name), folder):
            yield other


def _trained(config: TrainConfig) -> Sequence[str]:
    """The stages whose weights a run leaves behind."""
    return PIPELINE if isinstance(config.stage, PipelineConfig) else (config.stage.name,)


def _inside(path: Path, folder: Path) -> bool:
    return path.expanduser().absolute().is_relative_to(folder.absolute())


def _check_circles(after: Mapping[int, Sequence[int]]) -> None:
    """Raise `UserError` where some wait for each other."""
    left = dict(after)
    while ready := [one for one, others in left.items() if not any(other in left for other in others)]:
        for one in ready:
            del left[one]
    if left:
        raise UserError(f"the runs {', '.join(map(str, left))} of the sweep start from each other's weights; see their "
                        "init_from and stage.teacher")
