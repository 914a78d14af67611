"""The file of a network: what is written is read, and what is damaged is refused."""

import numpy as np
import pytest

from boards.driver import image_of
from boards.image import MAGIC, Image
from compiler.compile import compile
from quant.errors import NoMulError
from quant.graph import Window
from rtl.dma.registers import Buffer
from rtl.registers import Region
from tests.external import small_machine
from tests.random_networks import NetworkBuilder, random_network


@pytest.fixture(scope="module")
def image() -> Image:
    return image_of(compile(random_network(3), "tiny"))


def test_written_and_read(image):
    found = Image.from_bytes(image.to_bytes())
    for name in ("fingerprint", "version", "cycles", "lanes", "bits"):
        assert getattr(found, name) == getattr(image, name)
    assert len(found.loads) == 3
    for one, other in zip(found.loads, image.loads, strict=True):
        assert (one.region, one.address) == (other.region, other.address)
        np.testing.assert_array_equal(one.words, other.words)
    for name in ("input", "output"):
        one, other = getattr(found, name), getattr(image, name)
        assert (one.shape, one.format) == (other.shape, other.format)
        assert (one.address, one.words) == (other.address, other.words)
        np.testing.assert_array_equal(one.index, other.index)


def test_buffers_in_external_memory():
    arch = small_machine(feature_words=64, instruction_words=64)
    net = NetworkBuilder((5, 6, 6), np.random.default_rng(2), weight_bits=2)
    net.conv("input", 9, Window((3, 3), padding=(1, 1, 1, 1)))
    program = compile(net.graph("tiled"), arch)
    image = image_of(program)
    found = Image.from_bytes(image.to_bytes())
    # Weights come by transfers, and of the instructions all but the first.
    assert [load.region for load in found.loads] == [Region.INSTRUCTIONS]
    assert len(found.loads[0].words) == 64 < len(program.instructions)
    assert found.beats == 1
    for one, other in zip(found.buffers, image.buffers, strict=True):
        assert (one.buffer, one.size) == (other.buffer, other.size)
        np.testing.assert_array_equal(one.content, other.content)
    held = {room.buffer: room.content for room in found.buffers}
    np.testing.assert_array_equal(held[Buffer.PROGRAM].view("<u8"), program.instructions)
    np.testing.assert_array_equal(held[Buffer.WEIGHTS].reshape(-1, 2), program.external)
    assert not len(held[Buffer.FEATURES])
    assert found.buffers[-1].size == 8 * program.external_words


@pytest.mark.parametrize("seed", range(6))
def test_tensors_stand_as_the_compiler_placed_them(seed):
    program = compile(random_network(seed), "tiny")
    image, bits = image_of(program), program.architecture.activation_bits
    form, shape = program.input.format, program.input.shape
    codes = np.random.default_rng(seed).integers(form.low, form.high + 1, shape)
    words = image.input.spread(codes, image.lanes, bits)
    np.testing.assert_array_equal(words, program.input.to_words(codes[None], bits)[0])
    form, shape = program.output.format, program.output.shape
    codes = np.random.default_rng(seed).integers(form.low, form.high + 1, shape)
    words = program.output.to_words(codes[None], bits)[0]
    np.testing.assert_array_equal(image.output.gather(words, image.lanes, bits), codes)


def test_every_flipped_bit_is_seen(image):
    content = image.to_bytes()
    chance = np.random.default_rng(0)
    for place in (*range(16), *chance.integers(16, len(content), 200)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(chance.integers(8))
        with pytest.raises(NoMulError):
            Image.from_bytes(bytes(damaged))


def test_truncated(image):
    content = image.to_bytes()
    for size in (0, 3, 40, len(content) // 2 & ~3, len(content) - 4):
        with pytest.raises(NoMulError, match=r"is damaged|is no image"):
            Image.from_bytes(content[:size])


def test_another_format(image):
    content = np.frombuffer(image.to_bytes(), "<u4").copy()
    assert content[0] == MAGIC
    content[1] = 1
    with pytest.raises(NoMulError, match="is an image of format 1, this driver reads 2; take"):
        Image.from_bytes(content.tobytes(), "network.image")
