"""The files of experiments/: each composes to what it says, and the rows of a table fit together."""

import re
from functools import cache
from pathlib import Path

import pytest
import yaml

from anycost.configuration.composition import compose, run_composed
from anycost.configuration.identity import run_name
from anycost.configuration.schema import TrainConfig
from anycost.configuration.stage_schema import DistillConfig
from anycost.runs import RunDir
from anycost.training.initialisation import ROW
from anycost.training.start import run

FOLDER = Path(__file__).resolve().parents[1] / "experiments"
NAMES = sorted(file.relative_to(FOLDER).with_suffix("").as_posix() for file in FOLDER.rglob("*.yaml"))
TABLES = [name for name in NAMES if "sweeper" in (FOLDER / f"{name}.yaml").read_text()]
PARTS = ("table1/common", "table1_embedded/common", "table2/common", "table2_embedded/common", "table3/ffhq",
         "table3/car", "table3_embedded/common")
"""What rows share: no rows themselves."""
composed = cache(lambda name: compose(f"experiments={name}"))


def rows(table: str) -> list[str]:
    content = yaml.safe_load((FOLDER / f"{table}.yaml").read_text())
    (text,) = content["hydra"]["sweeper"]["params"].values()
    return [name.strip() for name in text.split(",")]


def references(config: TrainConfig) -> list[str]:
    """The rows that a row starts from or learns from."""
    texts = [config.init_from, config.stage.teacher if isinstance(config.stage, DistillConfig) else ""]
    return [text.removeprefix(ROW) for text in texts if text.startswith(ROW)]


def evaluations(table: str) -> list[tuple[str, ...]]:
    """The architectures of the `anycost evaluate` commands in a table's file."""
    found = re.findall(r"anycost evaluate .* architectures=\[(.*)\]", (FOLDER / f"{table}.yaml").read_text())
    return [tuple(names.split(",")) for names in found]


@pytest.mark.parametrize("name", NAMES)
def test_every_file_composes(name: str) -> None:
    assert composed(name).seed == 0


def test_every_file_of_a_table_is_one_of_its_rows() -> None:
    listed = {row for table in TABLES for row in rows(table)}
    inside = {name for name in NAMES if name.partition("/")[0] in TABLES and "/" in name}
    assert inside - set(PARTS) == listed


@pytest.mark.parametrize("table", TABLES)
def test_rows_refer_to_one_earlier_row_each_and_to_a_generator_of_their_size(table: str) -> None:
    configs = [composed(row) for row in rows(table)]
    for position, config in enumerate(configs):
        for name in references(config):
            (other,) = [earlier for earlier in configs[:position] if earlier.table.row == name]
            assert other.data == config.data
            assert other.model.channel_cap == config.model.channel_cap
    places = [(config.table.row, config.table.column) for config in configs]
    assert len(set(places)) == len(places)
    assert None not in {row for row, _ in places}
    hashes = [run_name(config, [row]) for row, config in zip(rows(table), configs, strict=True)]
    assert len(set(hashes)) == len(hashes)


@pytest.mark.parametrize("table", [table for table in TABLES if evaluations(table)])
def test_evaluations_measure_what_the_rows_train(table: str) -> None:
    """Their commands, in the file of the table, name the architectures of each of its rows, and no others."""
    configs = [composed(row) for row in rows(table)]
    starts = {name for config in configs for name in references(config)}
    shown = [config for config in configs if config.table.row not in starts or config.table.column]
    assert set(evaluations(table)) == {tuple(config.metrics.architectures) for config in shown}


def test_searched_architectures_are_measured_as_the_rows_are() -> None:
    (metric,) = re.findall(r"metrics=(\S+) architectures=FOUND", (FOLDER / "fig5_embedded.yaml").read_text())
    config = composed("fig5_embedded/flexible").metrics
    assert metric == f"frechet{config.samples}_embedded"
    assert "frechet" in config.names


def test_debug_shortens_every_stage_that_rows_have() -> None:
    """`debug=fdr` beats what a row says of lengths, batches and metrics."""
    first = {composed(row).stage.name: row for table in TABLES for row in reversed(rows(table))}
    assert set(first) == {"stylegan2", "multires", "ada_ch", "msg_gan", "distill", "prune"}
    for row in first.values():
        config = compose(f"experiments={row}", "debug=fdr")
        assert (config.stage.kimg, config.data.batch_size, config.metrics.names) == (0.008, 4, [])


@pytest.mark.parametrize("table", TABLES)
def test_the_command_line_says_how_many_devices(table: str) -> None:
    assert compose(f"experiments={rows(table)[0]}", "trainer.devices=4").trainer.devices == 4


def test_scales() -> None:
    """The paper's tables are trained on what it says, the embedded ones without any download."""
    for table in TABLES:
        for row in rows(table):
            config = composed(row)
            if table.endswith("_embedded"):
                assert (config.features.name, config.data.kind) == ("embedded", "faces")
            else:
                wide = table == "table3" and not row.endswith("_half")
                assert config.schedule.name == ("paper_car" if "_car" in row else "paper")
                assert (config.model.discriminator_multiplier or config.model.multiplier) == (2.0 if wide else 1.0)
                assert config.trainer.devices == 2, "trainer=ddp"


@pytest.mark.slow
@pytest.mark.parametrize("table", [table for table in TABLES if table.endswith("_embedded")])
def test_the_rows_of_a_table_train_in_their_order(
    table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders: list[Path] = []

    def train(config: TrainConfig, folder: Path) -> None:
        folders.append(folder)
        run(config, folder)

    run_composed(
        ["-m", f"experiments={table}", "debug=fdr", "callbacks=none", "model.latent_dim=16", "model.mapping_layers=1",
         "trainer.threads=1"], train,
    )  # fmt: skip
    records = [RunDir(folder).read_record() for folder in folders]
    assert [(record and (record.state, record.images)) for record in records] == [("finished", 8)] * len(rows(table))
