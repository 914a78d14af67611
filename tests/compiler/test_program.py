import dataclasses
import json
import zipfile

import numpy as np
import pytest

from compiler.compile import compile
from compiler.program import Program
from quant.errors import NoMulError
from quant.graph import save_container
from rtl.architecture import load_architecture
from tests.random_networks import NetworkBuilder


@pytest.fixture
def program():
    net = NetworkBuilder((3, 6, 6), np.random.default_rng(0))
    net.concat(net.conv("input", 4), net.same_format("input", "layer0"))
    return compile(net.graph("small"), "tiny")


def test_save_and_load(program, tmp_path):
    path = tmp_path / "small.nomul"
    program.save(path)
    for architecture in (None, "tiny", load_architecture("tiny")):
        loaded = Program.load(path, architecture)
        for field in dataclasses.fields(Program):
            saved, read = getattr(program, field.name), getattr(loaded, field.name)
            if isinstance(saved, np.ndarray):
                assert saved.dtype == read.dtype
                assert np.array_equal(saved, read)
            else:
                assert saved == read


def test_another_machine(program, tmp_path):
    path = tmp_path / "small.nomul"
    program.save(path)
    with pytest.raises(
        NoMulError, match=r"a program for tiny \(0x.*not for zynq7020 \(0x.*compile"
    ):
        Program.load(path, "zynq7020")


def test_name_part_and_clock_do_not_matter(program, tmp_path):
    path = tmp_path / "small.nomul"
    program.save(path)
    other = dataclasses.replace(load_architecture("tiny"), name="same", part="xczu3eg", clock_mhz=9)
    Program.load(path, other)


def test_truncated_file(program, tmp_path):
    path = tmp_path / "small.nomul"
    program.save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(NoMulError, match="may be truncated"):
        Program.load(path)


def test_fingerprint_of_another_version(program, tmp_path):
    path = tmp_path / "small.nomul"
    program.save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(members["header.json"])
    header["fingerprint"] ^= 1
    members["header.json"] = json.dumps(header).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(NoMulError, match="another version of NoMul; compile the network again"):
        Program.load(path)


def test_a_header_without_a_field_is_told(program, tmp_path):
    path = tmp_path / "damaged.program"
    save_container(path, "program", {"name": "x"}, {})
    with pytest.raises(NoMulError, match=r"is no program that this NoMul knows .*; write it again"):
        Program.load(path)
