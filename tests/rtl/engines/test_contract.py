"""What the shell asks of every engine; see rtl/engines/__init__.py."""

import dataclasses

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Shape

from quant.errors import NoMulError
from rtl import engines
from rtl.architecture import load_architecture, named_architectures


def width(port):
    return Shape.cast(port.payload.shape()).width


def test_every_engine_has_a_named_machine():
    used = {load_architecture(name).engine for name in named_architectures()}
    assert used == set(engines.names())


def test_unknown_engine():
    with pytest.raises(NoMulError, match="no engine nothing; known are "):
        engines.find("nothing")


@pytest.mark.parametrize("name", named_architectures())
def test_config(name):
    arch = load_architecture(name)
    engine, config = engines.find(arch.engine), arch.engine_config
    assert isinstance(config, engine.Config)
    assert set(config.to_dict()) == set(config.KEYS)
    assert engine.Config(**config.to_dict(), activation_bits=config.activation_bits) == config
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.lanes = 1
    for key in ("lanes", "weight_bits", "sum_bits", "macs_per_cycle", "latency"):
        assert getattr(config, key) > 0
    assert engine.Settings.size <= 48


@pytest.mark.parametrize("name", named_architectures())
def test_members_and_conversion(name):
    arch = load_architecture(name)
    config = arch.engine_config
    engine = engines.find(arch.engine)(config)
    assert engine.latency == config.latency
    assert width(engine.weights) == config.weight_bits
    assert width(engine.activations) == config.lanes * config.activation_bits
    assert width(engine.sums) == config.lanes * config.sum_bits
    assert len(engine.start) == 1
    assert Shape.cast(engine.settings.shape()).width == engine.Settings.size
    rtlil.convert(engine)
