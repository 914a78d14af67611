"""An external memory at an AXI4 port, for Amaranth's simulator, that checks what it is asked."""

import random
from collections import deque

__all__ = ["AxiMemory"]

CHANNELS = {
    "ar": ("arid", "araddr", "arlen", "arsize", "arburst", "arcache", "arprot"),
    "aw": ("awid", "awaddr", "awlen", "awsize", "awburst", "awcache", "awprot"),
    "w": ("wdata", "wstrb", "wlast"),
}
OFFERED = {
    "r": ("rvalid", "rdata", "rresp", "rlast"),
    "b": ("bvalid", "bresp"),
}


class AxiMemory:
    """Answers an AXI4 master in order.

    Asserts what a master owes: what it offers stays until it is taken, bursts are of type INCR, of
    whole beats, no longer than agreed and inside 4096 bytes, data end with WLAST where their burst
    does, and no more bursts are outstanding than agreed.

    Parameters
    ----------
    axi : interface of Axi
    config : AxiConfig
    beats : dict of beat address to value
        Its contents; what is not there reads as 0.
    latency : int
        Cycles from an address to its first beat, or from address and last beat to the response.
    stall : float
        Share of cycles in which a channel holds still.
    errors : dict of beat address to response
        A burst with such a beat gets the response: reads with that beat, writes at their end.
    order : str
        "any", "address" where data are taken behind their address only, or "data" where an
        address is taken when its data have begun.
    """

    def __init__(
        self, axi, config, beats, latency=4, stall=0.0, seed=0, errors=None, order="any"
    ) -> None:
        self.axi, self.config, self.beats = axi, config, beats
        self.latency, self.stall, self.errors, self.order = latency, stall, errors or {}, order
        self.random = random.Random(seed)
        self.reads: deque = deque()  # [cycle, address, beats left, response so far]
        self.writes: deque = deque()  # addresses whose data are still to come
        self.data: deque = deque()  # beats without their address
        self.responses: deque = deque()
        self.bursts: list = []  # ("ar" or "aw", beat address, beats)
        self.read_cycles: list = []
        self.write_cycles: list = []
        self.waiting: dict = {}
        self.cycle = 0
        self.stopped = False

    @property
    def quiet(self) -> bool:
        """Whether nothing is asked for that has not been answered."""
        return not (self.reads or self.writes or self.data or self.responses)

    async def run(self, ctx) -> None:
        """Answer until ``stopped``."""
        axi = self.axi
        fields = [name for names in CHANNELS.values() for name in names]
        signals = ["arvalid", "awvalid", "wvalid", "rready", "bready", *fields]
        offered = {"r": None, "b": None}
        shown: dict = {}

        def show(name: str, value: int) -> None:
            if shown.get(name) != value:
                shown[name] = value
                ctx.set(getattr(axi, name), value)

        while not self.stopped:
            ready = {name: self.random.random() >= self.stall for name in ("ar", "aw", "w")}
            if self.order == "address":
                ready["w"] &= bool(self.writes)
            if self.order == "data":
                ready["aw"] &= len(self.data) > 0
            for name, value in ready.items():
                show(f"{name}ready", int(value))
            for name, source in (("r", self.next_read), ("b", self.next_response)):
                if offered[name] is None and self.random.random() >= self.stall:
                    offered[name] = source()
                values = offered[name] or (0,) * len(OFFERED[name])
                for member, value in zip(OFFERED[name], values):
                    show(member, value)
            _, _, *sampled = await ctx.tick().sample(*(getattr(axi, name) for name in signals))
            seen = dict(zip(signals, sampled))
            self.keeps(seen, ready)
            if seen["arvalid"] and ready["ar"]:
                self.take_address("ar", seen)
            if seen["awvalid"] and ready["aw"]:
                self.take_address("aw", seen)
            if seen["wvalid"] and ready["w"]:
                self.take_data(seen)
            if offered["r"] is not None and seen["rready"]:
                self.end_beat()
                offered["r"] = None
            if offered["b"] is not None and seen["bready"]:
                self.responses.popleft()
                offered["b"] = None
            self.cycle += 1

    def keeps(self, seen, ready) -> None:
        """What was offered and not taken is offered again, unchanged."""
        for name, fields in CHANNELS.items():
            values = tuple(seen[field] for field in fields)
            if name in self.waiting:
                assert seen[f"{name}valid"], f"{name}valid was withdrawn"
                assert values == self.waiting[name], f"{name} changed while it waited"
            self.waiting.pop(name, None)
            if seen[f"{name}valid"] and not ready[name]:
                self.waiting[name] = values

    def take_address(self, name: str, seen) -> None:
        config = self.config
        address, beats = seen[f"{name}addr"], seen[f"{name}len"] + 1
        assert seen[f"{name}size"] == config.beat_shift and seen[f"{name}burst"] == 1
        assert seen[f"{name}id"] == seen[f"{name}prot"] == 0 and seen[f"{name}cache"] == 3
        assert beats <= config.burst
        assert address % config.beat_bytes == 0
        last = address + beats * config.beat_bytes - 1
        assert address // 4096 == last // 4096, "a burst crosses 4096 bytes"
        first = address // config.beat_bytes
        self.bursts.append((name, first, beats))
        if name == "ar":
            self.reads.append([self.cycle + self.latency, first, beats])
            assert len(self.reads) <= config.outstanding
        else:
            self.writes.append([first, beats])
            assert len(self.writes) + len(self.responses) <= config.outstanding
            self.match()

    def take_data(self, seen) -> None:
        self.write_cycles.append(self.cycle)
        self.data.append((seen["wdata"], seen["wstrb"], seen["wlast"]))
        self.match()

    def match(self) -> None:
        """Store the beats whose address is known."""
        while self.writes and len(self.data) >= self.writes[0][1]:
            first, beats = self.writes.popleft()
            response = 0
            for n in range(beats):
                value, strobes, last = self.data.popleft()
                assert last == (n == beats - 1), "WLAST is not with the last beat"
                assert strobes == (1 << self.config.beat_bytes) - 1
                response = max(response, self.errors.get(first + n, 0))
                self.beats[first + n] = value
            self.responses.append((self.cycle + self.latency, response))

    def next_read(self):
        if not self.reads or self.cycle < self.reads[0][0]:
            return None
        _, address, left = self.reads[0]
        response = self.errors.get(address, 0)
        return (1, self.beats.get(address, 0), response, int(left == 1))

    def end_beat(self) -> None:
        self.read_cycles.append(self.cycle)
        read = self.reads[0]
        read[1] += 1
        read[2] -= 1
        if not read[2]:
            self.reads.popleft()

    def next_response(self):
        if not self.responses or self.cycle < self.responses[0][0]:
            return None
        return (1, self.responses[0][1])
