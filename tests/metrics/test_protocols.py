"""Protocols: each is fully named and specified, known by its name, and readable again from any record."""

import json
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from anycost.errors import UserError
from anycost.metrics.protocols import KINDS, MetricProtocol, in_training
from anycost.metrics.table import PROTOCOLS, markdown_protocols, protocols

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
EVERY = [*PROTOCOLS.values(), *(in_training(kind, "inception", "lpips", 5000) for kind in ("frechet", "consistency"))]


@pytest.mark.parametrize("protocol", EVERY, ids=lambda protocol: protocol.name)
def test_a_protocol_survives_json(protocol: MetricProtocol) -> None:
    again = MetricProtocol.from_json(json.loads(json.dumps(protocol.to_json())))
    assert again == protocol
    assert again.digest == protocol.digest


def test_names_and_digests_are_unique_and_every_kind_is_offered() -> None:
    assert all(name == protocol.name for name, protocol in PROTOCOLS.items())
    assert len({protocol.digest for protocol in PROTOCOLS.values()}) == len(PROTOCOLS)
    assert {protocol.kind for protocol in PROTOCOLS.values()} == set(KINDS)
    assert all(re.fullmatch("[a-z0-9_]+", name) for name in PROTOCOLS)


@pytest.mark.parametrize("field", [field.name for field in fields(MetricProtocol)])
def test_every_field_of_a_protocol_is_in_its_digest(field: str) -> None:
    protocol = in_training("frechet", "inception", "lpips", 5000)
    other = replace(protocol, **{field: 7})
    assert other.digest != protocol.digest
    assert other.to_json()[field] == 7


def test_embedded_numbers_carry_another_name() -> None:
    for name, protocol in PROTOCOLS.items():
        assert ("embedded" in name) == (protocol.features == "embedded")


def test_names_in_training_say_what_was_measured() -> None:
    assert in_training("frechet", "inception", "lpips", 5000).name == "frechet5000_inception"
    assert in_training("kernel", "embedded", "lpips", 2000).name == "kernel2000_embedded"
    assert in_training("consistency", "inception", "lpips", 5000).name == "consistency500_lpips"
    with pytest.raises(UserError, match="fid"):
        in_training("fid", "inception", "lpips", 5000)


def test_protocols_are_found_by_name_once_each() -> None:
    found = protocols(["pr50k3_full", "fid50k_full", "pr50k3_full", "frechet2000_embedded", "consistency500_lpips"])
    assert [one.name for one in found] == [
        "pr50k3_full", "fid50k_full", "frechet2000_embedded", "consistency500_lpips",
    ]  # fmt: skip
    assert found[2] == in_training("frechet", "embedded", "embedded", 2000)
    assert found[3] == in_training("consistency", "inception", "lpips", 9999)


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("fid50", "fid50k"),
        ("kd5k", "kd5k_embedded"),
        ("FID50K_full", "fid50k_full"),
        ("ppl", "ppl2_wend"),
        ("consistency", "consistency_embedded"),
        ("frechet0_embedded", "There are"),
        ("consistency5000_lpips", "lpips_consistency"),  # a training's consistency has 500 images at most
        ("frechet100_lpips", "There are"),
    ],
)
def test_an_unknown_name_names_the_close_ones(name: str, close: str) -> None:
    with pytest.raises(UserError, match=rf"metrics={name} is not known.*{close}.*fid50k_full"):
        protocols([name])


def test_no_name_is_an_error() -> None:
    with pytest.raises(UserError, match="fid50k_full"):
        protocols([])


@pytest.mark.parametrize(
    ("name", "available", "count"),
    [
        ("fid50k_full", 500, 500),
        ("fid50k_full", 200_000, 200_000),
        ("fid70k", 70_000, 70_000),
        ("fid70k", 90_000, 70_000),
        ("fd5k_embedded", 500, 500),
        ("fd5k_embedded", 6_000, 5_000),
        ("pr5k3_embedded", 4, 4),
        ("ppl2_wend", 0, 0),
    ],
)
def test_how_many_reals_are_measured(name: str, available: int, count: int) -> None:
    assert PROTOCOLS[name].real_count(available) == count


@pytest.mark.parametrize(
    ("name", "available", "words"),
    [
        ("fid70k", 500, "fid70k needs 70000 real images, the data set has 500; .*fid50k_full"),
        ("fid50k_full", 1, "fid50k_full needs 2 real images, the data set has 1;"),
        ("pr50k3_full", 3, "pr50k3_full needs 4 real images"),
    ],
)
def test_too_few_reals_are_an_error_with_a_way_out(name: str, available: int, words: str) -> None:
    with pytest.raises(UserError, match=words):
        PROTOCOLS[name].real_count(available)


def test_a_line_of_before_there_were_evaluations_is_todays_protocol() -> None:
    frechet = {
        "name": "frechet2000_embedded", "kind": "frechet", "features": "embedded", "samples": 2000, "resize": "none",
        "quantisation": "uint8", "noise": "random", "truncation": 1.0, "seed": 0, "dtype": "float32",
        "statistics": "float64",
    }  # fmt: skip
    consistency = {**frechet, "name": "consistency500_lpips", "kind": "consistency", "features": "lpips",
                   "samples": 500, "quantisation": "none", "noise": "const"}  # fmt: skip
    assert MetricProtocol.from_json(frechet) == in_training("frechet", "embedded", "lpips", 2000)
    assert MetricProtocol.from_json(consistency) == in_training("consistency", "inception", "lpips", 2000)


def test_the_page_holds_the_table_of_the_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert markdown_protocols() in page
    for field in fields(MetricProtocol):
        assert f"`{field.name}`" in page


@pytest.mark.parametrize("name", ["frechet1_embedded", "kernel1_inception"])
def test_a_set_of_one_image_has_no_distance(name: str) -> None:
    """The command would measure nothing, and say so by an empty table."""
    with pytest.raises(UserError, match=f"metrics={name}: .* needs two of them or more"):
        protocols([name])
    assert protocols(["consistency1_embedded", name.replace("1", "2")])
