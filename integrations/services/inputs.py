"""What the doors accept: one model for each request body, shared by API, console, commands and Python callers.

Bodies are the seed's examples in snake_case. A number is Hospient's own id, a text is the vendor's. Money is decimal, in major units.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel, to_snake

from integrations import values
from integrations.decoding import unstorable
from integrations.exceptions import InvalidInput, RecordRejected
from integrations.security.kept import keepable

ZERO = Decimal(0)


def _by(read: Callable[[Any, str], Any]) -> BeforeValidator:
    """Let one of our readers judge a value, before anything is computed with it."""

    def judged(value: Any, info: ValidationInfo) -> Any:
        try:
            return read(value, "")
        except RecordRejected as refusal:
            raise ValueError(refusal.message.removeprefix(": ")) from None

    return BeforeValidator(judged)


Number = Annotated[Decimal, _by(values.number)]
Whole = Annotated[int, _by(values.whole)]
Money = Annotated[Decimal, _by(values.amount), Field(max_digits=16, decimal_places=4)]
NotNegative = Annotated[Money, Field(ge=0)]
Moment = Annotated[datetime, _by(values.moment)]
"""A time without a zone is read as UTC."""
Day = Annotated[date, _by(values.plain_day)]
Reference = Annotated[int, Field(strict=True, ge=1, le=2**63 - 1)] | Annotated[str, Field(min_length=1, max_length=192)]
"""A number is Hospient's own id, a text the vendor's."""
_reference: TypeAdapter[int | str] = TypeAdapter(Reference)
Id = Annotated[Whole, Field(ge=1, le=2**63 - 1)]
"""Hospient's own."""
RoomNumber = Annotated[str, Field(max_length=32, description="Room number, as text: 0101 and 101 are different rooms.")]
Text = Annotated[str, Field(max_length=2000)]


def in_our_spelling(data: Mapping[str, Any], fields: Collection[str]) -> dict[str, Any]:
    """Return a body with the names of our fields spelt as ours: `roomNumber` is `room_number`. What is no field of ours stays as it is.
    Raises InvalidInput where one was given in both spellings."""
    spelt: dict[str, Any] = {}
    for name, value in data.items():
        ours = to_snake(name) if isinstance(name, str) else name
        chosen = ours if ours in fields and name not in fields else name
        if chosen in spelt:
            raise InvalidInput({chosen: f"It is given twice, also as {to_camel(chosen)}. Send it once."})
        spelt[chosen] = value
    return spelt


class Input(BaseModel):
    """Base of the bodies. Names are taken in snake_case and in camelCase, and errors speak of them in snake_case."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, coerce_numbers_to_str=False)

    @model_validator(mode="before")
    @classmethod
    def names_as_ours(cls, data: Any) -> Any:
        return in_our_spelling(data, cls.model_fields) if isinstance(data, Mapping) else data

    @field_validator("*", mode="before")
    @classmethod
    def without_what_is_not_kept(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, str):
            return value
        if what := unstorable(value):
            raise ValueError(f"The text has {what}. Remove it.")
        return keepable(value, info.field_name or "")


I = TypeVar("I", bound=Input)  # noqa: E741

SENTENCES = {
    "missing": "This field is required.",
    "extra_forbidden": "There is no such field. Check its spelling.",
}


def field_errors(error: ValidationError, prefix: str = "") -> dict[str, str]:
    """Turn pydantic's report into field path -> sentence; a field that failed in several ways names the first."""
    found: dict[str, str] = {}
    for problem in error.errors(include_url=False, include_input=False):
        parts = [str(part) for part in problem["loc"]]
        several = problem.get("ctx", {}).get("error")
        if isinstance(several, InvalidInput):  # a model that looked at several fields together
            found |= {".".join([*parts, path]): sentence for path, sentence in several.errors.items()}
            continue
        message = SENTENCES.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")
        if parts and parts[-1] in ("int", "constrained-int", "constrained-str"):  # one arm of a Reference
            parts, message = parts[:-1], "Give a number (the id at Hospient) or a text (the id at the vendor)."
        found.setdefault(".".join([prefix, *parts] if prefix else parts) or "body", message if message.endswith(".") else f"{message}.")
    return found


def read(model: type[I], data: Any) -> I:
    """Read a request body. Raises InvalidInput naming every field that is wrong."""
    if isinstance(data, model):
        return data
    if not isinstance(data, Mapping):
        raise InvalidInput({"body": "Send a JSON object."})
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        raise InvalidInput(field_errors(error)) from None


def read_reference(value: Any, name: str) -> int | str:
    """Read whom or what a call is about. Raises InvalidInput."""
    try:
        return values.text(_reference.validate_python(value), name) if isinstance(value, str) else _reference.validate_python(value)
    except ValidationError as error:
        raise InvalidInput(field_errors(error, name)) from None
    except RecordRejected as refusal:
        raise InvalidInput({name: refusal.message.removeprefix(f"{name}: ")}) from None


def check_payable(amounts: Mapping[str, Decimal | None], currency: str) -> None:
    """Refuse amounts with more digits than their currency, which no guest could pay. Raises InvalidInput."""
    digits = values.minor_digits(currency)
    errors = {
        name: f"{currency} has {f'{digits} decimals' if digits else 'no decimals'}: {amount} cannot be paid, {round(amount, digits)} could."
        for name, amount in amounts.items()
        if amount is not None and not values.is_payable(amount, currency)
    }
    if errors:
        raise InvalidInput(errors)


# --- sync ----------------------------------------------------------------------------------------------------------------------


class SyncInput(Input):
    sync_type: str = Field(description="The stream to sync: menus, reservations, guest_data ...", max_length=40)
    start_date: Day | None = None
    end_date: Day | None = None
    full: bool = Field(False, description="Read everything again and compare, instead of only what changed.")
    confirm_deletions: bool = Field(
        False,
        description="Somebody has looked: archive whatever is gone at the vendor, however much that is. A run that ended with "
        "`deletions_need_confirmation` asks for this. Reads everything, as `full` does.",
    )


# --- point of sale -------------------------------------------------------------------------------------------------------------


def sum_of(
    subtotal: Decimal, discount: Decimal = ZERO, service_charge: Decimal = ZERO, tax: Decimal = ZERO, *, tax_included: bool = False
) -> Decimal:
    """Return what the parts of a check come to: its total."""
    return subtotal - discount + service_charge + (ZERO if tax_included else tax)


class CheckItemInput(Input):
    menu_id: Id | None = Field(None, description="The menu item's id at Hospient; leave it out for something that is not on the menu.")
    variation_id: Id | None = Field(None, description="Which variation; needed only if the item has several.")
    name: str = Field("", max_length=512, description="Needed if there is no menu_id.")
    quantity: Annotated[Number, Field(gt=0, le=10_000, max_digits=12, decimal_places=3)]
    unit_price: Money
    total_price: Money
    tax: Money | None = Field(
        None, description="What of the check's tax is this line's. Give it for every line that is taxed, or for none."
    )
    note: Text = ""


class GuestCheckInput(Input):
    """A check as the till knows it: subtotal (of the items) - discount + service_charge + tax = total, without the tax where prices include
    it. The tip comes on top of the total."""

    guest_id: Reference | None = None
    room_number: RoomNumber = ""
    reservation_id: Reference | None = None
    items: Annotated[list[CheckItemInput], Field(min_length=1, max_length=500)]
    subtotal: Money
    discount: NotNegative = Field(
        ZERO, description="Taken off the subtotal. What is taken off under a name of its own can be an item with a negative price instead."
    )
    service_charge: NotNegative = Field(ZERO, description="What the house adds for service.")
    tax: Money = ZERO
    tax_included: bool = Field(False, description="The prices include the tax: it is part of the total already, not added to it.")
    total: Money
    tip: NotNegative = Field(ZERO, description="What the guest gives on top of the total; not taxed.")
    currency: str = Field("", pattern=r"^([A-Z]{3})?$", description="ISO 4217; the hotel's currency if left out.")
    payment_method: str = Field("", max_length=32)
    payment_status: Literal["pending", "paid"] = "pending"

    @model_validator(mode="after")
    def names_its_items(self) -> "GuestCheckInput":
        sentence = "Name a menu item (menu_id), or give a name for something that is not on the menu."
        if nameless := [number for number, item in enumerate(self.items) if item.menu_id is None and not item.name]:
            raise InvalidInput({f"items.{number}.menu_id": sentence for number in nameless})
        return self

    def check_sums(self, currency: str) -> None:
        """Refuse what cannot be paid in this currency, or does not add up. Raises InvalidInput."""
        names = ("subtotal", "discount", "service_charge", "tax", "total", "tip")
        by_line = {
            f"items.{number}.{name}": getattr(item, name) for number, item in enumerate(self.items) for name in ("total_price", "tax")
        }
        check_payable({name: getattr(self, name) for name in names} | by_line, currency)
        errors: dict[str, str] = {}
        unit = values.smallest(currency)  # sums may differ by this much: tills round each line
        for number, item in enumerate(self.items):
            expected = item.quantity * item.unit_price
            if abs(expected - item.total_price) > unit:
                errors[f"items.{number}.total_price"] = f"{item.quantity} × {item.unit_price} is {expected:f}, not {item.total_price}."
        lines = sum((item.total_price for item in self.items), ZERO)
        if abs(lines - self.subtotal) > unit:
            errors["subtotal"] = f"The items add up to {lines}, not {self.subtotal}."
        due = sum_of(self.subtotal, self.discount, self.service_charge, self.tax, tax_included=self.tax_included)
        if abs(due - self.total) > unit:
            parts = ["subtotal", *(name for name in ("discount", "service_charge") if getattr(self, name))]
            parts += [] if self.tax_included else ["tax"]
            words = f"{', '.join(parts[:-1])} and {parts[-1]} add" if len(parts) > 1 else "subtotal adds"
            errors["total"] = f"{words.replace('_', ' ').capitalize()} up to {due}, not {self.total}."
        errors |= self._tax_errors(unit)
        if errors:
            raise InvalidInput(errors)

    def _tax_errors(self, unit: Decimal) -> dict[str, str]:
        if self.tax_included and self.tax and abs(self.tax) >= abs(self.total):
            return {"tax": f"A tax that the prices include is less than the total of {self.total}; this is {self.tax}."}
        told = [item.tax for item in self.items if item.tax is not None]
        of_lines = sum(told, ZERO)
        # What a service charge is taxed with is no line's.
        if told and (abs(of_lines - self.tax) > unit if not self.service_charge else of_lines - self.tax > unit):
            return {"tax": f"The taxes of the items add up to {of_lines}, not {self.tax}."}
        return {}


class VoidInput(Input):
    reason: str = Field("", max_length=255)


# --- property management -------------------------------------------------------------------------------------------------------


class CheckInInput(Input):
    reservation_id: Reference
    guest_id: Reference | None = None
    room_number: RoomNumber = ""
    check_in_time: Moment | None = None
    check_in_by: str = Field("", max_length=120)
    special_requests: Text = ""
    payment_method: str = Field("", max_length=32)
    deposit_amount: NotNegative | None = None


class CheckOutInput(Input):
    reservation_id: Reference
    guest_id: Reference | None = None
    room_number: RoomNumber = ""
    check_out_time: Moment | None = None
    final_bill_amount: Money | None = None
    payment_status: str = Field("", max_length=32)
    feedback_rating: Annotated[Whole, Field(ge=1, le=5)] | None = None
    feedback_comments: Text = ""
    dry_run: bool = Field(False, description="Ask the vendor whether the guest could check out, and change nothing.")


class GuestChangesInput(Input):
    given_name: Annotated[str, Field(max_length=120)] | None = None
    family_name: Annotated[str, Field(max_length=120, min_length=1)] | None = None
    email: Annotated[str, Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")] | None = None
    phone: Annotated[str, Field(max_length=64)] | None = None
    language: Annotated[str, Field(max_length=16)] | None = None

    @model_validator(mode="after")
    def something_changes(self) -> "GuestChangesInput":
        if not self.model_fields_set:
            raise InvalidInput({"body": f"Nothing to change. Fields that can be: {', '.join(type(self).model_fields)}."})
        return self


class GuestEditInput(GuestChangesInput):
    """What hotel staff may change of a guest: what vendors can be told, and what is the hotel's alone."""

    is_vip: bool = False


class SplitInput(Input):
    reference_id: Id = Field(description="Which of the guest's `references` becomes a guest of its own.")


class VerdictInput(Input):
    verdict: Literal["same", "different", "later"] = Field(
        description="same: join the two, the older guest holds the person. different: two people; nobody is asked again. later: keep it."
    )


class RetryRejectedInput(Input):
    ids: Annotated[list[Id], Field(max_length=200)] | None = Field(None, description="Which rejected records; all that wait if left out.")
    stream: str = Field("", max_length=40, description="Only those of this stream.")


class ChargeInput(Input):
    room_number: RoomNumber = ""
    reservation_id: Reference | None = None
    amount: Money
    currency: str = Field("", pattern=r"^([A-Z]{3})?$")
    guest_name: str = Field(
        "", max_length=255, description="As signed on the bill: decides between guests who share the room, and has to fit whoever is there."
    )
    category: str = Field("", max_length=64, description="Food, beverage, spa ...: mapped to the PMS's transaction code.")
    description: str = Field("", max_length=255)
    quantity: Annotated[Whole, Field(ge=1, le=1000)] = 1
    check_number: str = Field("", max_length=64)

    @model_validator(mode="after")
    def says_where(self) -> "ChargeInput":
        if not self.room_number and self.reservation_id is None:
            raise InvalidInput({"room_number": "Give a room_number or a reservation_id to charge."})
        return self


class RequestInput(Input):
    room_number: RoomNumber = ""
    reservation_id: Reference | None = None
    guest_id: Reference | None = None
    category: str = Field("", max_length=64)
    message: Annotated[str, Field(min_length=1, max_length=2000)]
    priority: Literal["low", "normal", "high", "urgent"] = "normal"


# --- guest management ----------------------------------------------------------------------------------------------------------


class GuestMessageInput(Input):
    guest_id: Reference | None = None
    hotel_id: Id | None = Field(None, description="May be left out: the integration knows its hotel.")
    room_number: RoomNumber = ""


class FeedbackInput(GuestMessageInput):
    rating: Annotated[Whole, Field(ge=1, le=5)]
    category: str = Field("", max_length=64)
    title: str = Field("", max_length=255)
    message: Text = ""
    is_anonymous: bool = False
    submitted_at: Moment | None = None


class ChatMessageInput(GuestMessageInput):
    message: Annotated[str, Field(min_length=1, max_length=2000)]
    message_type: str = Field("text", max_length=32)
    sender_type: Literal["guest", "staff", "system"] = "guest"
    sender_id: Reference | None = None
    sender_name: str = Field("", max_length=255)
    sent_at: Moment | None = None


class NotificationInput(GuestMessageInput):
    title: str = Field("", max_length=255)
    message: Annotated[str, Field(min_length=1, max_length=2000)]
    category: str = Field("", max_length=64)
    priority: Literal["low", "normal", "high", "urgent"] = "normal"
    notification_type: str = Field("push", max_length=32)


class NotificationStatusInput(Input):
    status: Literal["pending", "sent", "delivered", "read", "failed"]


class MessageFilter(Input):
    """What the lists of feedback, chat and notifications are asked with."""

    guest_id: Reference | None = None
    since: Moment | None = None
    limit: Annotated[Whole, Field(ge=1, le=200)] = 50
