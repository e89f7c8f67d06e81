"""From the original file on disk to `anycost.load`: the pictures of the original networks, in float32."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import anycost
from anycost.commands import main
from anycost.interchange.weights import read_header

WIDTHS = (16, 16, 16, 8, 4)
Write = Callable[[ModuleType, ModuleType, Path], tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]]


def single(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: x.float().contiguous() for name, x in state.items()}


def of_skip_layout(save: Callable[[Any, Path], None]) -> Write:
    def write(originals: ModuleType, _: ModuleType, path: Path) -> Any:
        state = originals.skip.generator(originals.Shape(WIDTHS))
        save(single(state), path)
        return lambda z: originals.skip.mapping(state, z), lambda w: originals.skip.synthesis(state, w)

    return write


def of_nvidia(originals: ModuleType, foreign_files: ModuleType, path: Path) -> Any:
    state = originals.nvidia.generator(originals.Shape(WIDTHS))
    buffers = ("w_avg", "noise_const", "resample_filter")
    foreign_files.write_pickle(path, {"G_ema": foreign_files.module(single(state), {}, buffers)}, protocol=4)
    return lambda z: originals.nvidia.mapping(state, z), lambda w: originals.nvidia.synthesis(state, w)


def of_tensorflow(originals: ModuleType, foreign_files: ModuleType, path: Path) -> Any:
    def network(name: str, state: dict[str, Tensor], components: Any = None) -> Any:
        return foreign_files.tf_network(name, {key: x.float().numpy() for key, x in state.items()}, components)

    shape = originals.Shape(WIDTHS)
    own, mapping, synthesis = originals.tensorflow.generator(shape)
    g = network("G", own, {"mapping": network("M", mapping), "synthesis": network("S", synthesis)})
    foreign_files.write_pickle(path, (g, network("D", originals.tensorflow.discriminator(shape)), g))
    tensorflow = originals.tensorflow
    return lambda z: tensorflow.mapping(mapping, z), lambda w: tensorflow.synthesis(synthesis, w)


@pytest.mark.parametrize(("write", "source"), [
    (of_skip_layout(lambda state, path: torch.save({"g_ema": state}, path)), "official Anycost generator"),
    (of_skip_layout(lambda state, path: torch.save(state, path, _use_new_zipfile_serialization=False)),
     "official Anycost generator"),
    (of_skip_layout(save_file), "official Anycost generator"),
    (of_skip_layout(lambda state, path: torch.save({"g_ema": state, "latent_avg": torch.zeros(16)}, path)),
     "rosinality StyleGAN2 checkpoint"),
    (of_nvidia, "NVIDIA StyleGAN2 pickle"),
    (of_tensorflow, "TensorFlow StyleGAN2 pickle"),
], ids=["official", "official-legacy-file", "official-safetensors", "rosinality", "nvidia", "tensorflow"])
def test_same_pictures(originals: ModuleType, foreign_files: ModuleType, tmp_path: Path, write: Write,
                       source: str) -> None:
    mapping, synthesis = write(originals, foreign_files, tmp_path / "source")
    output = tmp_path / "g.safetensors"
    assert main(["convert", f"source={tmp_path / 'source'}", f"output={output}"]) == 0
    assert read_header(output).card["source"] == source
    generator, z = anycost.load(output), torch.randn(4, 16, dtype=torch.float64)
    expected = synthesis(mapping(z))
    assert (generator(z.float()).double() - expected).abs().max() <= 1e-5 * expected.abs().max()
    w = mapping(z)
    found = generator(w.float(), latents_in="w").double()
    assert (found - synthesis(w)).abs().max() <= 1e-5 * expected.abs().max()
