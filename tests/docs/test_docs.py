"""The pages tell the truth: links resolve, commands exist and compose, options are real, Python examples run."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass
from functools import reduce
from importlib import import_module
from pathlib import Path

import pytest
import torch

from anycost.architecture import ArchitectureSpace
from anycost.commands import VERBS
from anycost.commands.arguments import parse
from anycost.commands.benchmark import BENCHMARKS
from anycost.commands.options import render, sections
from anycost.commands.sweep import OPTIONS as SWEEP_OPTIONS
from anycost.configuration.composition import compose
from anycost.configuration.schema import TrainConfig
from anycost.configuration.tables import table_rows
from anycost.data.prepare import PrepareConfig
from anycost.interchange.weights import Header, write_weights
from anycost.networks.generator import Generator

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "experiments" / "README.md"]
SETTINGS = [*sorted((ROOT / "conf").rglob("*.yaml")), *sorted((ROOT / "experiments").rglob("*.yaml"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
TRAIN = re.compile(r"(?:train\.py|anycost train)\b(.*)")
VERB = re.compile(r"\banycost ([a-z]+)\b(.*)")
LAUNCHERS = {"submitit_slurm", *(file.stem for file in (ROOT / "conf/hydra/launcher").glob("*.yaml"))}
NO_OVERRIDES = {"--help", "--cfg", "job", "...", "cluster=NAME"}


def name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def spans(page: Path) -> list[str]:
    """The inline code of a page, line breaks as spaces."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return [span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", text)]


def command_lines(file: Path) -> Iterator[str]:
    """What a reader may type: lines of bash blocks and inline code of a page, comments of a YAML file."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".yaml":
        whole = re.sub(r"\\\n#\s*", "", text)
        yield from re.findall(r"^#\s+((?:python train\.py|anycost) .*)", whole, re.MULTILINE)
        return
    for language, block in FENCE.findall(text):
        if language == "bash":
            yield from block.replace("\\\n", " ").splitlines()
    yield from spans(file)


def found(pattern: re.Pattern[str]) -> list:
    """What `pattern` captures in the commands of all files, once each; pytest names the first file that has it."""
    hits = {
        match.groups(): name(file)
        for file in reversed([*PAGES, *SETTINGS])
        for line in command_lines(file)
        if (match := pattern.search(line))
    }
    return [pytest.param(*groups, id=f"{file}: {' '.join(groups)}") for groups, file in sorted(hits.items())]


def compositions(arguments: str) -> Iterator[list[str]]:
    """The overrides of the run that the command starts; with `-m` of a few of them, in which every value occurs."""
    words = [word for word in shlex.split(arguments, comments=True) if word not in NO_OVERRIDES]
    launchers = [word.partition("=")[2] for word in words if word.startswith("hydra/launcher=")]
    assert set(launchers) <= LAUNCHERS
    words = [word for word in words if not word.startswith("hydra/launcher=")]  # for the multirun, not for its runs
    if "-m" not in words:
        yield words
        return
    swept = {key: values.split(",") for key, _, values in (word.partition("=") for word in words if word != "-m")}
    if "experiments" in swept:  # a table is its rows
        swept["experiments"] = [name if "/" in name else table_rows(name)[0] for name in swept["experiments"]]
    for turn in range(max(map(len, swept.values()))):
        yield [f"{key}={values[turn % len(values)]}" for key, values in swept.items()]


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 300


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_resolve(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text(encoding="utf-8")))
    relative = [target.partition("#")[0] for target in targets if not re.match(r"[a-z]+:|#", target)]
    assert [target for target in relative if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("arguments", found(TRAIN))
def test_training_commands_compose(arguments: str) -> None:
    for overrides in compositions(arguments):
        compose(*overrides)


@pytest.mark.parametrize(("verb", "arguments"), found(VERB))
def test_verbs_exist_and_take_these_arguments(verb: str, arguments: str) -> None:
    assert verb in VERBS
    words = shlex.split(arguments.partition(">")[0], comments=True)
    if verb == "options":
        assert set(words) <= {*sections()}
    elif verb == "benchmark" and words and words[0] not in ("--help", "NAME", "..."):
        assert words[0] in BENCHMARKS
        check_arguments(f"benchmarks.{words[0]}", words[1:])
    elif verb == "sweep" and words:
        assert words[0] in SWEEP_OPTIONS
        settings = [word for word in words[2:] if "." in word.partition("=")[0]]
        parse(SWEEP_OPTIONS[words[0]], [word for word in words[2:] if word not in settings], None)
        compose(*settings)
    elif verb != "train":
        check_arguments(verb, words)


def check_arguments(module: str, words: list[str]) -> None:
    """Every `key=value` of the command is an option of its verb, or of the data or model that it opens."""
    own = [word for word in words if "=" in word and not re.match(r"(data|model|stage)[=.]", word)]
    about = [word.replace("model.resolution", "data.resolution") for word in words if word not in own and "=" in word]
    if own and words != ["--help"]:
        (kind,) = option_classes(module)
        parse(kind, [word for word in own if not word.endswith("=...")], None)
    if about:
        compose(*about)


def option_classes(module: str) -> list[type]:
    """The dataclass that a verb parses its arguments into."""
    loaded = import_module(f"anycost.commands.{module}")
    return [value for name, value in vars(loaded).items() if is_dataclass(value) and name.endswith("Config")]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_options_named_are_real(page: Path) -> None:
    known = set(re.findall(r"\| `([\w.]+)`", render(list(sections()))))
    groups = [group for group in sections() if group != "general"]
    named = {
        match[1]
        for span in spans(page)
        if (match := re.fullmatch(rf"((?:{'|'.join(groups)})\.[a-z_.]+?)(?:=.*)?", span))
    } - {"metrics.csv", "metrics.jsonl", "table.csv", "data.mdb"}
    plain = {re.sub(r"^stage\.(stylegan2|multires|ada_ch)\.", "stage.", key) for key in named}
    assert [key for key in sorted(plain) if not any(one == key or one.startswith(f"{key}.") for one in known)] == []


def setting(config: TrainConfig, key: str) -> str:
    """The value at `key` as the pages write it."""
    value = reduce(getattr, key.split("."), config)
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


@pytest.mark.parametrize(("stage", "arguments", "column"), [
    *((stage, (f"stage={stage}", "data=ffhq"), 1) for stage in ("stylegan2", "multires", "ada_ch")),
    *((stage, (f"experiments=official/{stage}",), 2) for stage in ("stylegan2", "multires", "ada_ch")),
    ("attributes", ("stage=attributes", "schedule=paper"), 1),
])
def test_tables_of_stages_state_the_values(stage: str, arguments: tuple[str, ...], column: int) -> None:
    page = (ROOT / "docs" / "stages" / f"{stage}.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if re.match(r"\| `[a-z]+\.[\w.]+` \|", line)]
    cells = {row[0].strip("|` "): re.match("`([^`]+)`", row[column]) for row in rows if len(row) > column}
    stated = {key: value[1] for key, value in cells.items() if value}
    config = compose(*arguments)
    assert stated
    assert stated == {key: setting(config, key) for key in stated}


def test_the_options_of_prepare_are_all_explained() -> None:
    page = (ROOT / "docs" / "data" / "prepare.md").read_text(encoding="utf-8")
    assert [key for key in PrepareConfig.__dataclass_fields__ if f"| `{key}` |" not in page] == []


def python_blocks() -> list[tuple[str, str]]:
    """The Python examples; docs/architecture.md lists signatures instead."""
    pages = [page for page in PAGES if page.name != "architecture.md"]
    blocks = [(page, block) for page in pages for language, block in FENCE.findall(page.read_text(encoding="utf-8"))
              if language == "python"]
    return [(name(page), block) for page, block in blocks]


@pytest.mark.parametrize(("file", "block"), python_blocks())
def test_python_examples_run(file: str, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    generator = Generator(ArchitectureSpace(32, 0.125, 64, 3), latent_dim=16, mapping_layers=1)
    tensors = {f"generator.{key}": value for key, value in generator.state_dict().items()}
    header = Header("training", asdict(generator.space), {"latent_dim": 16, "mapping_layers": 1})
    write_weights("PATH/weights.safetensors", tensors, header)
    with torch.no_grad():
        exec(compile(block, file, "exec"), {})
