"""Where a program's cycles and memory go: tables and figures."""

from typing import Any

from compiler.program import Program
from nomul.output import table

__all__ = ["cycles_table", "images_per_second", "memory_table", "program_figures"]


def images_per_second(program: Program) -> float:
    """Images a second at the machine's stated clock, one after another."""
    return program.architecture.clock_mhz * 1e6 / program.cycles


def cycles_table(program: Program) -> None:
    """A row a layer: cycles, their share, and how busy the array is."""
    arch = program.architecture
    rows = [
        [
            layer.name,
            layer.kind.lower(),
            layer.macs or None,
            layer.passes or None,
            layer.cycles,
            f"{layer.cycles / program.cycles:.1%}",
            f"{layer.busy(arch.macs_per_cycle):.1%}" if layer.macs else None,
        ]
        for layer in program.layers
    ]
    rows.append(
        [
            "all",
            "",
            sum(layer.macs for layer in program.layers),
            None,
            program.cycles,
            "100.0%",
            f"{program.busy:.1%}",
        ]
    )
    table(
        f"{program.name} ({program.scheme}) on {arch.name}: {arch.macs_per_cycle} MACs a cycle, "
        f"{images_per_second(program):,.0f} images/s at {arch.clock_mhz:g} MHz",
        ["layer", "kind", "MACs", "passes", "cycles", "share", "busy"],
        rows,
        left=2,
    )


def memory_use(program: Program) -> list[tuple[str, int, int]]:
    """Name, words used and words there of each memory that the compiler fills."""
    sizes = program.architecture.memory
    tensors = [program.input, *(layer.output for layer in program.layers)]
    ends = [tensor.address + tensor.words for tensor in tensors]
    return [
        ("features", max(ends), sizes.feature_words),
        ("weights", len(program.weights), sizes.weight_words),
        ("parameters", len(program.parameters), sizes.parameter_words),
        ("instructions", len(program.instructions), sizes.instruction_words),
    ]


def memory_table(program: Program) -> None:
    """A row a memory: what the program takes of it."""
    table(
        "Memories",
        ["memory", "words used", "words there", "share"],
        [[name, used, there, f"{used / there:.1%}"] for name, used, there in memory_use(program)],
    )


def program_figures(program: Program) -> dict[str, Any]:
    """For JSON."""
    arch = program.architecture
    return {
        "network": program.name,
        "scheme": program.scheme,
        "architecture": arch.name,
        "clock_mhz": arch.clock_mhz,
        "cycles.predicted": program.cycles,
        "images_per_second": images_per_second(program),
        "busy": program.busy,
        "memory": {
            name: {"used": used, "words": there} for name, used, there in memory_use(program)
        },
        "layers": [
            {
                "name": layer.name,
                "kind": layer.kind,
                "macs": layer.macs,
                "passes": layer.passes,
                "cycles": layer.cycles,
                "busy": layer.busy(arch.macs_per_cycle) if layer.macs else None,
            }
            for layer in program.layers
        ],
    }
