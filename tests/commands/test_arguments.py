"""`key=value` arguments become typed options, and mistakes are named."""

from dataclasses import dataclass

import pytest

from anycost.commands.arguments import parse
from anycost.configuration.fields import MISSING, option
from anycost.errors import UserError


@dataclass
class Options:
    source: str = option(MISSING, "where pictures are", path=True)
    resolution: int = option(64, "side in pixels", at_least=8)
    scale: float = option(1.0, "how much")
    mirror: bool = option(True, "flip")
    limit: int | None = option(None, "at most", at_least=1)
    names: list[str] = option(["a"], "several")
    mode: str = option("fast", "how", ("fast", "slow"))


def test_types_and_defaults():
    arguments = ["source=x", "resolution=32", "scale=0.5", "mirror=false", "limit=3", "names=b,c", "mode=slow"]
    assert parse(Options, arguments, None) == Options("x", 32, 0.5, False, 3, ["b", "c"], "slow")
    assert parse(Options, ["source=x", "limit=null"], None) == Options("x")


@pytest.mark.parametrize("text", ["b,c", "[b,c]", "[b, c]", "b,c,"])
def test_lists_with_and_without_brackets(text):
    assert parse(Options, ["source=x", f"names={text}"], None).names == ["b", "c"]


@pytest.mark.parametrize("path", ["my photos, [2]=new.zip", "a=b", "Übung #3.zip", "{x}"])
def test_any_file_name(path):
    assert parse(Options, [f"source={path}"], None).source == path


def test_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/anna")
    assert parse(Options, ["source=~/x.zip"], None).source == "/home/anna/x.zip"
    assert parse(Options, ["source=hf://anna/x"], None).source == "hf://anna/x"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "source=... is needed: where pictures are"),
        (["source=x", "resolutoin=3"], "resolutoin= is not an option; did you mean resolution="),
        (["source=x", "zzz=3"], "zzz= is not an option; there are source, resolution"),
        (["x"], "x is not of the form key=value"),
        (["source=x", "source=y"], "source=x and source=y are given; use one of them"),
        (["source=x", "scale=2", "scale=2"], "scale=2 and scale=2 are given; use one of them"),
        (["source=x", "name=b"], "name= is not an option; did you mean names="),
        (["source=x", "modes=slow"], "modes= is not an option; did you mean mode="),
        (["source=x", "resolution=big"], "resolution=big is not a whole number"),
        (["source=x", "scale=big"], "scale=big is not a number"),
        (["source=x", "mirror=maybe"], "mirror=maybe is not true or false"),
        (["source=x", "resolution=4"], "resolution=4 must be at least 8"),
        (["source=x", "mode=middle"], "mode=middle is not one of fast, slow"),
    ],
)
def test_mistakes(arguments, message):
    with pytest.raises(UserError, match=message):
        parse(Options, arguments, None)


def test_defaults_of_the_caller_are_replaced():
    arguments = ["resolution=32", "names=b"]
    assert parse(Options, arguments, None, ["source=x", "resolution=8"]) == Options("x", 32, names=["b"])
    with pytest.raises(UserError, match="resolution=32 and resolution=16 are given"):
        parse(Options, [*arguments, "resolution=16"], None, ["source=x", "resolution=8"])


def test_help_lists_every_option(capsys):
    assert parse(Options, ["source=x", "--help"], "What it does.") is None
    printed = capsys.readouterr().out
    assert printed.startswith("What it does.")
    assert all(f"  {name}=" in printed for name in Options.__dataclass_fields__)
