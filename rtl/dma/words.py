"""Between beats of a memory port and words of any width."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.axi.elastic import Elastic
from rtl.dma.transfer import ADDRESS, DmaConfig
from rtl.dma.walk import word_layout
from rtl.registers import Region

__all__ = ["Packer", "StoreReader", "beats_of", "packed_layout", "word_from"]


def beats_of(word: int, bits: int, data_bits: int) -> list[int]:
    """A word as beats, the lowest first, the last one filled with zeros.

    >>> beats_of(0x123, 12, 8)
    [35, 1]
    """
    return [word >> at & (1 << data_bits) - 1 for at in range(0, bits, data_bits)]


def word_from(beats: list[int], bits: int, data_bits: int) -> int:
    """The word of beats, the inverse of :func:`beats_of`; what fills the last beat is dropped.

    >>> hex(word_from([0x23, 0xF1], 12, 8))
    '0x123'
    """
    return sum(beat << n * data_bits for n, beat in enumerate(beats)) & (1 << bits) - 1


def packed_layout(config: DmaConfig) -> data.StructLayout:
    """A word with its place; of narrower regions the lowest bits count.

    ``to`` has a bit for each of the config's regions: that of the word's is set, and none while
    there is no word.
    """
    return data.StructLayout(
        {
            "to": len(config.regions),
            "address": ADDRESS,
            "last": 1,
            "data": unsigned(config.word_bits),
        }
    )


class Packer(wiring.Component):
    """Makes words of beats.

    A word takes the beats of its region, lowest first. It is gathered in one register and waits in
    another, so that whether beats are taken does not hang on whether the memory takes a word, which
    is known late. Latency 2 from the last beat; throughput a beat a cycle for words of two beats or
    more, two in three cycles for words of one; back-pressure yes.

    Parameters
    ----------
    config : DmaConfig

    Members
    -------
    i : In(stream of data_bits)
    place : In(stream of word_layout)
        Taken with the last beat of the word.
    o : Out(stream of packed_layout)
    whole : Out(1)
        A word has all its beats and is not yet at ``o``.
    """

    latency = 2

    def __init__(self, config: DmaConfig) -> None:
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(config.axi.data_bits)),
                "place": In(stream.Signature(word_layout())),
                "o": Out(stream.Signature(packed_layout(config))),
                "whole": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config, place = self.config, self.place
        width = config.axi.data_bits
        # The beat of the word that is next, one-hot.
        beat = Signal(config.most_beats, init=1)
        last, take, room = Signal(), Signal(), Signal()
        to = Signal(len(config.regions))
        with m.Switch(place.p.region):
            for n, (region, _, bits) in enumerate(config.regions):
                with m.Case(region):
                    m.d.comb += [last.eq(beat[config.beats(bits) - 1]), to[n].eq(1)]
        m.d.comb += [
            room.eq(~self.whole | ~self.o.valid),
            self.i.ready.eq(place.valid & room),
            take.eq(self.i.valid & place.valid & room),
            place.ready.eq(self.i.valid & last & room),
        ]
        gathered = Signal(packed_layout(config), reset_less=True)
        with m.If(self.o.ready):
            m.d.sync += [self.o.valid.eq(0), self.o.p.to.eq(0)]
        with m.If(self.whole & (self.o.ready | ~self.o.valid)):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(gathered), self.whole.eq(0)]
        with m.If(take):
            for n in range(config.most_beats):
                with m.If(beat[n]):
                    m.d.sync += gathered.data[n * width : (n + 1) * width].eq(self.i.payload)
            m.d.sync += beat.eq(beat << 1)
            with m.If(last):
                m.d.sync += [
                    beat.eq(1),
                    self.whole.eq(1),
                    gathered.to.eq(to),
                    gathered.address.eq(place.p.address),
                    gathered.last.eq(place.p.last),
                ]
        return m


class StoreReader(wiring.Component):
    """Reads feature words and gives their beats to a queue that has room for them.

    A word is asked for when the queue has room for all its beats, so nothing between memory and
    queue can be held back. Throughput a beat a cycle. Latency 1 from a place to its read, 2 from
    the cycle in which that is granted to its first beat.

    Parameters
    ----------
    config : DmaConfig
    room : int
        Beats that the queue holds.

    Members
    -------
    place : In(stream of word_layout)
    memory : Out(stream of address)
        ``ready`` grants the read.
    read_data : In
        The word, in the cycle after that.
    valid : Out(1), beat : Out(data_bits)
        For the queue, which is always ready.
    left : In(1)
        A beat has left the queue.
    """

    latency = 2

    def __init__(self, config: DmaConfig, room: int) -> None:
        self.config = config
        self.room = room
        self.bits = config.bits_of(Region.FEATURES)
        super().__init__(
            {
                "place": In(stream.Signature(word_layout())),
                "memory": Out(stream.Signature(ADDRESS)),
                "read_data": In(self.bits),
                "valid": Out(1),
                "beat": Out(config.axi.data_bits),
                "left": In(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        width, beats = self.config.axi.data_bits, self.config.beats(self.bits)
        # Whether a read is granted is known late: it does not hold back places.
        m.submodules.asked = asked = Elastic(ADDRESS)
        free = Signal(range(self.room + 1), init=self.room)
        enough = Signal()
        taken, granted = Signal(), Signal()
        # A cycle late: a word of one beat may have been taken meanwhile, others wait for it.
        m.d.sync += enough.eq((free >= 2) if beats == 1 else (free >= beats) & ~taken)
        # Words come at least as many cycles apart as they have beats.
        wait, now = Signal(range(beats)), Signal(init=1)
        m.d.comb += [
            asked.i.valid.eq(self.place.valid & enough),
            asked.i.payload.eq(self.place.p.address),
            self.place.ready.eq(asked.i.ready & enough),
            taken.eq(self.place.valid & self.place.ready),
            self.memory.valid.eq(asked.o.valid & now),
            self.memory.payload.eq(asked.o.payload),
            asked.o.ready.eq(self.memory.ready & now),
            granted.eq(self.memory.valid & self.memory.ready),
        ]
        with m.If(taken):
            m.d.sync += free.eq(free - beats + self.left)
        with m.Else():
            m.d.sync += free.eq(free + self.left)
        with m.If(granted):
            m.d.sync += [wait.eq(beats - 1), now.eq(beats == 1)]
        with m.Elif(wait != 0):
            m.d.sync += [wait.eq(wait - 1), now.eq(wait == 1)]

        # The word's first beat goes on at once, the others one by one behind it.
        arrives, more = Signal(), Signal(range(beats + 1))
        word = Signal(beats * width, reset_less=True)
        m.d.sync += arrives.eq(granted)
        with m.If(arrives):
            m.d.sync += [word.eq(self.read_data), more.eq(beats)]
        with m.Elif(more != 0):
            m.d.sync += [word.eq(word >> width), more.eq(more - 1)]
        m.d.comb += [self.valid.eq(more != 0), self.beat.eq(word[:width])]
        return m
