"""Every known way to make a pickle run something: nothing is run, and the user is told what the file would have done.

Each test makes a file that would create `ran` if it were unpickled, and reads it under watch (`conftest.py`).
"""

import copyreg
import io
import os
import pickle
import struct
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from anycost.errors import UserError

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
MACHINE = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.reduced


class Named:
    """Pickles as `module.name(*arguments)`, for names that need not exist here."""

    def __init__(self, name: str, *arguments: Any) -> None:
        self.module, _, self.name = name.rpartition(".")
        self.arguments = arguments


class Pickler(pickle._Pickler):
    """Writes `Named` by its name, without looking it up."""

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if not isinstance(obj, Named):
            return super().save(obj, save_persistent_id)
        self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        super().save(obj.arguments)
        return self.write(pickle.REDUCE)


def pickled(content: Any, protocol: int = 2) -> bytes:
    stream = io.BytesIO()
    Pickler(stream, protocol).dump(content)
    return stream.getvalue()


def text(value: str) -> bytes:
    return pickle.BINUNICODE + struct.pack("<I", len(value)) + value.encode()


def archive(data: bytes, **entries: bytes) -> bytes:
    """A zip archive as torch.save writes it, around the pickle `data`."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("archive/data.pkl", data)
        for name, content in {"version": b"3\n", **entries}.items():
            file.writestr(f"archive/{name}", content)
    return stream.getvalue()


def legacy(data: bytes, keys: bytes | None = None, machine: bytes | None = None) -> bytes:
    """A file as torch.save wrote it before version 1.6, around the pickle `data`."""
    return (pickled(MAGIC) + pickled(VERSION) + (machine or pickled(MACHINE)) + data + (keys or pickled([])))


def in_tensor(stream: bytes) -> bytes:
    """A plain pickle whose tensor's storage is `stream`: what NVIDIA's files look like."""
    storage = Named("torch.storage._load_from_bytes", stream)
    return pickled({"G": Named("torch._utils._rebuild_tensor_v2", storage, 0, (1,), (1,), False, {})}, 3)


def test_the_trick_is_a_trick(tmp_path: Path) -> None:
    """The oracle of these tests: Python's own unpickler runs such a file."""
    pickle.loads(pickled([Call(os.system, f"touch {tmp_path / 'ran'}")]))
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(("function", "name"), [
    (os.system, "os.system"), (subprocess.check_output, "subprocess.check_output"),
    (subprocess.Popen, "subprocess.Popen"), (os.popen, "os.popen"), (pickle.loads, "pickle.loads"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_reduce(function: Callable, name: str, protocol: int, ran: Path, refused: Callable) -> None:
    message = refused(pickled({"g_ema": [Call(function, f"touch {ran}")]}, protocol))
    assert f"would import {name} " in message
    assert "nothing in it was run" in message


@pytest.mark.parametrize("code", ["eval", "exec"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_eval_and_exec(code: str, protocol: int, ran: Path, refused: Callable) -> None:
    function = {"eval": eval, "exec": exec}[code]
    message = refused(pickled(Call(function, f"__import__('pathlib').Path({str(ran)!r}).touch()"), protocol))
    assert f"would import builtins.{code} " in message


CALLABLES = {
    "torch": (
        "load hub.load hub._load_local hub.load_state_dict_from_url jit.load jit.script serialization.load "
        "serialization.os.system storage.pickle.loads ops.load_library classes.load_library "
        "utils._config_module.load_config utils.bottleneck.__main__.run_cprofile utils.collect_env.run "
        "utils.cpp_extension.load_inline utils.data.datapipes.utils.decoder.basichandlers "
        "distributed.rpc.internal._internal_rpc_pickler distributed.elastic.multiprocessing.subprocess_handler "
        "_dynamo.guards.GuardBuilder.get _inductor.codecache.compile_file _utils.sys.modules "
        "fx.experimental.symbolic_shapes.ShapeEnv.evaluate_guards_expression fx.graph_module.reduce_graph_module "
        "_utils._rebuild_wrapper_subclass _utils._rebuild_meta_tensor_no_storage _utils._rebuild_sparse_tensor "
        "_utils._rebuild_qtensor _utils._import_dotted_name _tensor._rebuild_from_type_v2 nn.modules.linear.Linear "
        "nn.parameter.Parameter Tensor _C._nn.gelu distributions.Normal"
    ),
    "numpy": (
        "load f2py.crackfortran.getlincoef testing._private.utils.runstring distutils.exec_command "
        "lib.npyio.NpzFile lib.utils.safe_eval core.multiarray.fromfile ndarray.tofile memmap "
        "_core._multiarray_umath._reconstruct core._internal._ctypes ma.core._mareconstruct"
    ),
    "dnnlib": (
        "util.get_obj_by_name util.call_func_by_name util.open_url tflib.network.exec tflib.network.Network.clone "
        "tflib.tfutil.run"
    ),
    "builtins": "__import__ getattr setattr compile open globals vars type object map filter apply breakpoint help",
    "__builtin__": "eval execfile file", "copy_reg": "_reconstructor", "copyreg": "__newobj__",
    "functools": "partial reduce", "operator": "attrgetter methodcaller itemgetter", "itertools": "starmap",
    "codecs": "decode open", "_codecs": "decode",
    "importlib": "import_module _bootstrap._gcd_import util.spec_from_file_location", "imp": "load_source",
    "pkgutil": "resolve_name", "zipimport": "zipimporter", "types": "FunctionType CodeType", "marshal": "loads",
    "pickle": "loads Unpickler", "cloudpickle": "loads cloudpickle._make_function", "dill": "loads", "joblib": "load",
    "shelve": "open", "runpy": "run_path _run_code", "pip": "main _internal.main",
    "os": "execv spawnl popen remove posix_spawn", "posix": "system", "nt": "system", "pty": "spawn",
    "commands": "getoutput", "subprocess": "run call getoutput", "multiprocessing": "util.spawnv_passfds",
    "_posixsubprocess": "fork_exec", "shutil": "rmtree move", "pathlib": "Path.unlink PosixPath.chmod",
    "tempfile": "mktemp", "webbrowser": "open", "ctypes": "CDLL", "cffi": "FFI", "platform": "popen",
    "timeit": "timeit main", "cProfile": "run", "profile": "run", "bdb": "Bdb", "pdb": "run", "trace": "Trace",
    "code": "interact InteractiveInterpreter", "doctest": "debug_script",
    "asyncio": "unix_events._UnixSubprocessTransport._start", "distutils": "spawn.spawn",
    "sys": "exit settrace modules.get", "socket": "create_connection",
    "urllib": "request.urlopen request.urlretrieve", "http": "client.HTTPSConnection", "ftplib": "FTP",
    "smtplib": "SMTP", "requests": "get", "aiohttp": "ClientSession", "ssl": "get_server_certificate",
    "logging": "config.fileConfig config._resolve", "idlelib": "run.Executive.runcode",
    "lib2to3": "pgen2.grammar.Grammar.loads", "unittest": "mock._importer", "inspect": "getattr_static",
    "tarfile": "open", "venv": "create", "test": "support.script_helper.run_python_until_end",
    "torch_utils": "persistence._src_to_module persistence.exec custom_ops.get_plugin misc.exec",
    "tensorflow": "keras.models.load_model", "argparse": "FileType ArgumentParser",
    "collections": "namedtuple defaultdict.fromkeys OrderedDict.update", "model": "Generator",
    "training": "networks.Generator", "yaml": "unsafe_load", "setuptools": "sandbox.run_setup",
    "datetime": "datetime.now", "uuid": "UUID", "decimal": "Decimal", "random": "Random", "threading": "Thread",
    "concurrent": "futures.ThreadPoolExecutor",
    "anycost": "interchange.foreign.reading.read_foreign files.atomic_write",
}
NAMES = [f"{package}.{name}" for package, names in CALLABLES.items() for name in names.split()]
ALIASES = {"__builtin__": "builtins", "copy_reg": "copyreg", "posix": "os", "nt": "os", "commands": "subprocess"}


@pytest.mark.parametrize("name", NAMES)
def test_every_name_that_is_not_on_the_list_is_refused_by_name(name: str, ran: Path, refused: Callable) -> None:
    """As GLOBAL and as STACK_GLOBAL, the latter split at every dot: dotted names reach into modules."""
    module, _, attribute = name.rpartition(".")
    shown = f"would import {ALIASES.get(module, module)}.{attribute} "
    assert shown in refused(pickled({"weight": Named(name, f"touch {ran}")}))
    parts = name.split(".")
    for split in range(1, len(parts)):
        module = ".".join(parts[:split])
        attribute = ".".join(parts[split:])
        content = pickle.PROTO + b"\x04" + text(module) + text(attribute) + pickle.STACK_GLOBAL
        assert f"would import {ALIASES.get(module, module)}.{attribute} " in refused(
            content + text(f"touch {ran}") + pickle.TUPLE1 + pickle.REDUCE + pickle.STOP)


@pytest.mark.parametrize(("module", "name"), [
    ("torch", "storage._load_from_bytes"), ("torch._utils", "_rebuild_tensor_v2.__globals__"),
    ("collections", "OrderedDict.__init__.__globals__"), ("numpy", "dtype.__class__"), ("builtins", "set.__class__"),
    ("argparse", "Namespace.__init__"), ("torch_utils.persistence", "_reconstruct_persistent_obj.__globals__"),
    ("builtins\n", "set"), (" builtins", "set"), ("", ""), ("builtins", "ѕet"),
])
def test_names_near_the_list_are_not_on_it(module: str, name: str, refused: Callable) -> None:
    content = pickle.PROTO + b"\x04" + pickle.BINUNICODE + struct.pack("<I", len(module)) + module.encode()
    content += pickle.BINUNICODE + struct.pack("<I", len(name.encode())) + name.encode()
    message = refused(content + pickle.STACK_GLOBAL + pickle.EMPTY_TUPLE + pickle.REDUCE + pickle.STOP)
    assert "would import" in message
    assert message.isascii()
    assert "\n" not in message


def test_a_chain_of_getattr(ran: Path, refused: Callable) -> None:
    """getattr(__import__('os'), 'system')(...), as polyglot payloads build it."""
    chain = Call(getattr, Call(__import__, "os"), "system")
    data = pickled(chain)[:-1] + text(f"touch {ran}") + pickle.TUPLE1 + pickle.REDUCE + pickle.STOP
    assert "would import builtins.getattr " in refused(data)


@pytest.mark.parametrize("operation", ["INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "REDUCE"])
def test_every_operation_that_calls(operation: str, ran: Path, refused: Callable) -> None:
    command = f"touch {ran}".encode()
    content = {
        "INST": b"(S'" + command + b"'\nios\nsystem\n.",
        "OBJ": b"(cos\nsystem\nS'" + command + b"'\no.",
        "NEWOBJ": b"\x80\x02csubprocess\nPopen\nS'" + command + b"'\n\x85\x81.",
        "NEWOBJ_EX": b"\x80\x04csubprocess\nPopen\n(S'" + command + b"'\n\x85}\x92.",
        "REDUCE": b"cos\nsystem\n(S'" + command + b"'\ntR.",
    }[operation]
    assert "would import" in refused(content)


@pytest.mark.parametrize("content", [
    b"\x80\x02K\x01)R.", b"\x80\x02X\x09\x00\x00\x00os.system)R.", b"\x80\x02])R.",
    b"\x80\x02ctorch\nFloatStorage\n)R.", b"\x80\x02ctorch\nfloat32\n)R.",
    b"\x80\x02cnumpy\nndarray\n)\x81.", b"(I1\nI2\no.",
    b"\x80\x02cargparse\nNamespace\n)\x81)R.",
    b"\x80\x02cbuiltins\nlist\n](K\x01e\x85R.", b"\x80\x02cpathlib\nPosixPath\n)R)R.",
    b"\x80\x02c__builtin__\nint\n)R.",
], ids=repr)
def test_only_what_is_listed_as_callable_is_called(content: bytes, refused: Callable) -> None:
    assert "would call" in refused(content)


@pytest.mark.parametrize("factory", ["os\nsystem", "builtins\neval", "pathlib\nPosixPath.touch"])
def test_what_a_defaultdict_would_call_is_named(factory: str, refused: Callable) -> None:
    message = refused(f"ccollections\ndefaultdict\n(c{factory}\ntR.".encode())
    assert f"would import {factory.replace(chr(10), '.')} " in message


@pytest.mark.parametrize("factory", ["I1\n", "S'os.system'\n", "](I1\ne", "cargparse\nNamespace\n)R"])
def test_a_defaultdict_of_a_value_is_refused(factory: str, refused: Callable) -> None:
    content = b"\x80\x02ccollections\ndefaultdict\n" + factory.encode() + b"\x85R."
    assert "a defaultdict of something else" in refused(content)


def test_paths_and_times_are_names(tmp_path: Path, ran: Path, read: Callable) -> None:
    """Nothing is opened, made or parsed: arguments of any kind are kept as they are, also those the class refuses."""
    path = tmp_path / "x"
    for name in ("pathlib\nPosixPath", "pathlib\nWindowsPath", "datetime\ndatetime", "datetime\ntimezone"):
        path.write_bytes(f"c{name}\n(S'{ran}'\nI-1\nNtR}}S'__class__'\nS'os.system'\nsb.".encode())
        stub = read(path).content
        assert (stub.name, stub.args) == (name.replace("\n", "."), (str(ran), -1, None))
        assert stub.state == {"__class__": "os.system"}


def test_build_sets_no_attribute(tmp_path: Path, ran: Path, read: Callable) -> None:
    """`__setstate__`, `__dict__`, `__class__`, `__reduce__` in a state are entries of a dict and nothing more."""
    state = b"}(S'__setstate__'\nS'os.system'\nS'__class__'\nS'x'\nS'__dict__'\n}S'state'\nI1\nu"
    path = tmp_path / "x"
    path.write_bytes(b"\x80\x02cargparse\nNamespace\n)\x81" + state + b"bS'touch " + str(ran).encode() + b"'\nb.")
    assert read(path).content.state == f"touch {ran}"
    path.write_bytes(b"\x80\x02cargparse\nNamespace\n)\x81" + state + b"b.")
    stub = read(path).content
    assert stub.state == {"__setstate__": "os.system", "__class__": "x", "__dict__": {}, "state": 1}
    assert stub.args == ()


@pytest.mark.parametrize("target", [b"]", b"K\x01", b"cnumpy\ndtype\n", b"ccollections\nOrderedDict\n",
                                    b"ctorch._utils\n_rebuild_tensor_v2\n", b"X\x01\x00\x00\x00a",
                                    b"ctorch\nfloat32\n"])
@pytest.mark.parametrize("state", [b"}S'__class__'\nS'x'\ns", b"N}S'__slots__'\nI1\ns\x86"])
def test_build_gives_no_state_to_what_takes_none(target: bytes, state: bytes, refused: Callable) -> None:
    assert "gives a state to a" in refused(b"\x80\x02" + target + state + b"b.")


@pytest.mark.parametrize("operation", [b"\x82\xf0", b"\x83\xf0\x00", b"\x84\xf0\x00\x00\x00"])
def test_the_extension_registry_is_not_asked(operation: bytes, ran: Path, refused: Callable) -> None:
    copyreg.add_extension("os", "system", 240)
    try:
        message = refused(b"\x80\x02" + operation + b"S'touch " + str(ran).encode() + b"'\n\x85R.")
    finally:
        copyreg.remove_extension("os", "system", 240)
    assert "entry 240 of Python's extension registry" in message


@pytest.mark.parametrize("wrap", [archive, legacy, in_tensor, lambda data: in_tensor(legacy(data)),
                                  lambda data: in_tensor(legacy(pickled({}), keys=data)),
                                  lambda data: legacy(pickled({}), keys=data),
                                  lambda data: legacy(pickled({}), machine=data),
                                  lambda data: pickled(MAGIC) + data])
def test_wherever_a_pickle_lies(wrap: Callable[[bytes], bytes], ran: Path, refused: Callable) -> None:
    assert "would import os.system " in refused(wrap(pickled(Call(os.system, f"touch {ran}"))))


@pytest.mark.parametrize("wrap", [archive, legacy])
def test_files_of_torch_save(wrap: Callable, ran: Path, tmp_path: Path, read: Callable) -> None:
    """Written by torch.save itself, with real tensors around."""
    content = {"weight": torch.ones(3), "bias": Call(os.system, f"touch {ran}")}
    torch.save(content, tmp_path / "x", _use_new_zipfile_serialization=wrap is archive)
    with pytest.raises(UserError, match=r"would import os\.system "):
        read(tmp_path / "x")


IDENTIFIERS = {
    "os.system as type": lambda ran: ("storage", os.system, "0", "cpu", 1),
    "call as key": lambda ran: ("storage", torch.FloatStorage, Call(os.system, f"touch {ran}"), "cpu", 1),
    "call as identifier": lambda ran: Call(os.system, f"touch {ran}"),
    "module": lambda ran: ("module", nn.Linear, "file.py", "source"),
    "text": lambda ran: "storage", "short": lambda ran: ("storage", torch.FloatStorage),
    "type is text": lambda ran: ("storage", "FloatStorage", "0", "cpu", 1),
    "path as key": lambda ran: ("storage", torch.FloatStorage, "../../../etc/passwd", "cpu", 1),
    "number as key": lambda ran: ("storage", torch.FloatStorage, 0, "cpu", 1),
    "negative": lambda ran: ("storage", torch.FloatStorage, "0", "cpu", -1),
    "too long": lambda ran: ("storage", torch.FloatStorage, "0", "cpu", 2),
    "huge": lambda ran: ("storage", torch.FloatStorage, "0", "cpu", 2**62),
    "longer than any": lambda ran: ("storage", torch.FloatStorage, "0", "cpu", 2**100),
    "view": lambda ran: ("storage", torch.FloatStorage, "0", "cpu", 1, ("1", 0, 1)),
}


@pytest.mark.parametrize("identifier", IDENTIFIERS)
@pytest.mark.parametrize("wrap", ["zip", "legacy", "none"])
def test_persistent_ids(identifier: str, wrap: str, ran: Path, refused: Callable) -> None:
    data = pickled(IDENTIFIERS[identifier](ran))[:-1] + pickle.BINPERSID + pickle.STOP
    message = refused({"zip": archive(data, **{"data/0": b"1234"}), "legacy": legacy(data), "none": data}[wrap])
    assert any(words in message for words in ("would import", "refers to", "lacks", "has views", "lists other"))


def test_persistent_ids_as_text(refused: Callable) -> None:
    assert "refers to" in refused(b"Pos.system\n.")
    assert "refers to" in refused(archive(b"Pos.system\n."))


@pytest.mark.parametrize("protocol", [2, 4])
def test_embedded_source_is_not_run(protocol: int, ran: Path, tmp_path: Path, foreign_files: ModuleType,
                                    read: Callable) -> None:
    """The source that NVIDIA's files carry, and run when they are loaded there, is not even kept."""
    source = f"import pathlib\npathlib.Path({str(ran)!r}).touch()\nclass Generator: pass\n"
    network = foreign_files.module({"w": torch.ones(2)}, {"": "Generator"}, source=source)
    path = foreign_files.write_pickle(tmp_path / "x", {"G": network}, protocol)
    assert source.encode() in path.read_bytes()
    stub = read(path).content["G"]
    assert torch.equal(stub.state["_parameters"]["w"], torch.ones(2))
    assert str(ran) not in repr(stub)
    tensorflow = foreign_files.tf_network("G", {"w": np.ones(2, "f4")}, source=source)
    assert read(foreign_files.write_pickle(tmp_path / "y", (tensorflow,), protocol)).content[0].state["name"] == "G"


@pytest.mark.parametrize("meta", [
    {}, [], None, {"type": "function", "class_name": "os.system"}, {"type": "class"},
    {"type": "class", "class_name": 1},
])
def test_persistent_objects_of_other_kinds_are_refused(meta: Any, refused: Callable) -> None:
    name = "torch_utils.persistence._reconstruct_persistent_obj"
    assert "torch_utils.persistence" in refused(pickled(Named(name, meta)))


def test_a_call_inside_of_a_persistent_object(ran: Path, tmp_path: Path, foreign_files: ModuleType,
                                              read: Callable) -> None:
    network = foreign_files.module({"w": torch.ones(2)}, {"": "Generator"},
                                   attributes={"": {"hook": Call(os.system, f"touch {ran}")}})
    with pytest.raises(UserError, match=r"would import os\.system "):
        read(foreign_files.write_pickle(tmp_path / "x", network))


@pytest.mark.parametrize(("arguments", "words"), [
    (("x", "rot13"), "encode"), (("x", "unicode_escape"), "encode"), ((b"x", "latin1"), "encode"),
    (("x", ["latin1"]), "encode"), (("€", "latin1"), "damaged"), ((), "damaged"),
    (("x", "latin1", "replace"), "damaged"),
])
def test_encode_is_for_bytes_only(arguments: tuple, words: str, refused: Callable) -> None:
    assert words in refused(pickled(Named("_codecs.encode", *arguments)))


@pytest.mark.parametrize("place", ["key", "member", "inside"])
def test_calls_in_keys_of_dicts_and_members_of_sets(place: str, ran: Path, refused: Callable) -> None:
    call = Call(os.system, f"touch {ran}")
    content = {"key": {call: 1}, "member": {call}, "inside": {("a", call): 1}}[place]
    assert "would import os.system " in refused(pickled(content, 4))


def test_whole_modules_are_named(tmp_path: Path, refused: Callable) -> None:
    for legacy_format in (True, False):
        torch.save(nn.Linear(2, 2), tmp_path / "x", _use_new_zipfile_serialization=not legacy_format)
        message = refused((tmp_path / "x").read_bytes())
        assert "would import torch.nn.modules.linear.Linear " in message
        assert "state dicts alone" in message


def test_torchscript_is_refused_by_name(tmp_path: Path, refused: Callable) -> None:
    with pytest.warns(FutureWarning, match="deprecated"):
        torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "x"))
    assert "TorchScript" in refused((tmp_path / "x").read_bytes())


def test_a_storage_of_storages_of_storages(refused: Callable) -> None:
    inner = pickled(Named("torch.storage._load_from_bytes", pickled(1)))
    assert "inside a PyTorch file" in refused(in_tensor(in_tensor(inner)))


def test_several_pickles_in_a_row(ran: Path, refused: Callable) -> None:
    assert "bytes behind its end" in refused(pickled({"a": 1}) + pickled(Call(os.system, f"touch {ran}")))


def test_names_of_files_are_printable(refused: Callable) -> None:
    """A name may hold escape sequences of terminals, line breaks, or have no end."""
    message = refused(pickle.PROTO + b"\x04" + text("os\x1b[2J\n") + text("system" * 1000) + pickle.STACK_GLOBAL + b".")
    assert message.isprintable()
    assert len(message) < 500
