import pytest

from rtl.axi.signatures import AxiConfig
from rtl.dma.transfer import DmaConfig, transfer_layout
from rtl.registers import Region

FEATURES = ((Region.FEATURES, 64, 128),)


def test_sizes():
    config = DmaConfig(AxiConfig(), ((Region.WEIGHTS, 9, 65), *FEATURES))
    assert [config.beats(bits) for bits in (1, 64, 65, 128)] == [1, 1, 2, 2]
    assert (config.most_beats, config.word_bits, config.row_bits) == (2, 128, 18)
    assert config.bits_of(Region.WEIGHTS) == 65
    assert transfer_layout(config)["offset"].width == 29


@pytest.mark.parametrize(
    ("regions", "more", "message"),
    [
        (((Region.FEATURES, 0, 8),), {}, "FEATURES has 0 words"),
        (((Region.FEATURES, 9, 1025),), {}, "FEATURES has words of 1025 bits: at most 1024"),
        (FEATURES, {"buffers": 3}, "buffers = 3: must be a power of two"),
        (FEATURES, {"queue": 1}, "queue = 1: must be 2 or more"),
    ],
)
def test_impossible_channels(regions, more, message):
    with pytest.raises(ValueError, match=message):
        DmaConfig(AxiConfig(), regions, **more)
