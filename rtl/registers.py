"""The host's registers, declared once: hardware, driver and documents read this list."""

from enum import IntEnum

__all__ = ["ID", "REGION_SHIFT", "WAITING", "Control", "Error", "Region", "Register", "State"]

ID = 0x4E6F4D75  # "NoMu"

REGION_SHIFT = 23
"""The region of a host address begins at this bit; addresses count 32-bit words."""


class Region(IntEnum):
    """What the highest bits of a host address select."""

    REGISTERS = 0
    INSTRUCTIONS = 1
    WEIGHTS = 2
    PARAMETERS = 3
    FEATURES = 4


class Register(IntEnum):
    """Address of a register, and its meaning. All can be read, three can be written.

    The texts beside the members become the documents: ``boards.register_map``.
    """

    ID = 0  # the constant ID
    VERSION = 1  # of the instruction set
    FINGERPRINT = 2  # of the architecture
    CONTROL = 3  # written: a Control
    STATUS = 4  # State in bits 0-7, Error in bits 8-15
    PC = 5  # address of the instruction that executes, or that failed
    CYCLES = 6  # cycles spent running since the start, pauses not counted
    RUNS = 7  # runs started since the start
    STOP_AFTER = 8  # written: pause when so many runs have ended; 0 never
    INTERRUPT = 9  # written: 1 lets the interrupt line be high while the machine waits for the host
    # Words since the start, in machines that count them:
    FEATURES_READ = 10  # by the nest ACTIVATION
    WEIGHTS_READ = 11  # by the nest WEIGHT
    SUMS_ADDED = 12  # words of sums that the accumulators took
    PARAMETERS_READ = 13  # by the nest PARAMETER
    RESIDUALS_READ = 14  # by the nest RESIDUAL
    OUTPUTS_WRITTEN = 15  # to the feature memory


class Control(IntEnum):
    """What a write to CONTROL asks for."""

    START = 1  # from the first instruction, cycles and runs from zero
    RESUME = 2  # from a pause
    STOP = 4  # at once, to idle


class State(IntEnum):
    """State of the sequencer, as the status register shows it."""

    IDLE = 0
    RUNNING = 1
    PAUSED = 2
    HALTED = 3
    FAILED = 4


WAITING = (State.PAUSED, State.HALTED, State.FAILED)
"""States in which the machine waits for the host: those that the interrupt tells of."""


class Error(IntEnum):
    """Why a machine failed."""

    NONE = 0
    ILLEGAL_OPCODE = 1
    WRONG_VERSION = 2
    WRONG_MACHINE = 3
    NO_SUCH_LEVEL = 4
    NO_HALT = 5
    # Of machines whose codes split:
    ILLEGAL_WIDTH = 6  # none, or one of a tensor that is wider than the run's
    ILLEGAL_OPERATION = 7  # none, or stochastic rounding without a seed
    # Of machines with external memory:
    TRANSFER = 8  # a channel stopped; its own register says why
    STUCK = 9  # nothing has happened for long: a run or a wait that cannot end
