"""Weights are found by file, run folder and pipeline folder; what is missing is explained."""

from dataclasses import asdict
from pathlib import Path

import pytest

from anycost.architecture import ArchitectureSpace
from anycost.errors import UserError
from anycost.interchange.locating import find_weights, open_generator, weights_identity
from anycost.interchange.weights import Header, read_weights, write_weights
from anycost.networks.generator import Generator

SPACE = ArchitectureSpace(16, 0.0625, 32, 2)


def written(path: Path) -> Path:
    generator = Generator(SPACE, latent_dim=8, mapping_layers=1)
    header = Header("training", asdict(SPACE), {"latent_dim": 8, "mapping_layers": 1})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_weights(path, {f"generator.{name}": tensor for name, tensor in generator.state_dict().items()}, header)
    return path


def test_a_file_a_run_and_a_pipeline_are_found(tmp_path: Path) -> None:
    file = written(tmp_path / "pipeline" / "multires" / "weights.safetensors")
    for given in (file, file.parent, file.parents[1], str(file)):
        assert find_weights(given) == file
    last = written(tmp_path / "pipeline" / "ada_ch" / "weights.safetensors")
    assert find_weights(tmp_path / "pipeline") == last
    assert open_generator(tmp_path / "pipeline")[0].space == SPACE


@pytest.mark.parametrize(("name", "message"), [
    ("nowhere", "does not exist"), ("", "is no run folder"), ("started", "not finished a stage"),
])
def test_what_is_missing_is_explained(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "started" / "stylegan2").mkdir(parents=True)
    with pytest.raises(UserError, match=message):
        find_weights(tmp_path / name)


def test_the_identity_follows_the_content(tmp_path: Path) -> None:
    first, second = written(tmp_path / "a.safetensors"), tmp_path / "b.safetensors"
    second.write_bytes(first.read_bytes())
    assert weights_identity(first) == weights_identity(second)
    second.write_bytes(first.read_bytes() + b" ")
    assert weights_identity(first) != weights_identity(second)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    file = written(tmp_path / "weights.safetensors")
    tensors, header = read_weights(file)
    tensors["generator.layers.0.weight"][0, 0, 0, 0] = float("nan")
    write_weights(file, tensors, header)
    with pytest.raises(UserError, match=r"generator\.layers\.0\.weight hold values that are not finite"):
        open_generator(file)
