import itertools

import numpy as np
import pytest
from amaranth.back import rtlil

from rtl.split.load import PackedLoad
from rtl.split.parts import codes_of, fields_of, part_count, places, width_bits
from rtl.split.store import PackedStore
from tests.rtl.split.feed import feed

MOVES = [(run, own) for run in range(3) for own in range(run + 1)]
"""Widths of a run, and of the codes that it loads or stores."""


def byte_fields(rng):
    """Fields in which every byte has all values, and random ones."""
    every = np.stack([rng.permutation(256) for _ in range(4)], axis=1)
    return np.concatenate([fields_of(every, 0)[:, 0], rng.integers(0, 1 << 32, 100)])


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("run, source", MOVES)
def test_load(run, source, signed):
    fields = byte_fields(np.random.default_rng(run))
    for index in range(4):
        rows = [
            {"width": run, "source": source, "index": index, "signed": signed, "field": field}
            for field in fields.tolist()
        ]
        found = [codes for (codes,) in feed(PackedLoad(), rows, ["codes"])]
        parts = [[codes[f"place_{at}"] for at in places(run)] for codes in found]
        expected = PackedLoad.model(run, source, index, bool(signed), fields[:, None])
        if source == 2 and not signed:
            # Codes of 32 bits are below 2**31.
            kept = fields < 1 << 31
            parts, expected = np.array(parts)[kept].tolist(), expected[kept]
        assert parts == expected.tolist()


@pytest.mark.parametrize("run, source", MOVES)
def test_load_model_takes_neighbouring_codes(run, source):
    codes = np.arange(part_count(source))
    parts = part_count(run)
    found = [PackedLoad.model(run, source, g, False, fields_of(codes, source)) for g in range(4)]
    groups = codes.reshape(-1, parts)
    assert [f.tolist() for f in found] == [groups[g % len(groups)].tolist() for g in range(4)]


@pytest.mark.parametrize("run, target", MOVES)
def test_store(run, target):
    rng = np.random.default_rng(target)
    bits = width_bits(target)
    codes = rng.integers(-(1 << bits - 1), 1 << bits, (300, part_count(run)))
    for index in range(4):
        rows = [
            {
                "width": run,
                "target": target,
                "index": index,
                # What is above the target's width does not matter.
                "codes": {
                    f"place_{at}": int(code) % (1 << width_bits(run))
                    for at, code in zip(places(run), row, strict=True)
                },
            }
            for row in codes
        ]
        found = feed(PackedStore(), rows, ["field", "mask"])
        fields, masks = PackedStore.model(run, target, index, codes)
        for (field, mask), wanted, bits_written in zip(
            found, fields[:, 0].tolist(), np.broadcast_to(masks, len(codes)).tolist(), strict=True
        ):
            written = sum(0xFF << 8 * byte for byte in range(4) if mask >> byte & 1)
            assert written == bits_written
            assert field & written == wanted


@pytest.mark.parametrize("run, own", MOVES)
def test_what_is_stored_is_loaded(run, own):
    rng = np.random.default_rng(own)
    half = 1 << width_bits(own) - 1
    for index, fields in itertools.product(range(part_count(own) // part_count(run)), (1, 3)):
        codes = rng.integers(-half, half, (20, fields * part_count(run)))
        words, _ = PackedStore.model(run, own, index, codes)
        assert np.array_equal(PackedLoad.model(run, own, index, True, words), codes)
        assert codes_of(words, own, True).shape == (20, fields * part_count(own))


@pytest.mark.parametrize("block", [PackedLoad, PackedStore])
def test_conversion(block):
    rtlil.convert(block())
