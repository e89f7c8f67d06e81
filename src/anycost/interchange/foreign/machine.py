"""The operations of pickles, interpreted over an allow-list: nothing is imported, and nothing of a file is called.

Python's own unpickler resolves a global by importing it, and then calls what the file says. This one looks the global
up in a table (`known.py`), so that a name which is not in it ends the reading, and what stands in the table are
functions of this package that check their arguments. The parsing is `pickletools.genops`, which decodes the
arguments of operations and does no more.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pickletools import genops
from typing import Any

from anycost.interchange.foreign.content import Stub, check_key
from anycost.interchange.foreign.limits import Limits, Refusal, shown

_HIGHEST_PROTOCOL = 5
_LONGEST_INTEGER = 128  # bits; PyTorch's magic number has 77
_LONGEST_TEXT = 1 << 22  # NVIDIA's embedded source has 40 kB
_RENAMED = {  # by Python 2, by protocols up to 2, and by platforms
    "__builtin__": "builtins", "copy_reg": "copyreg", "commands": "subprocess", "cPickle": "pickle",
    "_pickle": "pickle", "posix": "os", "nt": "os",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Known:
    """A global of the allow-list. `build(limits, *arguments)` stands for calling it; without, it is only a name."""

    name: str
    build: Callable[..., Any] | None = None


class Unfinished:
    """An object that a pickle names first and completes later: `finish` turns its state into the value."""

    value: Any = None

    def finish(self, limits: Limits, state: Any) -> Any:
        """The value; raises `Refusal` for a state that does not fit."""
        raise NotImplementedError


class Machine:
    """Reads one pickle from `stream`, which then stands behind it.

    Args:
        stream: the bytes.
        limits: what this may cost.
        known: the allow-list by (module, name).
        storage: gives the object of a persistent id; such an id is refused where there is none.
    """

    def __init__(
        self,
        stream: BytesIO,
        limits: Limits,
        known: Mapping[tuple[str, str], Any],
        storage: Callable[[Any], Any] | None = None,
    ) -> None:
        self.stream = stream
        self.limits = limits
        self.known = known
        self.storage = storage
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []  # the stacks below each open mark
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """The value; raises `Refusal`, or what `genops` and lists raise for damaged bytes."""
        for operation, argument, _ in genops(self.stream):
            self.limits.step()
            perform = _OPERATIONS.get(operation.name)
            if perform is None:
                raise Refusal(f"uses {operation.name}, an operation of pickles that no checkpoint needs")
            perform(self, argument)
        return self.stack.pop()

    def since_mark(self) -> list[Any]:
        """What was pushed since the last mark, which is closed."""
        items = self.stack
        self.stack = self.outer.pop()
        return items

    def find(self, module: Any, name: Any) -> Any:
        """What stands for a global; raises `Refusal` with its name where nothing does."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise Refusal("names a global by something else than text")
        module = _RENAMED.get(module, module)
        if (module, name) not in self.known:
            raise Refusal(
                f"would import {shown(f'{module}.{name}')} and could run it; nothing in it was run. Checkpoints are "
                "read as data: ask for one of state dicts alone (torch.save of tensors in dicts) or a safetensors file"
            )
        return self.known[module, name]

    def call(self, function: Any, arguments: Any) -> None:
        """Push what stands for `function(*arguments)`."""
        if not isinstance(function, Known) or function.build is None:
            raise Refusal(f"would call {shown(getattr(function, 'name', type(function).__name__))}; nothing was run")
        if not isinstance(arguments, tuple) or len(arguments) > 64:
            raise Refusal(f"would call {function.name} with unfit arguments; nothing was run")
        self.stack.append(function.build(self.limits, *arguments))

    # one method per operation; `argument` is what follows it in the file

    def push(self, argument: Any) -> None:
        self.stack.append(argument)

    def integer(self, argument: int) -> None:
        if argument.bit_length() > _LONGEST_INTEGER:
            raise Refusal(f"has an integer of more than {_LONGEST_INTEGER} bits")
        self.stack.append(argument)

    def text(self, argument: str) -> None:
        if len(argument) > _LONGEST_TEXT:
            raise Refusal(f"has a text of {len(argument)} characters")
        self.stack.append(argument)

    def protocol(self, argument: int) -> None:
        if argument > _HIGHEST_PROTOCOL:
            raise Refusal(f"is a pickle of protocol {argument}; protocols up to {_HIGHEST_PROTOCOL} are known")

    def nothing(self, argument: Any) -> None:
        """Frames and the end: nothing to do."""

    def mark(self, argument: Any) -> None:
        self.outer.append(self.stack)
        self.stack = []

    def pop(self, argument: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.since_mark()

    def pop_mark(self, argument: Any) -> None:
        self.since_mark()

    def duplicate(self, argument: Any) -> None:
        self.stack.append(self.stack[-1])

    def put(self, argument: int | None) -> None:
        place = len(self.memo) if argument is None else argument
        if not 0 <= place < 1 << 32:
            raise Refusal("remembers an object under an impossible number")
        self.memo[place] = self.stack[-1]

    def get(self, argument: int) -> None:
        value = self.memo[argument]
        finished = isinstance(value, Unfinished) and value.value is not None
        self.stack.append(value.value if finished else value)

    def take_tuple(self, argument: Any) -> None:
        items = tuple(self.since_mark())
        self.stack.append(items)

    def pack(self, count: int) -> None:
        if len(self.stack) < count:
            raise Refusal("packs a tuple of values that are not there")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def append(self, argument: Any) -> None:
        self.extend_by([self.stack.pop()])

    def appends(self, argument: Any) -> None:
        self.extend_by(self.since_mark())

    def extend_by(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise Refusal(f"appends to a {type(target).__name__}")
        target.extend(items)

    def make_list(self, argument: Any) -> None:
        items = self.since_mark()
        self.stack.append(items)

    def make_dict(self, argument: Any) -> None:
        items = self.since_mark()
        self.stack.append({})
        self.update_by(items)

    def set_item(self, argument: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.update_by([key, value])

    def set_items(self, argument: Any) -> None:
        self.update_by(self.since_mark())

    def update_by(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise Refusal(f"sets {len(items)} keys and values of a {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            check_key(key)
            target[key] = value

    def add_items(self, argument: Any) -> None:
        items = self.since_mark()
        target = self.stack[-1]
        if not isinstance(target, set):
            raise Refusal(f"adds to a {type(target).__name__}")
        for item in items:
            check_key(item)
            target.add(item)

    def make_frozen_set(self, argument: Any) -> None:
        items = self.since_mark()
        self.stack.append(set())
        self.outer.append(self.stack)
        self.stack = items
        self.add_items(None)

    def global_by_text(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.stack.append(self.find(module, name))

    def global_by_stack(self, argument: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(self.find(module, name))

    def instance(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.call(self.find(module, name), tuple(self.since_mark()))

    def instance_by_stack(self, argument: Any) -> None:
        items = self.since_mark()
        self.call(items[0], tuple(items[1:]))

    def reduce(self, argument: Any) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self.call(function, arguments)

    def new_with_keywords(self, argument: Any) -> None:
        if self.stack.pop() != {}:
            raise Refusal("makes an object with keyword arguments")
        self.reduce(None)

    def build(self, argument: Any) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Unfinished):
            target.value = self.stack[-1] = target.finish(self.limits, state)
        elif isinstance(target, Stub):
            target.state = state
        elif not isinstance(target, dict):  # the attributes of a dict (a state dict's _metadata) are left out
            raise Refusal(f"gives a state to a {type(target).__name__}")

    def registered(self, argument: int) -> None:
        raise Refusal(f"would import entry {argument} of Python's extension registry; nothing in it was run")

    def persistent(self, argument: Any) -> None:
        identifier = self.stack.pop() if argument is None else argument
        if self.storage is None:
            raise Refusal("refers to data outside of the pickle that are not in the file")
        self.stack.append(self.storage(identifier))


_OPERATIONS: dict[str, Callable[[Machine, Any], None]] = {
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"), Machine.integer),
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE",
                     "BINUNICODE8"), Machine.text),
    **dict.fromkeys(("FLOAT", "BINFLOAT", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"), Machine.push),
    **dict.fromkeys(("FRAME", "STOP"), Machine.nothing),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), Machine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), Machine.get),
    **dict.fromkeys(("PERSID", "BINPERSID"), Machine.persistent),
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), Machine.registered),
    **dict.fromkeys(("REDUCE", "NEWOBJ"), Machine.reduce),
    "PROTO": Machine.protocol,
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "EMPTY_SET": lambda machine, _: machine.push(set()),
    "TUPLE": Machine.take_tuple,
    "TUPLE1": lambda machine, _: machine.pack(1),
    "TUPLE2": lambda machine, _: machine.pack(2),
    "TUPLE3": lambda machine, _: machine.pack(3),
    "LIST": Machine.make_list,
    "DICT": Machine.make_dict,
    "FROZENSET": Machine.make_frozen_set,
    "MARK": Machine.mark,
    "POP": Machine.pop,
    "POP_MARK": Machine.pop_mark,
    "DUP": Machine.duplicate,
    "APPEND": Machine.append,
    "APPENDS": Machine.appends,
    "SETITEM": Machine.set_item,
    "SETITEMS": Machine.set_items,
    "ADDITEMS": Machine.add_items,
    "GLOBAL": Machine.global_by_text,
    "STACK_GLOBAL": Machine.global_by_stack,
    "INST": Machine.instance,
    "OBJ": Machine.instance_by_stack,
    "NEWOBJ_EX": Machine.new_with_keywords,
    "BUILD": Machine.build,
}
