"""Pickles of arrays are read without being executed; whatever else they ask for is refused."""

import io
import os
import pickle
import pickletools
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointlab.data.formats.pickles import StoredArray, interpret, load_array, read_pickle
from pointlab.errors import DataError

RANDOM = np.random.default_rng(0)
ARRAYS = {
    "long": RANDOM.normal(size=(500, 6)).astype(np.float32),
    "short": np.array([7]),
    "column by column": np.asfortranarray(RANDOM.normal(size=(40, 30))),
    "big-endian": RANDOM.normal(size=(3, 4)).astype(">f8"),
    "empty": np.zeros((0, 3), np.uint8),
    "bytes 0 to 255": np.arange(2048, dtype=np.uint8).reshape(4, 512),
    "truth values": np.array([True, False]),
    "a number": np.array(3.5),
    "a view": RANDOM.integers(0, 9, (20, 10))[::2, ::3],
}


def restore(value: Any, path: Path) -> Any:
    """`value` with arrays in place of the descriptions of arrays."""
    if isinstance(value, StoredArray):
        with path.open("rb") as stream:
            return load_array(stream, value)
    if isinstance(value, dict):
        return {key: restore(item, path) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(restore(item, path) for item in value)
    return value


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def pure_python(value: object, protocol: int) -> bytes:
    """By the pickler that is written in Python, which chooses other operations in places."""
    sink = io.BytesIO()
    pickle._Pickler(sink, protocol).dump(value)
    return sink.getvalue()


@pytest.mark.parametrize("dump", [pickle.dumps, pure_python])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_of_every_protocol_come_back_as_written(
    name: str, protocol: int, dump: Any, tmp_path: Path
) -> None:
    array = ARRAYS[name]
    path = write(tmp_path / "a.pkl", dump([array, array], protocol))
    for found in restore(interpret(path), path):
        np.testing.assert_array_equal(found, array)
        assert found.dtype == array.dtype
        assert found.shape == array.shape


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_values_come_back_as_written(protocol: int, tmp_path: Path) -> None:
    values = {
        "train": [(1, 2.5, None, True, False, "text", b"bytes", -(2**40), 2**100)],
        7: ((), (1,), (1, 2), (1, 2, 3), [[]], {}, list(range(2000)), "ä"),
        "numbers": [np.float32(1.5), np.int64(-3), np.bool_(True)],
    }
    path = write(tmp_path / "a.pkl", pickle.dumps(values, protocol))
    assert interpret(path) == values


def test_names_of_numpy_1_and_2_are_both_admitted(tmp_path: Path) -> None:
    array = ARRAYS["long"]
    for protocol in (2, 4):
        content = pickle.dumps(array, protocol)
        for old, new in [(b"numpy._core", b"numpy.core"), (b"numpy.core", b"numpy._core")]:
            renamed = content.replace(old, new)
            if protocol == 4:  # strings carry their length
                renamed = renamed.replace(
                    bytes([len(old) + len(".multiarray")]) + new, bytes([len(new) + len(".multiarray")]) + new
                )
                framed = renamed.index(b"\x95") + 1
                (length,) = struct.unpack_from("<Q", renamed, framed)
                grown = struct.pack("<Q", length + len(renamed) - len(content))
                renamed = renamed[:framed] + grown + renamed[framed + 8 :]
            path = write(tmp_path / "a.pkl", renamed)
            np.testing.assert_array_equal(restore(interpret(path), path), array)


def test_arrays_that_python_2_wrote_are_read(tmp_path: Path) -> None:
    data = np.arange(600, dtype="<f4")
    header = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87Rq\x03"
    )
    kind = b"cnumpy\ndtype\nq\x04U\x02f4K\x00K\x01\x87Rq\x05" + STATE
    for count, code in [(600, b"T" + struct.pack("<i", 2400)), (50, b"U" + bytes([200]))]:
        shape = b"M" + struct.pack("<H", count) + b"\x85"
        state = b"(K\x01" + shape + kind + b"\x89" + code + data[:count].tobytes() + b"tb"
        path = write(tmp_path / "a.pkl", header + state + b".")
        np.testing.assert_array_equal(restore(interpret(path), path), data[:count])
        with path.open("rb") as stream:
            np.testing.assert_array_equal(pickle.load(stream, encoding="latin1"), data[:count])


def test_an_array_referred_to_before_it_is_filled_in_is_filled_in_everywhere(tmp_path: Path) -> None:
    array = ARRAYS["short"]
    path = write(tmp_path / "a.pkl", pickle.dumps({"one": array, "two": [array]}, 4))
    found = interpret(path)
    assert found["one"] is found["two"][0]


def test_reading_costs_no_memory_for_the_arrays(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps([np.zeros((250, 1000), np.float32) for _ in range(4)], 4))  # 4 MB
    tracemalloc.start()
    found = read_pickle(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found[3].shape == (250, 1000)
    assert peak < 0.5e6


def test_an_unchanged_file_is_looked_through_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pkl", pickle.dumps([1, 2]))
    assert read_pickle(path) is read_pickle(path)
    write(path, pickle.dumps([1, 2, 3]))
    assert read_pickle(path) == [1, 2, 3]


def test_an_array_that_changed_after_it_was_found_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pkl", pickle.dumps(ARRAYS["long"], 4))
    stored = interpret(path)
    write(path, path.read_bytes()[:5000])
    with path.open("rb") as stream, pytest.raises(DataError, match=r"a.pkl holds \d+ bytes"):
        load_array(stream, stored)


class Calls:
    """Something whose pickle calls a function."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


class Plain:
    pass


def call(function: Any, *arguments: object) -> bytes:
    return pickle.dumps([Calls(function, *arguments)])


SHORT = pickle.dumps(ARRAYS["short"], 2)
LONG = pickle.dumps(ARRAYS["long"], 4)
NUMPY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
FLOATS = b"cnumpy\ndtype\n(U\x02f4K\x00K\x01tR"
STATE = b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
HUGE = b"\x8a\x09" + (2**64).to_bytes(9, "little")


def array_state(shape: bytes, kind: bytes = FLOATS + STATE, data: bytes = b"U\x04abcd") -> bytes:
    return NUMPY + b"(K\x01(" + shape + b"t" + kind + b"\x89" + data + b"tb."


HOSTILE = {
    "os.system": (call(os.system, "true"), r"(posix|nt)\.system"),
    "eval": (call(eval, "1"), r"builtins\.eval"),
    "exec by protocol 0": (pickle.dumps(Calls(exec, "1"), 0), r"__builtin__\.exec"),
    "a name of two parts": (b"\x80\x04\x8c\x05numpy\x8c\x08f2py.run\x93.", r"numpy\.f2py\.run"),
    "a dotted way out of numpy": (b"\x80\x04\x8c\x05numpy\x8c\x09os.system\x93.", r"numpy\.os\.system"),
    "a name that would move the cursor": (b"\x80\x04\x8c\x04\x1b[2J\x8c\x01a\x93.", r"\\x1b\[2J\.a"),
    "a loader of numpy": (b"cnumpy\nload\n(U\x01atR.", r"numpy\.load"),
    "getattr": (call(getattr, "a", "b"), r"builtins\.getattr"),
    "an object": (pickle.dumps(Plain()), "Plain"),
    "an ordered dict": (pickle.dumps(OrderedDict(a=1)), r"collections\.OrderedDict"),
    "a set": (pickle.dumps({1, 2}), "EMPTY_SET"),
    "an array of objects": (pickle.dumps(np.array([Plain()], dtype=object)), "O8"),
    "an array of texts": (pickle.dumps(np.array(["a"])), "U1"),
    "an array with fields": (pickle.dumps(np.zeros(1, [("a", "f4")])), "V4"),
    "a number of objects": (
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(U\x01OK\x00K\x01tRU\x01atR.",
        "'O'",
    ),
    "a call of a value": (b"K\x01(tR.", "a call of a value of type int"),
    "a state of a value": (b"K\x01K\x02b.", "a state of a value of type int"),
    "reconstruct of another type": (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(K\x00tU\x01btR.",
        "reconstruct with unusual arguments",
    ),
    "another encoding": (b"c_codecs\nencode\n(U\x01aU\x05utf-7tR.", "encode with unusual arguments"),
    "a new object": (b"\x80\x02cnumpy\nndarray\n(t\x81.", "NEWOBJ"),
    "an instance": (b"(inumpy\nndarray\n.", "INST"),
    "an object by mark": (b"(cnumpy\nndarray\no.", "OBJ"),
    "a persistent id": (b"\x80\x02K\x01Q.", "BINPERSID"),
    "an extension": (b"\x80\x02\x82\x01.", "EXT1"),
    "a buffer from elsewhere": (b"\x80\x05\x97.", "NEXT_BUFFER"),
    "items in a number": (b"K\x01K\x02a.", "items in a value of type int"),
    "a key that is a tuple": (b"})K\x01s.", "keys are not"),
    "a dtype with fields in its state": (
        array_state(b"K\x01", FLOATS + b"(K\x03U\x01<N}NJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"),
        "not plain",
    ),
    "an array made of a list": (array_state(b"K\x01", data=b"]"), "a value of type list"),
}
DAMAGED = {
    "an empty file": (b"", "ends before"),
    "a page of the web": (b"<html>", "not a whole pickle"),
    "cut in an array": (LONG[:3000], "remain"),
    "cut after an array": (LONG[:-3], "not a whole pickle"),
    "cut in a number": (b"\x80\x02M\x01", "not a whole pickle"),
    "cut in a length": (b"\x80\x02X\x01", "not a whole pickle"),
    "more after its end": (SHORT + b"more", "after its end"),
    "nothing to take": (b"\x80\x02a.", "not a whole pickle"),
    "no mark": (b"\x80\x02t.", "not a whole pickle"),
    "a tuple of too many": (b"\x80\x02K\x01\x87.", "tuple"),
    "two values left": (b"K\x01K\x02.", "ends with 2 values"),
    "an unknown reference": (b"\x80\x02h\x07.", "not a whole pickle"),
    "a key without a value": (b"}(K\x01u.", "not a whole pickle"),
    "a negative length": (b"T\xff\xff\xff\xff.", "-1 bytes"),
    "a length of exabytes": (b"\x80\x04\x8e" + b"\xff" * 7 + b"\x0f.", "remain"),
    "an integer of gigabytes": (b"\x80\x02\x8b\xff\xff\xff\x7f.", "an argument of"),
    "an endless line": (b"c" + b"a" * 100_000, "a line of more"),
    "a negative size": (array_state(b"J\xff\xff\xff\xff"), "impossible shape"),
    "a size that is no number": (array_state(b"U\x011"), "impossible shape"),
    "too many dimensions": (array_state(b"K\x01" * 33), "impossible shape"),
    "a huge size": (array_state(HUGE), r"\d{20} bytes in 4 bytes"),
    "huge sizes": (array_state(HUGE * 30), "bytes in 4 bytes"),
    "too few bytes": (array_state(b"K\x02"), "8 bytes in 4 bytes"),
    "too many bytes": (array_state(b"K\x00"), "0 bytes in 4 bytes"),
    "a number of too many bytes": (
        b"cnumpy.core.multiarray\nscalar\n(" + FLOATS + STATE + b"U\x08abcdefghtR.",
        "in other than 4 bytes",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_is_not_an_array_is_refused_by_its_name(name: str, tmp_path: Path) -> None:
    content, message = HOSTILE[name]
    path = write(tmp_path / "a.pkl", content)
    with pytest.raises(DataError, match=rf"a.pkl asks for .*{message}") as caught:
        interpret(path)
    assert "arrays only" in caught.value.expected
    assert "may run any code" in caught.value.remedy


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_pickle_is_named_with_a_remedy(name: str, tmp_path: Path) -> None:
    content, message = DAMAGED[name]
    path = write(tmp_path / "a.pkl", content)
    with pytest.raises(DataError, match=rf"a.pkl is not a whole pickle.*{message}|{message}") as caught:
        interpret(path)
    assert caught.value.remedy


def test_nothing_of_a_hostile_pickle_is_carried_out(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    path = write(tmp_path / "a.pkl", call(os.mkdir, str(trace)))
    with pytest.raises(DataError):
        interpret(path)
    assert not trace.exists()


def test_operations_are_bounded(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pkl", b"\x80\x02]" + b"K\x01a" * 1000 + b".")
    assert len(interpret(path)) == 1000
    with pytest.raises(DataError, match="more than 1000 operations"):
        interpret(path, max_operations=1000)


def test_tuples_that_double_two_hundred_times_stay_as_small_as_their_file(tmp_path: Path) -> None:
    levels = [b"h%bh%b\x86q%b" % (bytes([n]), bytes([n]), bytes([n + 1])) for n in range(200)]
    path = write(tmp_path / "a.pkl", b"\x80\x02(]q\x00" + b"".join(levels) + b"t.")
    value = interpret(path)[-1]
    for _ in range(200):
        value = value[-1]
    assert value == []


def test_the_operations_in_the_table_exist() -> None:
    from pointlab.data.formats.pickles.machine import (
        CONSTANTS,
        MEMO_LOADS,
        MEMO_STORES,
        TUPLES,
        VALUES,
        Machine,
    )

    known = {operation.name for operation in pickletools.opcodes}
    assert {*CONSTANTS, *MEMO_LOADS, *MEMO_STORES, *TUPLES, *VALUES, *Machine().actions} <= known
