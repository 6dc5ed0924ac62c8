"""Whom a charge or a request concerns, chosen among those the PMS says are in a room. One rule for every PMS; knows none.

Who signs is compared with who is there; nobody is guessed. Guests' names stay out of the refusals: whoever asks has the signature.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from hotels import identity
from integrations.exceptions import RequestRejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """A reservation as the PMS tells it now."""

    reservation_external_id: str
    room_number: str = ""
    arrived_on: date | None = None
    guests: Mapping[str, str] = field(default_factory=dict)
    """Guest's id -> name; whoever made the booking first, then those who came along."""

    def has(self, name: str) -> bool:
        return any(is_called(name, known) for known in self.guests.values())

    def pinned(self) -> dict[str, str]:
        """Return what an operation keeps of it."""
        return {"reservation_external_id": self.reservation_external_id, "guest_external_id": next(iter(self.guests), "")}


def who_pays(stays: Sequence[Stay], room_number: str, guest_name: str, asked_on: date) -> Stay:
    """Return the one stay in a room, or the one of this name among several. Raises RequestRejected.

    Whoever arrived after `asked_on`, the hotel's day on which it was asked for, had nothing to do with it.
    """
    named = [stay for stay in stays if stay.has(guest_name)] if guest_name else stays
    if len(named) == 1:
        if named[0].arrived_on and named[0].arrived_on > asked_on:
            raise RequestRejected(
                f"Whoever is in room {room_number} now arrived on {named[0].arrived_on}, after this was asked for.",
                hint="Name the reservation of the guest who was there before (reservation_id).",
            )
        return named[0]
    if not stays:
        raise RequestRejected(
            f"Nobody is in house in room {room_number}, so there is nobody to charge.",
            hint="Ask the guest for the room again, or name the reservation (reservation_id).",
        )
    if not named:
        raise RequestRejected(
            f"Nobody called as given in guest_name is in house in room {room_number}, so nothing was charged.",
            hint="Compare room and name with the guest: somebody may have moved.",
        )
    ids = " and ".join(stay.reservation_external_id for stay in named)
    raise RequestRejected(
        f"Reservations {ids} share room {room_number}{' and the name' if guest_name else ''}, so it does not say who pays.",
        hint=f"Give {'given and family name' if guest_name else 'the name on the bill'} in guest_name, or the reservation_id.",
    )


def check_name(stay: Stay, guest_name: str) -> None:
    """Refuse a reservation on which nobody has the name that was given with it. Raises RequestRejected."""
    if guest_name and not stay.has(guest_name):
        raise RequestRejected(
            f"Nobody on reservation {stay.reservation_external_id} is called as given in guest_name, so nothing was charged.",
            hint="Compare reservation and name with the guest, or leave one of the two out.",
        )


def is_called(asked: str, name: str) -> bool:
    """Say whether a name as somebody signs it is this one's: its words in any order, whatever their case, accents and initials."""
    signed, known = identity.words(asked), identity.words(name)
    if signed and all(any(_agrees(word, other) for other in known) for word in signed):
        return True
    return len(known) > 1 and known <= signed


def _agrees(word: str, other: str) -> bool:
    return word == other or (len(word) == 1 and other.startswith(word))
