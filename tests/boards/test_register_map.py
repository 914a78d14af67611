"""The registers' map in its three forms says the same, and what the documents show is it."""

import re
import subprocess
import sys
from pathlib import Path

from boards.register_map import ENUMERATIONS, c_header, entries, register_map, table
from rtl.registers import ID, REGION_SHIFT, Register

DOCUMENT = Path(__file__).parents[2] / "docs" / "boards.md"


def test_every_register_has_a_text():
    assert all(entry.text for entry in entries(Register))


def test_all_members_are_in_the_map():
    found = register_map()
    assert (found["id"], found["region_shift"]) == (ID, REGION_SHIFT)
    for kind in ENUMERATIONS:
        listed = {entry["name"]: entry["value"] for entry in found[kind.__name__.lower()]}
        assert listed == {member.name: member.value for member in kind}


def test_the_header_is_c(tmp_path):
    """A C compiler reads the values that Python has."""
    (tmp_path / "nomul_registers.h").write_text(c_header())
    names = re.findall(r"#define (NOMUL_\w+) ", c_header())
    prints = "\n".join(f'printf("{name} %lu\\n", (unsigned long)({name}));' for name in names)
    source = f'#include <stdio.h>\n#include "nomul_registers.h"\nint main(void) {{ {prints} }}\n'
    (tmp_path / "main.c").write_text(source)
    flags = ("-std=c99", "-Wall", "-Wextra", "-Werror")
    subprocess.run(
        [sys.executable, "-m", "ziglang", "cc", *flags, "main.c", "-o", "main"],
        cwd=tmp_path,
        check=True,
    )
    done = subprocess.run(["./main"], cwd=tmp_path, check=True, capture_output=True, text=True)
    values = dict(line.split() for line in done.stdout.splitlines())
    assert int(values["NOMUL_ID"]) == ID
    for kind in ENUMERATIONS:
        for member in kind:
            assert int(values[f"NOMUL_{kind.__name__.upper()}_{member.name}"]) == member.value


def test_the_documents_show_the_table():
    assert table() in DOCUMENT.read_text()
