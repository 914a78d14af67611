"""Places in a memory over time."""

from dataclasses import dataclass, replace

__all__ = ["Place", "Space"]


@dataclass(frozen=True)
class Place:
    """Words of a memory that are taken from one time until before another.

    Parameters
    ----------
    address, words : int
    begin, end : int
        Times, see :mod:`compiler.tiling.schedule`.
    owner : int, optional
        Who has them; not looked at here.
    """

    address: int
    words: int
    begin: int
    end: int
    owner: int | None = None

    def meets(self, address: int, words: int) -> bool:
        """Whether it shares words with others, at whatever time."""
        return self.address < address + words and address < self.address + self.words


class Space:
    """A memory of ``words`` words whose places are given out for a time."""

    def __init__(self, words: int) -> None:
        self.words = words
        self.places: list[Place] = []
        self.past: list[Place] = []

    def find(self, words: int, begin: int, end: int, top: bool = False) -> int | None:
        """The lowest address at which so many words are free all the time; None without any.

        ``top``: the highest. What comes and what goes, from either end, leave fewer gaps.
        """
        if top:
            address = self.words - words
            # By where they end: one that begins lower may yet reach higher.
            for place in sorted(self.places, key=lambda p: p.address + p.words, reverse=True):
                if place.begin >= end or begin >= place.end:
                    continue
                if address >= place.address + place.words:
                    break
                address = min(address, place.address - words)
            return address if address >= 0 else None
        address = 0
        for place in self.places:  # by address
            if place.begin >= end or begin >= place.end:
                continue
            if address + words <= place.address:
                break
            address = max(address, place.address + place.words)
        return address if address + words <= self.words else None

    def take(self, place: Place) -> Place:
        """Give out a place."""
        self.places.append(place)
        self.places.sort(key=lambda other: (other.address, other.words))
        return place

    def owners_before(self, place: Place) -> set[int]:
        """Who had words of a place before it."""
        return {
            other.owner
            for other in (*self.past, *self.places)
            if other.owner is not None
            and other.end <= place.begin
            and other.meets(place.address, place.words)
        }

    def end(self, time: int) -> None:
        """Places that have owners end by a time, so that others may begin then."""
        self.places = [
            replace(place, end=time)
            if place.owner is not None and place.begin < time < place.end
            else place
            for place in self.places
        ]

    def forget(self, time: int) -> None:
        """Drop places that ended before a time: none is asked for any more before it."""
        self.past = [place for place in self.places if place.end <= time]
        self.places = [place for place in self.places if place.end > time]
