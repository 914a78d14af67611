import random

import pytest
from amaranth.back import rtlil

from rtl.dma.share import FeatureShare, WriteShare
from sim.bench import Bench

ADDRESS, BITS = 6, 20


def accesses(kind, count=600, seed=0):
    """What everyone asks for in each cycle, and what the memory saw."""
    dut = kind(ADDRESS, BITS)
    features = kind is FeatureShare
    generator = random.Random(seed)
    rows = []
    for _ in range(count):
        row = {
            "host.write": generator.random() < 0.1,
            "host.address": generator.getrandbits(ADDRESS),
            "host.write_data": generator.getrandbits(BITS),
        }
        row["host.read"] = not row["host.write"] and generator.random() < 0.1
        for n in range(2):
            row |= {
                f"write_{n}.valid": generator.random() < 0.6,
                f"write_{n}.payload": {
                    "address": generator.getrandbits(ADDRESS),
                    "data": generator.getrandbits(BITS),
                },
            }
            if features:
                row |= {
                    f"read_{n}.valid": generator.random() < 0.6,
                    f"read_{n}.payload": generator.getrandbits(ADDRESS),
                }
        if features:
            row |= {name: generator.random() < 0.3 for name in ("machine_writes", "machine_reads")}
        rows.append(row)
    names = ["memory.write", "memory.write_data", "memory.read", "write_0.ready", "write_1.ready"]
    names += ["memory.write_address", "memory.read_address"] if features else ["memory.address"]
    names += ["read_0.ready", "read_1.ready"] if features else []
    return rows, Bench(dut).played(rows, names)


def turns(rows, shown, kind, blocked):
    """Checks who was granted in each cycle, and yields it: None, 0 or 1."""
    last = None
    for cycle, row in enumerate(rows):
        granted = [n for n in range(2) if shown[f"{kind}_{n}.ready"][cycle]]
        waiting = [n for n in range(2) if row[f"{kind}_{n}.valid"]]
        if blocked(row) or not waiting:
            assert granted == []
            yield None
            continue
        # Nothing is wasted, and nobody is granted twice while the other waits.
        assert len(granted) == 1 and granted[0] in waiting
        assert len(waiting) == 1 or granted[0] != last
        last = granted[0]
        yield last


def test_writes_of_channels_and_host():
    rows, shown = accesses(WriteShare)
    granted = turns(rows, shown, "write", lambda row: row["host.write"] or row["host.read"])
    for cycle, (row, n) in enumerate(zip(rows, granted)):
        assert shown["memory.read"][cycle] == row["host.read"]
        assert shown["memory.write"][cycle] == (row["host.write"] or n is not None)
        if n is not None:
            word = row[f"write_{n}.payload"]
            assert shown["memory.address"][cycle] == word["address"]
            assert shown["memory.write_data"][cycle] == word["data"]
        elif row["host.write"] or row["host.read"]:
            assert shown["memory.address"][cycle] == row["host.address"]
            assert shown["memory.write_data"][cycle] == row["host.write_data"]


@pytest.mark.parametrize("kind", ["write", "read"])
def test_features_of_machine_host_and_channels(kind):
    rows, shown = accesses(FeatureShare, seed=1)
    machine = {"write": "machine_writes", "read": "machine_reads"}[kind]
    granted = turns(rows, shown, kind, lambda row: row[machine] or row[f"host.{kind}"])
    for cycle, (row, n) in enumerate(zip(rows, granted)):
        assert shown[f"memory.{kind}"][cycle] == (row[f"host.{kind}"] or n is not None)
        address = row["host.address"]
        if n is not None:
            word = row[f"{kind}_{n}.payload"]
            address = word["address"] if kind == "write" else word
            if kind == "write":
                assert shown["memory.write_data"][cycle] == word["data"]
        if shown[f"memory.{kind}"][cycle]:
            assert shown[f"memory.{kind}_address"][cycle] == address


def test_conversion():
    rtlil.convert(WriteShare(ADDRESS, BITS))
    rtlil.convert(FeatureShare(ADDRESS, BITS))
