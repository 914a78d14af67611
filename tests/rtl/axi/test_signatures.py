import pytest

from rtl.axi.signatures import Axi, AxiConfig, AxiLite, AxiRead, AxiWrite


def test_sizes():
    config = AxiConfig(address_bits=40, data_bits=128, burst=256)
    assert (config.beat_bytes, config.beat_shift) == (16, 4)
    assert (config.beat_address_bits, config.length_bits) == (36, 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"burst": 24}, "burst = 24: allowed is a power of two from 2 to 256"),
        ({"burst": 512}, "burst = 512"),
        ({"data_bits": 48}, "data_bits = 48"),
        ({"outstanding": 0}, "outstanding = 0: allowed is 1 to 64"),
        ({"address_bits": 12}, "address_bits = 12: allowed is 13 to 64"),
        ({"burst": 256, "data_bits": 256}, "burst = 256: more than 4096 bytes of 256 bits"),
    ],
)
def test_impossible_ports(change, message):
    with pytest.raises(ValueError, match=message):
        AxiConfig(**change)


def test_channels_of_the_directions_make_up_the_port():
    config = AxiConfig()
    both = {**AxiRead(config).members, **AxiWrite(config).members}
    assert dict(Axi(config).members.items()) == both
    # Five channels with a handshake each, of which the slave gives two.
    for signature in (Axi(config), AxiLite(28)):
        handshakes = [name for name in signature.members if name.endswith("valid")]
        assert sorted(handshakes) == ["arvalid", "awvalid", "bvalid", "rvalid", "wvalid"]
        flows = {name: signature.members[name].flow.name for name in handshakes}
        assert flows["bvalid"] == flows["rvalid"] == "In"
