"""A machine for the operations of a pickle that can put values together, and nothing else."""

from collections.abc import Callable
from typing import Any

from pointlab.data.formats.pickles.calls import NAMES, AdmissionError, build, call_admitted, name_type

CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
NUMBERS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
TEXTS = {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
BYTES = {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
VALUES = NUMBERS | TEXTS | BYTES
TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
MEMO_STORES, MEMO_LOADS = {"PUT", "BINPUT", "LONG_BINPUT"}, {"GET", "BINGET", "LONG_BINGET"}


class Machine:
    """The stack of a pickle, its marks, and its memo; refuses every operation that is not in `carry_out`."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.actions: dict[str, Callable[[], None]] = {
            "PROTO": lambda: None,
            "FRAME": lambda: None,
            "STOP": lambda: None,
            "MARK": self.mark,
            "EMPTY_LIST": lambda: self.stack.append([]),
            "EMPTY_DICT": lambda: self.stack.append({}),
            "LIST": lambda: self.push_after_mark(list),
            "TUPLE": lambda: self.push_after_mark(tuple),
            "DICT": self.make_dict,
            "APPEND": lambda: self.extend([self.stack.pop()]),
            "APPENDS": lambda: self.extend(self.since_mark()),
            "SETITEM": lambda: self.update([self.stack.pop(-2), self.stack.pop()]),
            "SETITEMS": lambda: self.update(self.since_mark()),
            "MEMOIZE": lambda: self.memo.__setitem__(len(self.memo), self.stack[-1]),
            "STACK_GLOBAL": lambda: self.push_name(self.stack.pop(-2), self.stack.pop()),
            "REDUCE": lambda: self.stack.append(call_admitted(self.stack.pop(-2), self.stack.pop())),
            "BUILD": lambda: build(self.stack[-2], self.stack.pop()),
        }

    def carry_out(self, name: str, argument: Any) -> None:
        """Change the stack by one operation; AdmissionError for one that has no place among arrays."""
        if name in self.actions:
            self.actions[name]()
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name])
        elif name in VALUES:
            self.stack.append(argument)
        elif name in TUPLES:
            self.push_tuple(TUPLES[name])
        elif name in MEMO_STORES:
            self.memo[argument] = self.stack[-1]
        elif name in MEMO_LOADS:
            self.stack.append(self.memo[argument])
        elif name == "GLOBAL":
            self.push_name(*argument.split(" ", 1))
        else:
            raise AdmissionError(f"the operation {name}")

    def result(self) -> Any:
        """The one value left on the stack."""
        if len(self.stack) != 1 or self.marked:
            raise ValueError(f"it ends with {len(self.stack)} values")
        return self.stack[0]

    def mark(self) -> None:
        """Begin a new stack on top of the present one."""
        self.marked.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        """What was pushed since the last mark, taken off."""
        items, self.stack = self.stack, self.marked.pop()
        return items

    def push_tuple(self, size: int) -> None:
        """Replace the last `size` values by a tuple of them."""
        first = len(self.stack) - size
        if first < 0:
            raise IndexError("a tuple of more values than there are")
        self.stack[first:] = [tuple(self.stack[first:])]

    def push_after_mark(self, kind: Callable[[list[Any]], Any]) -> None:
        """Replace what was pushed since the mark by one list or tuple of it."""
        items = self.since_mark()
        self.stack.append(kind(items))

    def make_dict(self) -> None:
        """Replace what was pushed since the mark by a dict of it."""
        items = self.since_mark()
        self.stack.append({})
        self.update(items)

    def extend(self, items: list[Any]) -> None:
        """Append to the list on top."""
        if type(self.stack[-1]) is not list:
            raise AdmissionError(f"items in {name_type(self.stack[-1])}")
        self.stack[-1].extend(items)

    def update(self, items: list[Any]) -> None:
        """Put keys and values, one after the other, into the dict on top."""
        if type(self.stack[-1]) is not dict:
            raise AdmissionError(f"items in {name_type(self.stack[-1])}")
        keys = items[::2]
        if any(type(key) not in {str, int} for key in keys):  # nested tuples can take for ever to hash
            raise AdmissionError("a dict whose keys are not strings or integers")
        self.stack[-1].update(zip(keys, items[1::2], strict=True))

    def push_name(self, module: object, name: object) -> None:
        """Push what stands for a name of Python, if it is admitted."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise AdmissionError("a name that is not a string")
        if f"{module}.{name}" not in NAMES:
            raise AdmissionError(repr(f"{module}.{name}")[:200])  # escaped: it is printed on a terminal
        self.stack.append(NAMES[f"{module}.{name}"])
