"""What a program can run on: the program simulator or the RTL, by name."""

from collections.abc import Callable

import numpy as np

from boards.driver import Driver
from compiler.program import Program
from nomul.blocks import block
from nomul.output import Report
from rtl.architecture import Architecture
from sim.axi_memory import AxiMemory
from sim.compiled import CompiledModel
from sim.simulators import program_simulator

__all__ = ["ENGINES", "build_rtl", "confine", "run_program", "run_rtl", "simulated_machine"]

BATCH = 8


def build_rtl(
    architecture: Architecture, say: Callable[[str], None] = lambda message: None
) -> CompiledModel:
    """The machine as compiled RTL, from the cache where it is there; after a reset.

    External memory is as the architecture says. ``say`` is called with what is being done where
    that takes long.

    Errors: :class:`NoMulError` for a missing tool or a cache that cannot be written.
    """
    model = CompiledModel.build(block("machine", architecture), say)
    model.reset()
    external = architecture.external
    if external and model.memory:
        model.memory.latency, model.memory.percent = external.latency, external.percent
        model.memory.burst, model.memory.outstanding = external.burst, external.outstanding
    return model


def simulated_machine(
    program: Program, say: Callable[[str], None] = lambda message: None
) -> Driver:
    """The RTL of the program's machine with the program in it."""
    model = build_rtl(program.architecture, say)
    driver = Driver(model, program, model.memory)
    if model.memory:
        confine(model.memory, driver)
    return driver


def confine(memory: AxiMemory, driver: Driver) -> None:
    """Let a machine reach the buffers of its driver's image and nothing else."""
    assert driver.buffers
    places = driver.buffers.places
    memory.allow((places[room.buffer], room.size) for room in driver.image.buffers)


def run_program(program: Program, codes: np.ndarray, progress: Report) -> tuple[np.ndarray, int]:
    """Output codes of images on the program simulator, and the cycles of one."""
    parts = []
    for start in range(0, len(codes), BATCH):
        result = program_simulator(program, BATCH).run(codes[start : start + BATCH])
        parts.append(result.outputs)
        progress(start + len(result.outputs), len(codes), "image")
    return np.concatenate(parts), result.cycles


def run_rtl(program: Program, codes: np.ndarray, progress: Report) -> tuple[np.ndarray, int]:
    """Output codes of images on the RTL, and the cycles of one."""
    machine = simulated_machine(program, lambda message: progress(0, None, message))
    parts = []
    for index, image in enumerate(codes):
        output, cycles = machine.run_codes(image)
        parts.append(output)
        progress(index + 1, len(codes), "image")
    return np.stack(parts), cycles


ENGINES: dict[str, Callable[[Program, np.ndarray, Report], tuple[np.ndarray, int]]] = {
    "program": run_program,
    "rtl": run_rtl,
}
