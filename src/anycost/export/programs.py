"""PyTorch's own formats: a `torch.export` program, and a package that AOTInductor has compiled for this machine."""

import json
from io import BytesIO
from pathlib import Path

import torch

from anycost.errors import UserError
from anycost.export.subject import Run, Subject

DESCRIPTION = "anycost.json"
"""Name of the description among a program's extra files, and of its entry in a package's metadata."""


def trace(subject: Subject) -> torch.export.ExportedProgram:
    return torch.export.export(subject.graph, tuple(subject.traced.values()), dynamic_shapes=subject.dynamic_shapes)


def program_bytes(subject: Subject) -> bytes:
    """What `torch.export.save` writes, with the description as an extra file."""
    buffer = BytesIO()
    description = json.dumps(subject.description, sort_keys=True)
    torch.export.save(trace(subject), buffer, extra_files={DESCRIPTION: description})
    return buffer.getvalue()


def program_run(content: bytes) -> Run:
    """The program as `torch.export.load` reads it back."""
    module = torch.export.load(BytesIO(content)).module()
    return lambda inputs: module(*inputs.values())


def compile_package(subject: Subject, path: Path) -> None:
    """Write the compiled package to `path`, which must end in `.pt2`. Raises `UserError` without a C++ compiler."""
    _check_compiler()
    from torch._inductor import aoti_compile_and_package
    from torch._inductor.exc import CppCompileError

    settings = {"aot_inductor.metadata": {DESCRIPTION: json.dumps(subject.description, sort_keys=True)}}
    try:
        aoti_compile_and_package(trace(subject), package_path=str(path), inductor_configs=settings)
    except CppCompileError as error:
        raise UserError(f"format=aoti: the C++ compiler failed; format=torch_export needs none. {error}") from error


def package_run(path: Path) -> Run:
    """The package as `torch._inductor.aoti_load_package` reads it back."""
    from torch._inductor import aoti_load_package

    compiled = aoti_load_package(str(path))
    return lambda inputs: compiled(*inputs.values())


def _check_compiler() -> None:
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise UserError(
            "format=aoti compiles the network and finds no C++ compiler: install g++ or clang (apt install g++), or "
            "name one in $CXX; format=torch_export needs none"
        ) from error
