import dataclasses
import tomllib
from copy import deepcopy

import pytest

from quant.errors import NoMulError
from rtl import engines
from rtl.architecture import FOLDER, Architecture, load_architecture, named_architectures

TINY = tomllib.loads((FOLDER / "tiny.toml").read_text())


@pytest.mark.parametrize("name", named_architectures())
def test_named_machines(name, tmp_path):
    arch = load_architecture(name)
    assert arch.name == name
    assert Architecture.from_dict(arch.to_dict()) == arch
    assert load_architecture(arch) is arch
    # The same file elsewhere is the same machine, by path or by text.
    copy = tmp_path / "copy.toml"
    copy.write_text((FOLDER / f"{name}.toml").read_text())
    assert load_architecture(copy) == load_architecture(str(copy)) == arch
    assert arch.lanes == arch.engine_config.lanes
    assert arch.vector_words == arch.engine_config.vector_words
    assert arch.groups == arch.engine_config.groups
    assert arch.macs_per_cycle == arch.engine_config.macs_per_cycle
    with pytest.raises(dataclasses.FrozenInstanceError):
        arch.name = "other"


def test_there_are_named_machines():
    assert {"tiny", "zynq7020", "zynq7020-imagenet", "zynq7045"} <= set(named_architectures())


def changed(*path, value=None, delete=False):
    """The description of ``tiny`` with one key changed, added or deleted."""
    table = deepcopy(TINY)
    inner = table
    for key in path[:-1]:
        inner = inner[key]
    if delete:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return table


def refused(table):
    """The message, which must be one line."""
    with pytest.raises(NoMulError) as caught:
        Architecture.from_dict(table, "my.toml")
    message = str(caught.value)
    assert message.startswith("my.toml") and "\n" not in message
    return message


@pytest.mark.parametrize(
    "path",
    [(key,) for key in TINY]
    + [(part, key) for part in ("engine", "numbers", "memory") for key in TINY[part]],
    ids=".".join,
)
def test_missing_keys(path):
    message = refused(changed(*path, delete=True))
    assert f"{path[-1]!r} is missing" in message
    if len(path) == 2:
        assert f"[{path[0]}]" in message


@pytest.mark.parametrize("path", [("colour",), ("engine", "colour"), ("numbers", "colour")])
def test_unknown_keys(path):
    assert "unknown key 'colour'; known are" in refused(changed(*path, value=1))


@pytest.mark.parametrize("part", ["engine", "numbers", "memory"])
@pytest.mark.parametrize("value", [3, "shift_gemm", [1, 2], True])
def test_tables_that_are_none(part, value):
    assert f"[{part}] must be a table with the keys" in refused(changed(part, value=value))


@pytest.mark.parametrize(
    "path", [(part, key) for part in ("numbers", "memory") for key in TINY[part]]
)
@pytest.mark.parametrize("value", ["8", 8.0, True, [8], {}])
def test_sizes_are_whole_numbers(path, value):
    message = refused(changed(*path, value=value))
    assert f"{path[-1]} = {value!r} must be a whole number" in message


@pytest.mark.parametrize("key", [key for key in TINY["engine"] if key != "kind"])
@pytest.mark.parametrize("value", ["nothing", 8.5, True, [8], {}])
def test_the_engine_checks_its_own_values(key, value):
    message = refused(changed("engine", key, value=value))
    assert f"{key} = " in message


@pytest.mark.parametrize("key", ["name", "part"])
@pytest.mark.parametrize("value", [3, True, "", ["a"]])
def test_names_are_text(key, value):
    assert f"{key} = {value!r} must be text" in refused(changed(key, value=value))


@pytest.mark.parametrize("value", ["100", True, [100]])
def test_clock_is_a_number(value):
    assert f"clock_mhz = {value!r} must be a number" in refused(changed("clock_mhz", value=value))


@pytest.mark.parametrize("value", ["nothing", "", 3, True])
def test_unknown_engine(value):
    message = refused(changed("engine", "kind", value=value))
    assert f"kind = {value!r} is no engine; known are {', '.join(engines.names())}" in message


@pytest.mark.parametrize(
    "path, value, allowed",
    [
        (("clock_mhz",), 0, "1 to 1000"),
        (("clock_mhz",), 1001, "1 to 1000"),
        (("clock_mhz",), float("nan"), "1 to 1000"),
        (("clock_mhz",), float("inf"), "1 to 1000"),
        (("engine", "lanes"), 2, "4, 8, 16, 32, 64"),
        (("engine", "lanes"), 12, "4, 8, 16, 32, 64"),
        (("engine", "vector_words"), 0, ""),
        (("engine", "groups"), 3, "1, 2, 4"),
        (("numbers", "activation_bits"), 1, "2 to 16"),
        (("numbers", "activation_bits"), 17, "2 to 16"),
        (("numbers", "accumulator_bits"), 15, "16 to 32"),
        (("numbers", "accumulator_bits"), 33, "16 to 32"),
        (("numbers", "pass_shift_bits"), -1, "0 to 4"),
        (("numbers", "pass_shift_bits"), 5, "0 to 4"),
        (("memory", "feature_words"), 8, "16 to"),
        (("memory", "feature_words"), 1000, "power of two"),
        (("memory", "feature_words"), 1 << 23, "16 to"),
        (("memory", "weight_words"), 0, "16 to"),
        (("memory", "weight_words"), -4096, "16 to"),
        (("memory", "parameter_words"), (1 << 16) + 1, "16 to"),
        (("memory", "accumulator_words"), 100, "power of two"),
        (("memory", "queue_words"), 8, "16 to"),
        (("memory", "queue_words"), 100, "power of two"),
        (("memory", "instruction_words"), 1 << 17, "16 to"),
    ],
)
def test_impossible_sizes(path, value, allowed):
    message = refused(changed(*path, value=value))
    assert f"{path[-1]} = {value}" in message or f"{path[-1]} = {float(value)}" in message
    assert allowed in message


def test_memories_must_fit_their_region_of_the_host_port():
    # Weight words of 32 bits are one piece, of 64 bits two.
    table = changed("memory", "weight_words", value=1 << 23)
    Architecture.from_dict(table)
    table["engine"]["vector_words"] = 2
    assert "weight_words = 8388608: allowed is 16 to 4194304" in refused(table)
    Architecture.from_dict(changed("memory", "feature_words", value=1 << 22))
    table = changed("memory", "feature_words", value=1 << 22)
    table["numbers"]["activation_bits"] = 16
    assert "feature_words = 4194304: allowed is 16 to 2097152" in refused(table)


def test_accumulators_hold_a_signed_or_unsigned_code():
    table = changed("numbers", "activation_bits", value=16)
    table["numbers"]["accumulator_bits"] = 16
    assert "accumulator_bits = 16: must be more than activation_bits = 16" in refused(table)
    table["numbers"]["accumulator_bits"] = 17
    Architecture.from_dict(table)


def test_files(tmp_path):
    with pytest.raises(
        NoMulError, match=r"no architecture tinny: neither a file nor one of .*tiny, "
    ):
        load_architecture("tinny")
    with pytest.raises(NoMulError, match="neither a file nor"):
        load_architecture(tmp_path)
    with pytest.raises(NoMulError, match="neither a file nor"):
        load_architecture(tmp_path / "a" / "b.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("name = tiny\n")
    with pytest.raises(NoMulError, match=r"bad\.toml is no readable TOML file: .*line 1"):
        load_architecture(bad)
    bad.write_bytes(b"name = '\xff\xfe'")
    with pytest.raises(NoMulError, match=r"bad\.toml is no readable TOML file"):
        load_architecture(bad)
    bad.write_text("")
    with pytest.raises(NoMulError, match=r"bad\.toml: the key 'clock_mhz' is missing"):
        load_architecture(bad)
    with pytest.raises(NoMulError, match=r"below.toml"):
        load_architecture(bad / "below.toml")


def test_fingerprint():
    tiny = load_architecture("tiny")
    same = changed("name", value="other") | {"part": "xc7z045", "clock_mhz": 50}
    assert Architecture.from_dict(same).fingerprint == tiny.fingerprint
    assert 0 < tiny.fingerprint < 1 << 32
    others = [
        changed("memory", "weight_words", value=4097),
        changed("engine", "lanes", value=16),
        changed("engine", "weights", value="w3"),
        changed("engine", "groups", value=2),
        changed("memory", "queue_words", value=32),
        changed("numbers", "pass_shift_bits", value=2),
    ]
    prints = {Architecture.from_dict(table).fingerprint for table in others}
    assert len(prints | {tiny.fingerprint}) == 7


def test_the_large_network_s_machine_has_the_array_of_the_small_one():
    small, large = (load_architecture(name) for name in ("zynq7020", "zynq7020-imagenet"))
    same = dataclasses.replace(large, name=small.name, memory=small.memory)
    assert same == small
    assert small.macs_per_cycle == 1536
