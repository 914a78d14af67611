"""Arithmetic on fields that split: one code of 32 bits, two of 16, or four of 8.

A *field* is 32 bits and holds ``parts`` codes of a *width*, part 0 lowest. All parts of a field are
worked on at once, and no carry leaves a part (``adder``). Multiplication (``multiply``) gives whole
products. Sums stand in wider fields: four places of the accumulator's quarter, of which two or four
neighbours join for wider codes (``parts``). Every operation is a component with a ``model`` in
numpy on plain integers: ``multiply``, ``window`` (add, subtract, maximum, compare), ``requantize``
(shift, rounding to the nearest or by ``noise``, saturation), ``load`` and ``store``.
"""
