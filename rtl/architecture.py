"""One frozen description of a machine, read from a TOML file and checked on load."""

import dataclasses
import hashlib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quant.errors import NoMulError
from rtl import engines
from rtl.axi.signatures import AxiConfig
from rtl.dma.transfer import DmaConfig
from rtl.isa import INSTRUCTION_BITS, VERSION
from rtl.packing import pieces
from rtl.post import PostProcess, parameter_word
from rtl.registers import REGION_SHIFT, Region
from rtl.split.parts import PARTS
from rtl.split.post import SplitPost
from rtl.split.requantize import block_parameters

__all__ = ["Architecture", "External", "Memory", "load_architecture", "named_architectures"]

FOLDER = Path(__file__).parent / "architectures"


@dataclass(frozen=True)
class Memory:
    """Sizes of the memories, in words.

    Parameters
    ----------
    feature_words : int
        Words of ``lanes`` codes; a power of two.
    weight_words : int
        Words of the engine's weight stream.
    parameter_words : int
        Blocks of ``lanes`` output channels whose bias and shifts fit.
    accumulator_words : int
        Words of sums that one reduction can cover; a power of two.
    queue_words : int
        Finished words of sums that can wait for post-processing; a power of two.
    instruction_words : int
        Instructions of a program; a power of two.
    """

    feature_words: int
    weight_words: int
    parameter_words: int
    accumulator_words: int
    queue_words: int
    instruction_words: int

    def __post_init__(self) -> None:
        for field, low, high, power in (
            ("feature_words", 16, 1 << 22, True),
            ("weight_words", 16, 1 << 23, False),
            ("parameter_words", 16, 1 << 16, False),
            ("accumulator_words", 16, 1 << 16, True),
            ("queue_words", 16, 1 << 16, True),
            ("instruction_words", 16, 1 << 16, True),
        ):
            value = getattr(self, field)
            if not low <= value <= high:
                raise ValueError(f"{field} = {value}: allowed is {low} to {high}")
            if power and value & (value - 1):
                raise ValueError(f"{field} = {value}: must be a power of two")


@dataclass(frozen=True)
class External:
    """Ways to external memory: two channels, each with a port of 64 bits.

    Parameters
    ----------
    burst : int
        Most beats of a burst: 16 where the memory's ports are those of a Zynq-7000.
    outstanding : int
        Bursts that a channel asks for ahead.
    queue : int
        Transfers that a channel holds.
    percent : int
        Of a port's beats, those that the compiler counts on.
    latency : int
        Cycles to the first beat of a burst that the compiler counts on.
    patience : int
        Cycles in which nothing happens until a program counts as stuck.
    """

    burst: int
    outstanding: int
    queue: int
    percent: int
    latency: int
    patience: int = 1 << 20

    def __post_init__(self) -> None:
        for field, low, high, power in (
            ("burst", 2, 256, True),
            ("outstanding", 1, 64, False),
            ("queue", 2, 64, False),
            ("percent", 1, 100, False),
            ("latency", 1, 10000, False),
            ("patience", 1 << 8, 1 << 30, True),
        ):
            value = getattr(self, field)
            if not low <= value <= high or (power and value & (value - 1)):
                kind = "a power of two from " if power else ""
                raise ValueError(f"{field} = {value}: allowed is {kind}{low} to {high}")


@dataclass(frozen=True)
class Architecture:
    """A machine: its engine, number formats, memories, clock target and part.

    Parameters
    ----------
    name : str
    part : str
        The FPGA it is meant for, as ``boards/parts`` names it.
    clock_mhz : float
        Clock that images per second are stated at; a target, not a measurement.
    engine : str
        Name of a file in ``rtl/engines``.
    engine_config : object
        That engine's frozen config.
    activation_bits : int
        Width of a code in the feature memory.
    accumulator_bits : int
        Width of an accumulator.
    pass_shift_bits : int
        A pass may shift its sums left by 0 .. 2**pass_shift_bits - 1.
    logarithmic : int
        1 where post-processing can make logarithmic codes, else 0.
    memory : Memory
    external : External, optional
        None for a machine whose networks live on chip.
    """

    name: str
    part: str
    clock_mhz: float
    engine: str
    engine_config: Any
    activation_bits: int
    accumulator_bits: int
    pass_shift_bits: int
    logarithmic: int
    memory: Memory
    external: External | None = None

    def __post_init__(self) -> None:
        # Where codes split, the engine says how wide fields of codes and of sums are.
        whole, sums = self.activation_bits, self.engine_config.sum_bits
        allowed: tuple[tuple[str, float, float], ...] = (
            ("activation_bits", *((whole, whole) if self.splits else (2, 16))),
            ("accumulator_bits", *((sums, sums) if self.splits else (16, 32))),
            ("pass_shift_bits", 0, 0 if self.splits else 4),
            ("logarithmic", 0, 0 if self.splits else 1),
            ("clock_mhz", 1, 1000),
        )
        for field, low, high in allowed:
            value = getattr(self, field)
            if not low <= value <= high:
                raise ValueError(f"{field} = {value}: allowed is {low} to {high}")
        if self.accumulator_bits <= self.activation_bits:
            raise ValueError(
                f"accumulator_bits = {self.accumulator_bits}: must be more than "
                f"activation_bits = {self.activation_bits}"
            )
        if self.memory.queue_words <= self.words_under_way + 1:
            raise ValueError(
                f"queue_words = {self.memory.queue_words}: must be more than "
                f"{self.words_under_way + 1}, for the words that are under way"
            )
        if self.external is not None:
            if self.splits:
                raise ValueError("external: codes that split stay on chip; leave it out")
            assert self.channels  # checks itself
        # The host reaches every piece of a word at an address below the region's bits.
        for field, bits in (
            ("feature_words", self.lanes * self.activation_bits),
            ("weight_words", self.engine_config.weight_bits),
            ("parameter_words", self.parameter_bits),
        ):
            value = getattr(self.memory, field)
            high = (1 << REGION_SHIFT) // pieces(bits)
            if value > high:
                raise ValueError(f"{field} = {value}: allowed is 16 to {high}")

    @property
    def lanes(self) -> int:
        """Codes of a feature word: channels of a block."""
        return self.engine_config.lanes

    @property
    def vector_words(self) -> int:
        """Feature words that a column group takes at once."""
        return self.engine_config.vector_words

    @property
    def groups(self) -> int:
        """Column groups: feature words of sums that the engine makes at once."""
        return self.engine_config.groups

    @property
    def splits(self) -> bool:
        """Whether a field of a feature word holds one code of 32 bits, two of 16 or four of 8."""
        return self.engine_config.splits

    @property
    def parameter_bits(self) -> int:
        """Width of a parameter word: biases and shifts of a block."""
        if self.splits:
            return block_parameters(self.accumulator_bits // PARTS, self.lanes).size
        return parameter_word(self.accumulator_bits, self.lanes).size

    @property
    def channels(self) -> DmaConfig | None:
        """Channels to external memory, of a machine that has it."""
        if self.external is None:
            return None
        sizes = self.memory
        regions = (
            (Region.INSTRUCTIONS, sizes.instruction_words, INSTRUCTION_BITS),
            (Region.WEIGHTS, sizes.weight_words, self.engine_config.weight_bits),
            (Region.PARAMETERS, sizes.parameter_words, self.parameter_bits),
            (Region.FEATURES, sizes.feature_words, self.lanes * self.activation_bits),
        )
        axi = AxiConfig(burst=self.external.burst, outstanding=self.external.outstanding)
        external = self.external
        return DmaConfig(axi, regions, queue=external.queue, patience=external.patience)

    @property
    def post_latency(self) -> int:
        """Cycles from the turn of a word of sums to its codes."""
        return (SplitPost if self.splits else PostProcess).latency

    @property
    def macs_per_cycle(self) -> int:
        """Weights that the engine multiplies with and adds in a cycle."""
        return self.engine_config.macs_per_cycle

    @property
    def words_under_way(self) -> int:
        """Words of sums that may still finish when the queue says that it has no more room.

        Two in the accumulator, and one each for the cycle that fills the queue and the one that
        sees it.
        """
        return self.engine_config.latency + 4

    @property
    def fingerprint(self) -> int:
        """32 bits that differ where a program of one machine would not run on the other."""
        machine = dataclasses.asdict(self)
        for key in ("name", "part", "clock_mhz"):
            del machine[key]
        text = json.dumps([VERSION, machine], sort_keys=True)
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")

    def to_dict(self) -> dict:
        """The description as it stands in a TOML or program file."""
        return {
            "name": self.name,
            "part": self.part,
            "clock_mhz": self.clock_mhz,
            "engine": {"kind": self.engine, **self.engine_config.to_dict()},
            "numbers": {
                "activation_bits": self.activation_bits,
                "accumulator_bits": self.accumulator_bits,
                "pass_shift_bits": self.pass_shift_bits,
                "logarithmic": self.logarithmic,
            },
            "memory": dataclasses.asdict(self.memory),
            **({"external": dataclasses.asdict(self.external)} if self.external else {}),
        }

    @classmethod
    def from_dict(cls, table: dict, source: str = "architecture") -> "Architecture":
        """Check a description and make the object.

        Errors: :class:`NoMulError` for an unknown or missing key or an impossible value, with
        ``source``, key, value and what is allowed.
        """
        optional = {"external"} & set(table) if isinstance(table, dict) else set()
        keys = {"name", "part", "clock_mhz", "engine", "numbers", "memory"} | optional
        check_keys(table, keys, source)
        numbers = table["numbers"]
        check_keys(
            numbers,
            {"activation_bits", "accumulator_bits", "pass_shift_bits", "logarithmic"},
            f"{source} [numbers]",
        )
        memory_keys = {field.name for field in dataclasses.fields(Memory)}
        check_keys(table["memory"], memory_keys, f"{source} [memory]")
        kind, engine = engine_table(table["engine"], f"{source} [engine]")
        external = table.get("external", {})
        if optional:
            external_keys = {field.name for field in dataclasses.fields(External)}
            check_keys(external, external_keys, f"{source} [external]")
        for key, value in (numbers | table["memory"] | external).items():
            if not isinstance(value, int) or isinstance(value, bool):
                raise NoMulError(f"{source}: {key} = {value!r} must be a whole number")
        for key in ("name", "part"):
            if not isinstance(table[key], str) or not table[key]:
                raise NoMulError(f"{source}: {key} = {table[key]!r} must be text")
        if type(table["clock_mhz"]) not in (int, float):
            raise NoMulError(f"{source}: clock_mhz = {table['clock_mhz']!r} must be a number")
        try:
            config = engines.find(kind).Config(**engine, activation_bits=numbers["activation_bits"])
            return cls(
                name=table["name"],
                part=table["part"],
                clock_mhz=float(table["clock_mhz"]),
                engine=kind,
                engine_config=config,
                memory=Memory(**table["memory"]),
                external=External(**external) if optional else None,
                **numbers,
            )
        except (TypeError, ValueError) as error:
            raise NoMulError(f"{source}: {error}") from error


def engine_table(table: Any, where: str) -> tuple[str, dict]:
    """An engine's name and its own keys, none too many or too few."""
    if not isinstance(table, dict):
        raise NoMulError(f"{where} must be a table with the keys kind and those of the engine")
    if "kind" not in table:
        raise NoMulError(f"{where}: the key 'kind' is missing; add it, with an engine's name")
    own = {key: value for key, value in table.items() if key != "kind"}
    kind = table["kind"]
    if kind not in engines.names():
        raise NoMulError(
            f"{where}: kind = {kind!r} is no engine; known are {', '.join(engines.names())}"
        )
    check_keys(own, set(engines.find(kind).Config.KEYS), where)
    return kind, own


def check_keys(table: Any, keys: set[str], where: str) -> None:
    """Refuse a table with a key too many or too few, by name."""
    if not isinstance(table, dict):
        raise NoMulError(f"{where} must be a table with the keys {', '.join(sorted(keys))}")
    for key in table:
        if key not in keys:
            raise NoMulError(f"{where}: unknown key {key!r}; known are {', '.join(sorted(keys))}")
    for key in sorted(keys):
        if key not in table:
            raise NoMulError(f"{where}: the key {key!r} is missing; add it")


def named_architectures() -> list[str]:
    """Names of the machines that come with NoMul."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_architecture(source: str | Path | Architecture) -> Architecture:
    """A machine by the name of one that comes with NoMul, or from a TOML file.

    Errors: :class:`NoMulError` for a missing or unreadable file or an impossible machine.
    """
    if isinstance(source, Architecture):
        return source
    path = FOLDER / f"{source}.toml" if str(source) in named_architectures() else Path(source)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise NoMulError(
            f"no architecture {source}: neither a file nor one of "
            f"{', '.join(named_architectures())}"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise NoMulError(f"{path} is no readable TOML file: {error}") from None
    return Architecture.from_dict(table, path.name)
