"""`anycost options [GROUP ...]`: every key of the configuration, as Markdown made from the schema and `conf/`.

`anycost options > docs/options.md` renews the page of the documentation; a test compares the two.
"""

from collections.abc import Iterator, Sequence
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import Field, fields, is_dataclass
from pathlib import Path
from typing import Any

from anycost.configuration.fields import MISSING
from anycost.configuration.paths import config_groups, config_home
from anycost.configuration.schema import TrainConfig
from anycost.configuration.stage_schema import STAGES, MultiresConfig, StageConfig
from anycost.errors import UserError

HEADING = """# Options

Made by `anycost options > docs/options.md` from `configuration/schema.py` and `conf/`; do not edit.
A group's option is chosen with `group=option`, a key inside it set with `group.key=value`. Keys marked with
° may change when a run continues; any other change starts a new run.
"""


def main(arguments: Sequence[str]) -> int:
    """Print the tables of the groups named, or of all."""
    if "--help" in arguments or "-h" in arguments:
        print(__doc__)
        return 0
    if unknown := set(arguments) - set(sections()):
        raise UserError(f"{unknown.pop()} is not a group of the configuration; the groups are {', '.join(sections())}")
    print(render(arguments or list(sections())))
    return 0


def sections() -> dict[str, type | None]:
    """Groups in the order of the page, with the dataclass of their keys where they have one."""
    kinds = {spec.name: spec.type for spec in fields(TrainConfig) if isinstance(spec.type, type)}
    groups = ["stage", *(name for name, kind in kinds.items() if is_dataclass(kind))]
    others = [name for name in config_groups() if name not in groups]
    return {"general": TrainConfig, **{name: kinds.get(name) for name in [*groups, *others]}}


def render(groups: Sequence[str]) -> str:
    """The Markdown of these sections."""
    return "\n".join([HEADING, *(block for group in groups for block in _section(group, sections()[group]))]).rstrip()


def _section(group: str, kind: Any) -> Iterator[str]:
    yield f"## {group}\n"
    if group in config_groups():
        yield _table("option", "meaning", rows=_choices(group))
    if group == "stage":
        yield "Every adversarial stage (`stage.stylegan2.kimg` and so on under `stage=pipeline`):\n"
        yield _keys(_rows(StageConfig, "stage."))
        for name in ("multires", "ada_ch", "msg_gan", "distill", "attributes"):
            yield f"`stage={name}`{' besides' if issubclass(STAGES[name], StageConfig) else ''}:\n"
            yield _keys(_rows(STAGES[name], "stage.", besides=_parent(STAGES[name])))
    elif kind is TrainConfig:
        yield _keys((spec.name, spec) for spec in fields(kind) if spec.name in ("seed", "run", "resume", "init_from"))
    elif kind is not None:
        yield _keys(_rows(kind, f"{group}."))


def _parent(stage: type) -> type | None:
    return MultiresConfig if stage is STAGES["ada_ch"] else StageConfig if issubclass(stage, StageConfig) else None


def _rows(kind: Any, prefix: str, besides: Any = None) -> Iterator[tuple[str, Field]]:
    known = {spec.name for spec in fields(besides)} if besides else set()
    for spec in fields(kind):
        if spec.name in known:
            continue
        if is_dataclass(spec.type):
            yield from _rows(spec.type, f"{prefix}{spec.name}.")
        elif spec.metadata:
            yield f"{prefix}{spec.name}", spec


def _choices(group: str) -> Iterator[Sequence[str]]:
    """Options of a group, each with the first comment of its file."""
    folder = config_home() / ("" if group == "experiments" else "conf") / group
    for name in config_groups()[group]:
        yield f"`{name}`", _comment(folder / f"{name}.yaml")


def _comment(file: Path) -> str:
    lines = [line[2:] for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("# ")]
    return next((line for line in lines if not line.startswith("@package")), "")


def _keys(rows: Any) -> str:
    return _table(
        "key",
        "default",
        "meaning",
        rows=(
            (f"`{key}`{'' if spec.metadata['identity'] else '°'}", _default(spec), _meaning(spec)) for key, spec in rows
        ),
    )


def _default(spec: Field) -> str:
    value = spec.default_factory() if spec.default_factory is not NO_DEFAULT else spec.default
    if value is None or value == MISSING:
        return ""
    text = str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
    return f"`{text}`".replace("'", "")


def _meaning(spec: Field) -> str:
    choices = spec.metadata["choices"]
    return spec.metadata["help"] + (f" ({', '.join(f'`{choice}`' for choice in choices)})" if choices else "")


def _table(*columns: str, rows: Any) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
