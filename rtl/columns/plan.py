"""How a lane makes its product: which multiple of the activation it takes, and how far it shifts.

A product is one term or the sum of two. A term is made in one stage or in two: the first chooses
one of a few shifted multiples of the activation and folds the sign into it, the second shifts the
outcome further. All of it is selection; which bits of the weight's code select what is the plan.

Folding: with a multiple ``t`` of ``W`` bits and a negative weight, the first stage passes the
complement ``2**W - 1 - t`` for ``-t``, so nothing behind it is signed. What a product has too much
by that, ``(2**W - 1) << shift``, depends on the weight only: :meth:`LanePlan.excess`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from quant.weight_formats import WeightFormat, weight_format

__all__ = ["PLANS", "Choice", "LanePlan", "Selector", "Term", "lane_plan", "multiple_bits"]


class Choice(NamedTuple):
    """``multiple * activation << shift``."""

    multiple: int
    shift: int


@dataclass(frozen=True)
class Selector:
    """What the value of some bits of a lane's code selects.

    Parameters
    ----------
    bits : tuple of int
        Places in the lane's code, lowest first.
    choices : tuple
        For each value of the bits; None is zero.
    """

    bits: tuple[int, ...]
    choices: tuple


@dataclass(frozen=True)
class Term:
    """One summand of a product.

    Parameters
    ----------
    first : Selector
        Of :class:`Choice`.
    second : Selector, optional
        Of left shifts.
    """

    first: Selector
    second: Selector | None = None


@dataclass(frozen=True)
class LanePlan:
    """The selections of one weight format.

    The code of a lane is the code of the weight (magnitude, and above it the sign, which a zero
    loses) and, where ``joint`` names bits, their conjunction on top. It is formed once, when the
    weight is loaded.

    Parameters
    ----------
    format : WeightFormat
    terms : tuple of Term
        One, or two of equally many stages.
    joint : tuple of int
        Bits of the magnitude's code whose conjunction is the lane code's top bit.
    clears : bool
        That bit makes the product zero: it resets the registers of the second stage.
    """

    format: WeightFormat
    terms: tuple[Term, ...]
    joint: tuple[int, ...] = ()
    clears: bool = False

    @property
    def lane_bits(self) -> int:
        """Width of a lane's code."""
        return self.format.bits + bool(self.joint)

    @property
    def sign(self) -> int:
        """Place of the sign in a lane's code."""
        return self.format.bits - 1

    @property
    def stages(self) -> int:
        """Registers between activation and product."""
        return 1 if self.terms[0].second is None else 2

    def stage_bits(self, stage: int) -> tuple[int, ...]:
        """Bits of a lane's code that a stage looks at."""
        selectors = [(term.first, term.second)[stage] for term in self.terms]
        bits = {bit for selector in selectors if selector for bit in selector.bits}
        if stage == 0:
            bits.add(self.sign)
        if self.clears and stage == self.stages - 1:
            bits.add(self.format.bits)
        return tuple(sorted(bits))

    @property
    def multiples(self) -> tuple[int, ...]:
        """Multiples of an activation that the lanes select from: (1,) or (1, 3)."""
        firsts = (choice for term in self.terms for choice in term.first.choices if choice)
        return tuple(sorted({choice.multiple for choice in firsts}))

    def expand(self, codes: np.ndarray) -> np.ndarray:
        """Codes of lanes for codes of weights."""
        codes = np.asarray(codes, np.int64)
        codes = np.where(self.format.decode(codes) == 0, codes & ~(1 << self.sign), codes)
        if not self.joint:
            return codes
        mask = sum(1 << bit for bit in self.joint)
        return codes | ((codes & mask) == mask).astype(np.int64) << self.format.bits

    def selected(self, code: int) -> list[tuple[int, Choice]]:
        """For the code of a magnitude, the term's number and its multiple and whole shift."""
        lane = int(self.expand(np.array(code)))
        if self.clears and lane >> self.format.bits & 1:
            return []
        found = []
        for number, term in enumerate(self.terms):
            first = pick(term.first, lane)
            more = 0 if term.second is None else pick(term.second, lane)
            if first is not None and more is not None:
                found.append((number, Choice(first.multiple, first.shift + more)))
        return found

    def sizes(self) -> tuple[int, ...]:
        """Magnitude of each code, as the lane makes it."""
        return tuple(
            sum(choice.multiple << choice.shift for _, choice in self.selected(code))
            for code in range(len(self.format.magnitudes))
        )

    def folds(self, activation_bits: int) -> np.ndarray:
        """What folding adds to a negative product, by code of the magnitude: int64."""
        return np.array(
            [
                sum(largest(choice, activation_bits) for _, choice in self.selected(code))
                for code in range(len(self.format.magnitudes))
            ],
            np.int64,
        )

    def excess(self, weights: np.ndarray, activation_bits: int) -> np.ndarray:
        """What a folded product of integer weights has more than ``weight * activation``: int64.

        >>> lane_plan("w4r").excess(np.array([4, -4, 0, -1]), 8).tolist()
        [0, 1020, 0, 255]
        """
        return self.code_excess(self.format.encode(weights), activation_bits)

    def code_excess(self, codes: np.ndarray, activation_bits: int) -> np.ndarray:
        """:meth:`excess` of weights given by their codes."""
        codes = np.asarray(codes, np.int64)
        magnitude = codes & len(self.format.magnitudes) - 1
        return self.folds(activation_bits)[magnitude] * (codes >> self.sign & 1)

    def term_largest(self, number: int, activation_bits: int) -> int:
        """Largest value of a term."""
        return max(
            largest(choice, activation_bits)
            for code in range(len(self.format.magnitudes))
            for term, choice in self.selected(code)
            if term == number
        )

    def first_bits(self, number: int, activation_bits: int) -> int:
        """Width of a term behind its first stage."""
        return max(
            multiple_bits(choice.multiple, activation_bits) + choice.shift
            for choice in self.terms[number].first.choices
            if choice
        )

    def reach(self, number: int, activation_bits: int) -> tuple[int, ...]:
        """For each value of a term's second selector, the bits that can arrive for it.

        What a code never brings together with a shift, the second stage need not let through.
        """
        term = self.terms[number]
        assert term.second is not None
        widths = [0] * len(term.second.choices)
        for code in range(len(self.format.magnitudes)):
            lane = int(self.expand(np.array(code)))
            first = pick(term.first, lane)
            if first is not None and not (self.clears and lane >> self.format.bits & 1):
                index = selection(term.second, lane)
                bits = multiple_bits(first.multiple, activation_bits) + first.shift
                widths[index] = max(widths[index], bits)
        return tuple(widths)


def multiple_bits(multiple: int, activation_bits: int) -> int:
    """Width of a multiple of an activation."""
    return (multiple * ((1 << activation_bits) - 1)).bit_length()


def largest(choice: Choice, activation_bits: int) -> int:
    return ((1 << multiple_bits(choice.multiple, activation_bits)) - 1) << choice.shift


def selection(selector: Selector, lane: int) -> int:
    return sum((lane >> bit & 1) << place for place, bit in enumerate(selector.bits))


def pick(selector: Selector, lane: int):
    return selector.choices[selection(selector, lane)]


def _plans() -> Iterator[LanePlan]:
    one, two, four = (Choice(1, shift) for shift in range(3))
    three, six = (Choice(3, shift) for shift in range(2))
    doubled = Selector((0,), (one, two))
    yield LanePlan(weight_format("w3"), (Term(Selector((0, 1), (None, one, two, four))),))
    yield LanePlan(weight_format("w4r"), (Term(doubled, Selector((1, 2), (0, 2, 4, None))),))
    yield LanePlan(
        weight_format("w4"),
        (Term(doubled, Selector((1, 2), (0, 2, 4, 6))),),
        joint=(0, 1, 2),
        clears=True,
    )
    yield LanePlan(
        weight_format("sp2"),
        (
            Term(Selector((0, 1), (None, one, two, four))),
            Term(Selector((2,), (None, four))),
        ),
    )
    yield LanePlan(
        weight_format("log4"),
        (Term(Selector((0, 1), (one, two, three, six)), Selector((2,), (0, 2))),),
        joint=(0, 1, 2),
        clears=True,
    )
    yield LanePlan(
        weight_format("log5"),
        (Term(Selector((0, 1), (one, two, three, six)), Selector((2, 3), (0, 2, 4, 6))),),
        joint=(1, 2, 3),
        clears=True,
    )


PLANS = {plan.format.name: plan for plan in _plans()}


def lane_plan(name: str) -> LanePlan:
    """The plan of a weight format by its name; errors: ``KeyError`` for one that no lane has."""
    return PLANS[name]
