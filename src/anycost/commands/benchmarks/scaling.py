"""`anycost benchmark scaling`: what data-parallel training costs and where it stops to pay, computed, not run.

    anycost benchmark scaling stage=ada_ch data=ffhq
    anycost benchmark scaling stage=stylegan2 data=ffhq processes=8,64 bandwidths=12.5,100 tflops=60
    anycost benchmark scaling table=table2 tflops=60      GPU hours of every row of a table, for one seed

Arguments that are not named below are those of `anycost train`. Operations and gradient sizes are those of the very
networks; the arithmetic that a GPU sustains is yours to give. By default it is what NVIDIA's published training time of
StyleGAN2 (config-F, 1024 px, one V100: 69 days 23 hours for 25 million images) comes to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anycost.commands.arguments import parse
from anycost.configuration.fields import option
from anycost.errors import UserError

if TYPE_CHECKING:
    from anycost.benchmarks.scaling import StepCost
    from anycost.configuration.schema import TrainConfig

PUBLISHED_SEC_PER_IMAGE = (69 * 24 + 23) * 3600 / 25e6
"""One V100, StyleGAN2 config-F at 1024 px: the table of training times in the README of NVlabs/stylegan2."""
_PUBLISHED = ("stage=stylegan2", "data=ffhq", "model=config_f", "data.resolution=1024")
_REACHED = 0.95
_HOUR = 3600.0


@dataclass
class ScalingConfig:
    """The machine on paper."""

    processes: list[str] = option(["8", "16", "32", "64"], "numbers of GPUs")
    bandwidths: list[str] = option(["1.25", "12.5", "25", "100"], "GB/s that each GPU can send: 12.5 is 100 Gb/s")
    images: int = option(4, "images of a step on each GPU", at_least=4)
    tflops: float | None = option(None, "10^12 operations per second of a GPU; default: those of the published time")
    table: str | None = option(None, "experiment with a table of runs: the GPU hours of its rows")


def main(arguments: Sequence[str]) -> int:
    """Print the tables."""
    from dataclasses import fields

    own = {spec.name for spec in fields(ScalingConfig)}
    mine = [one for one in arguments if one.partition("=")[0] in own or one in ("-h", "--help")]
    config = parse(ScalingConfig, mine, __doc__)
    if config is None:
        return 0
    others = [one for one in arguments if one not in mine]
    from anycost.benchmarks.scaling import step_cost
    from anycost.configuration.composition import compose

    rate = config.tflops * 1e12 if config.tflops else _published_rate()
    print(f"A GPU is taken to sustain {rate / 1e12:.1f} TFLOP/s.\n")
    if config.table:
        print(_hours(config.table, others, rate))
        return 0
    cost = step_cost(_adversarial(compose(*others), "this"))
    print(_phases(cost), end="\n\n")
    print(_scaling(cost, config, rate))
    return 0


def _published_rate() -> float:
    from anycost.benchmarks.scaling import step_cost
    from anycost.configuration.composition import compose

    return step_cost(compose(*_PUBLISHED)).operations / PUBLISHED_SEC_PER_IMAGE


def _adversarial(config: "TrainConfig", name: str) -> "TrainConfig":
    if config.stage.name not in ("stylegan2", "multires", "ada_ch"):
        raise UserError(
            f"{name} is stage={config.stage.name}, whose steps are not counted; take stylegan2, multires or ada_ch"
        )
    return config


def _phases(cost: "StepCost") -> str:
    lines = ["| phase | every | GFLOP per image | MB all-reduced |", "|---|---:|---:|---:|"]
    lines += [
        f"| {phase.name} | {phase.every} | {phase.operations / 1e9:.1f} | {phase.reduced_bytes / 1e6:.1f} |"
        for phase in cost.phases
    ]
    return "\n".join([*lines, f"| a step | | {cost.operations / 1e9:.1f} | {cost.reduced_bytes / 1e6:.1f} |"])


def _scaling(cost: "StepCost", config: ScalingConfig, rate: float) -> str:
    """Per number of GPUs: time of a step's arithmetic, bytes sent, efficiency by bandwidth, bandwidth for 95 %."""
    speeds = [_number(text, "bandwidths") for text in config.bandwidths]
    heads = "".join(f" {speed:g} GB/s |" for speed in speeds)
    lines = [
        f"| GPUs | batch | arithmetic | sent per GPU |{heads} for {_REACHED:.0%} |",
        "|---:|---:|---:|---:|" + "---:|" * (len(speeds) + 1),
    ]
    for text in config.processes:
        count = int(_number(text, "processes"))
        compute, moved = cost.compute_sec(config.images, rate), cost.moved_bytes(count)
        shares = "".join(f" {cost.efficiency(count, config.images, rate, speed * 1e9):.1%} |" for speed in speeds)
        needed = cost.bandwidth_for(_REACHED, count, config.images, rate) / 1e9
        lines.append(
            f"| {count} | {count * config.images} | {1000 * compute:.0f} ms | {moved / 1e6:.0f} MB |{shares} "
            f"{needed:.2f} GB/s |"
        )
    return "\n".join(lines)


def _hours(table: str, others: Sequence[str], rate: float) -> str:
    """GPU hours of each row of an experiment's table, and their sum."""
    from anycost.benchmarks.scaling import step_cost
    from anycost.configuration.composition import compose
    from anycost.configuration.tables import table_rows

    lines, total = ["| row | kimg | GFLOP per image | GPU hours |", "|---|---:|---:|---:|"], 0.0
    for row in table_rows(table):
        config = compose(f"experiments={row}", *others)
        if config.stage.name not in ("stylegan2", "multires", "ada_ch"):
            lines.append(f"| {row} | {config.stage.kimg:g} | not counted | |")
            continue
        cost = step_cost(config)
        hours = config.stage.kimg * 1000 * cost.operations / rate / _HOUR
        total += hours
        lines.append(f"| {row} | {config.stage.kimg:g} | {cost.operations / 1e9:.1f} | {hours:.0f} |")
    return "\n".join([*lines, f"| all that are counted | | | {total:.0f} |"])


def _number(text: str, option: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if value <= 0:
        raise UserError(f"{option}={text} is not a positive number")
    return value
