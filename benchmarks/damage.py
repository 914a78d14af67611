"""Random and damaged programs on the RTL of a small machine with external memory.

A machine is under load that no compiler makes: external memory that stalls at random, programs with
flipped bits, cut off, or with wrong addresses. It must end each of them, with an error or without,
stay in its buffers, and work afterwards.
"""

import dataclasses
from collections.abc import Iterator
from itertools import count as numbers

import numpy as np

from boards.driver import Driver
from compiler.compile import compile as compile_graph
from compiler.program import Program
from nomul.engines import build_rtl, confine
from nomul.output import Report
from quant.errors import NoMulError
from quant.quantized import QuantizedGraph
from quant.reference import run_reference
from rtl.architecture import Architecture
from rtl.isa import INSTRUCTION_BITS, LAYOUTS, OPCODE_BITS, Opcode
from rtl.registers import Control, Error, Register, State
from sim.axi_memory import AxiMemory
from tests.external import small_machine
from tests.random_networks import random_codes, random_network

__all__ = ["Machine", "corrupted_programs", "damaged", "machine", "random_programs"]

PATIENCE = 1 << 13
LIMIT = 1 << 20
"""Cycles in which a program must have ended."""
LOADED = 16
"""Damaged programs from one right one."""
CHECKED = 8
"""Damaged programs after which the right one is run."""
ADDRESSES = (
    (Opcode.TARGET, "buffer"),
    (Opcode.TARGET, "offset"),
    (Opcode.SHAPE, "rows"),
    (Opcode.SHAPE, "memory_stride"),
    (Opcode.SHAPE, "address_stride"),
    (Opcode.MOVE, "region"),
    (Opcode.MOVE, "address"),
    (Opcode.MOVE, "words"),
    (Opcode.MOVE, "store"),
)


def machine() -> Architecture:
    """The machine: networks do not fit it, and it gives up soon."""
    return small_machine(patience=PATIENCE)


class Machine:
    """The RTL with its memory.

    Parameters
    ----------
    progress : Report
    """

    def __init__(self, progress: Report) -> None:
        self.model = build_rtl(machine(), lambda message: progress(0, None, message))
        memory = self.model.memory
        assert memory is not None
        self.memory: AxiMemory = memory

    def load(self, program: Program) -> Driver:
        """Put a program in; what it may reach is what its buffers take."""
        driver = Driver(self.model, program, self.memory)
        confine(self.memory, driver)
        return driver

    def start(self, driver: Driver) -> State | None:
        """Start, and the state in which the program ends; None where it does not."""
        driver.set(Register.INTERRUPT, 1)
        driver.go_on(Control.START, stop_after=0)
        try:
            self.model.run_until("irq", 1, 1, LIMIT)
        except TimeoutError:
            return None
        return State(driver.get(Register.STATUS) & 0xFF)

    @property
    def escaped(self) -> bool:
        """Whether anything beside the buffers has been asked for, or a rule of the bus broken."""
        return self.memory.escapes > 0 or self.memory.violation is not None

    def differing(self, program: Program, codes: np.ndarray, expected: dict) -> int:
        """Tensors of an image that differ from the reference; all where the program fails."""
        driver = self.load(program)
        wrong = 0

        def visit(name: str, tensor: np.ndarray) -> None:
            nonlocal wrong
            wrong += not np.array_equal(tensor, expected[name][0])

        try:
            driver.trace(codes, visit)
        except NoMulError:
            return len(program.layers)
        return wrong


def right_programs() -> Iterator[tuple[QuantizedGraph, Program]]:
    """Random networks for which there is room in the machine, and their programs."""
    architecture = machine()
    for seed in numbers():
        graph = random_network(seed)
        try:
            yield graph, compile_graph(graph, architecture)
        except NoMulError:
            continue


def example(graph: QuantizedGraph, source: np.random.Generator) -> tuple[np.ndarray, dict]:
    """An image's codes and the reference's tensors."""
    codes = random_codes(graph, 1, source)
    return codes[0], run_reference(graph, codes)


def random_memory(memory: AxiMemory, source: np.random.Generator) -> None:
    """Another latency, bandwidth and share of stalls."""
    memory.latency = int(source.integers(0, 80))
    memory.percent = int(source.integers(30, 101))
    memory.outstanding = int(source.integers(1, 9))
    memory.stall(float(source.choice([0.0, 0.1, 0.5])), int(source.integers(1 << 30)))


def random_programs(count: int, progress: Report) -> dict[str, int]:
    """Networks on the RTL, every layer that is kept compared with the reference.

    Returns
    -------
    ``random.programs``, and of them ``random.mismatches`` (tensors) and ``random.escapes``.
    """
    rtl, source = Machine(progress), np.random.default_rng(0)
    wrong = escapes = 0
    for number, (graph, program) in zip(range(count), right_programs()):
        codes, expected = example(graph, source)
        random_memory(rtl.memory, source)
        wrong += rtl.differing(program, codes, expected)
        escapes += rtl.escaped
        progress(number + 1, count, "program")
    return {"random.programs": count, "random.mismatches": wrong, "random.escapes": escapes}


def corrupted_programs(count: int, progress: Report) -> dict[str, int]:
    """Damaged programs, and after some of them right ones.

    Returns
    -------
    ``corrupted.programs``; of them ``corrupted.hangs`` that did not end, ``corrupted.escapes`` that
    reached beside their buffers, and ``corrupted.errors`` that the machine refused;
    ``corrupted.aftermath``: tensors that were wrong in right programs behind them.
    """
    rtl, source = Machine(progress), np.random.default_rng(1)
    hangs = escapes = errors = aftermath = 0
    programs = right_programs()
    for number in range(count):
        if number % LOADED == 0:
            graph, program = next(programs)
            codes, expected = example(graph, source)
        random_memory(rtl.memory, source)
        driver = rtl.load(damaged(program, source))
        driver.write_input(codes)
        state = rtl.start(driver)
        hangs += state is None
        errors += state is State.FAILED
        if state is State.FAILED and not driver.get(Register.STATUS) >> 8:
            raise AssertionError(f"program {number} failed with {Error.NONE.name}")
        escapes += rtl.escaped
        if number % CHECKED == CHECKED - 1:
            aftermath += rtl.differing(program, codes, expected)
        progress(number + 1, count, "program")
    return {
        "corrupted.programs": count,
        "corrupted.hangs": hangs,
        "corrupted.escapes": escapes,
        "corrupted.errors": errors,
        "corrupted.aftermath": aftermath,
    }


def damaged(program: Program, source: np.random.Generator) -> Program:
    """A program with up to eight bits flipped, cut off, or with up to four wrong addresses.

    What is cut off leaves what stood in memory before: anything.
    """
    words = program.instructions.copy()
    kind = source.integers(3)
    if kind == 0:
        for _ in range(source.integers(1, 9)):
            words[source.integers(len(words))] ^= np.uint64(1) << source.integers(
                INSTRUCTION_BITS, dtype=np.uint64
            )
    elif kind == 1:
        first = source.integers(len(words))
        words[first:] = source.integers(0, 1 << 64, len(words) - first, np.uint64)
    else:
        for _ in range(source.integers(1, 5)):
            readdress(words, source)
    return dataclasses.replace(program, instructions=words)


def readdress(words: np.ndarray, source: np.random.Generator) -> None:
    """Put another value into a field that says where or how much."""
    opcode, name = ADDRESSES[source.integers(len(ADDRESSES))]
    places = np.flatnonzero(words & np.uint64((1 << OPCODE_BITS) - 1) == opcode.value)
    if not len(places):
        return
    field = LAYOUTS[opcode][name]
    width, shift = field.width, OPCODE_BITS + field.offset
    # Of any size: small ones are wrong in other ways than large ones.
    value = int(source.integers(1 << int(source.integers(1, width + 1))))
    at = places[source.integers(len(places))]
    kept = int(words[at]) & ~(((1 << width) - 1) << shift)
    words[at] = np.uint64(kept | value << shift)
