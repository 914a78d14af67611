"""What the shell asks of every engine; see rtl/engines/__init__.py."""

import dataclasses

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Shape

from quant.errors import NoMulError
from rtl import engines
from rtl.architecture import load_architecture, named_architectures


def width(signal):
    return Shape.cast(signal.shape()).width


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
    assert all(type(value) in (int, str) for value in config.to_dict().values())
    assert engine.Config(**config.to_dict(), activation_bits=config.activation_bits) == config
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.lanes = 1
    keys = ("lanes", "vector_words", "groups", "weight_bits", "sum_bits", "macs_per_cycle")
    for key in (*keys, "latency"):
        assert getattr(config, key) > 0
    assert engine.Settings.size <= 48


@pytest.mark.parametrize("name", named_architectures())
def test_excess(name):
    arch = load_architecture(name)
    weights = np.array([[0, 1], [-1, 2]])
    excess = engines.find(arch.engine).excess(arch.engine_config, weights)
    assert excess.dtype == np.int64
    assert excess.shape == weights.shape
    assert excess[0, 0] == 0


def smallest(config):
    """One group of as few lanes as the engine can have."""
    fields = {field.name for field in dataclasses.fields(config)}
    one = {name: 1 for name in ("groups", "vector_words") if name in fields}
    for lanes in (4, 5):
        try:
            return dataclasses.replace(config, lanes=lanes, **one)
        except ValueError:
            continue
    raise AssertionError(f"{config} has neither 4 nor 5 lanes")


@pytest.mark.parametrize("name", named_architectures())
def test_members_and_conversion(name):
    arch = load_architecture(name)
    # One group of few lanes stands for all of them: conversion takes long where there are many.
    config = smallest(arch.engine_config)
    engine = engines.find(arch.engine)(config)
    assert width(engine.weights.payload) == config.weight_bits
    codes = config.groups * config.vector_words * config.lanes
    assert width(engine.activations.payload) == codes * config.activation_bits
    assert width(engine.sums) == config.groups * config.lanes * config.sum_bits
    assert hasattr(engine, "width") == config.splits
    assert len(engine.valid) == len(engine.start) == 1
    assert width(engine.settings) == engine.Settings.size
    rtlil.convert(engine)
