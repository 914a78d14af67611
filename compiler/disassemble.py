"""A program as text that a person can read."""

from collections.abc import Iterator

from compiler.program import Program
from rtl.isa import Instruction, Opcode, decode

__all__ = ["disassemble"]


def disassemble(program: Program) -> str:
    """One line an instruction, under a line for the layer that the next ``RUN`` works for."""
    lines = [
        f"; {program.name} ({program.scheme}) for {program.architecture.name}",
        f"; {len(program.instructions)} instructions, {len(program.weights)} weight words, "
        f"{len(program.parameters)} parameters, {program.cycles} cycles",
        f"; input  {describe(program.input)}",
        f"; output {describe(program.output)}",
    ]
    decoded = [decode(int(word)) for word in program.instructions]
    current = None
    for (pc, instruction), layer in zip(enumerate(decoded), layers_of(decoded)):
        if layer is not None and layer != current:
            record = program.layers[layer]
            sources = ", ".join(record.inputs)
            lines += [
                "",
                f"; layer {layer} {record.name}: {record.kind} of {sources}, {record.passes:g} "
                f"passes, {record.cycles} cycles",
                f"; makes {describe(record.output)}",
            ]
        current = layer
        lines.append(f"{pc:5}  {instruction}")
    return "\n".join(lines) + "\n"


def layers_of(decoded: list[Instruction]) -> Iterator[int | None]:
    """The layer that each instruction prepares: that of the next ``RUN``, None behind the last."""
    layers: list[int | None] = []
    layer = None
    for instruction in reversed(decoded):
        if instruction.opcode is Opcode.RUN:
            layer = instruction.fields["layer"]
        layers.append(None if instruction.opcode is Opcode.CHECK else layer)
    return reversed(layers)


def describe(tensor) -> str:
    """A tensor in a line."""
    channels, height, width = tensor.shape
    fmt = tensor.format
    sign = "signed" if fmt.signed else "unsigned"
    return (
        f"{tensor.name} [{channels}, {height}, {width}], {sign} {fmt.bits} bits * "
        f"2**{-fmt.fraction}, words {tensor.address} .. {tensor.address + tensor.words - 1}"
    )
