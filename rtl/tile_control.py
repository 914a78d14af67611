"""Handshakes of an engine whose tiles of weights are loaded beside the work."""

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed

from rtl.isa import COUNT

__all__ = ["tile_control"]


def tile_control(
    m: Module,
    engine,
    last: Value,
    ready: Value = Const(1),  # noqa: B008
) -> tuple[Signal, Signal]:
    """Readiness of an engine's ``weights`` and ``activations``.

    A tile of ``last + 1`` weight words serves ``settings.last_vector + 1`` words of activations.
    The next tile is loaded, one word a cycle from the cycle after the swap on, while they are
    taken, so tiles follow each other every ``max(last_vector + 1, last + 2)`` cycles. The first
    activations of a tile are taken in the cycle after its last weight word at the earliest.
    ``start`` forgets what is loaded.

    Parameters
    ----------
    m : Module
    engine : component
        With members ``settings``, ``start``, ``weights`` and ``activations`` as all engines have.
    last : Value
        Number of a tile's last weight word, as wide as the largest.
    ready : Value
        Low while the first activations of a tile have to wait for more than its weights.

    Returns
    -------
    swap : Signal
        The first activations of a tile are taken in this cycle.
    loaded : Signal
        Words of the coming tile that are loaded.
    """
    # A start sets them all, so none needs the reset.
    loaded = Signal(len(last), reset_less=True)
    full = Signal(reset_less=True)
    # Words to come of the tile, less one: negative before the first word of the next.
    remaining = Signal(signed(COUNT.width + 1), init=-1, reset_less=True)
    first = remaining[-1]
    swap = Signal()
    weights, activations = engine.weights, engine.activations
    m.d.comb += [
        weights.ready.eq(~full),
        activations.ready.eq(~first | full & ready),
        swap.eq(activations.valid & first & full & ready),
    ]
    with m.If(weights.valid & ~full):
        # The first count that has all the ones of the last is the last: cheaper than equality.
        m.d.sync += [loaded.eq(loaded + 1), full.eq((loaded | ~last).all())]
    with m.If(activations.valid & activations.ready):
        m.d.sync += remaining.eq(Mux(first, engine.settings.last_vector, remaining) - 1)
    with m.If(swap | engine.start):
        m.d.sync += [loaded.eq(0), full.eq(0)]
    with m.If(engine.start):
        m.d.sync += remaining.eq(-1)
    return swap, loaded
