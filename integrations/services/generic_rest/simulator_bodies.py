"""What the plain REST system takes in a body, and what it lets a list be asked for: the fields of README.md, no others."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

MAX_PAGE = 1000


class RefusalError(Exception):
    """A request that the system does not take."""

    def __init__(self, status: int, code: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.field = status, code, message, field


def _written(value: Any) -> Any:
    """Let a strict model read what JSON has no type for: days and times are texts."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


Text, Words, Id = (
    Annotated[str, Field(max_length=2000)],
    Annotated[str, Field(max_length=255)],
    Annotated[str, Field(min_length=1, max_length=192)],
)
RoomNumber = Annotated[str, Field(max_length=20)]
Amount = Annotated[float, Field(allow_inf_nan=False, ge=-1_000_000, le=1_000_000)]
Positive = Annotated[Amount, Field(ge=0)]
Moment = Annotated[AwareDatetime, BeforeValidator(_written)]
Currency, Priority = Literal["EUR"], Literal["low", "normal", "high", "urgent"]


class Line(Body):
    name: Annotated[str, Field(min_length=1, max_length=512)]
    quantity: Annotated[float, Field(gt=0, le=10_000)]
    unit_price: Amount
    total_price: Amount
    tax: Amount | None = None
    note: Text = ""
    menu_id: Id | None = None
    variation_id: Id | None = None


class About(Body):
    guest_id: Id | None = None
    reservation_id: Id | None = None
    room_number: RoomNumber | None = None
    guest_name: Words = ""
    currency: Currency = "EUR"


class Check(About):
    check_number: Annotated[str, Field(min_length=1, max_length=64)]
    items: Annotated[list[Line], Field(min_length=1, max_length=500)]
    subtotal: Amount
    discount: Positive = 0
    service_charge: Positive = 0
    tax: Amount = 0
    tax_included: bool = False
    total: Amount
    tip: Positive = 0
    payment_method: Words = ""
    payment_status: Literal["pending", "paid"] = "pending"


class CheckIn(About):
    reservation_id: Id
    check_in_time: Moment | None = None
    check_in_by: Words = ""
    special_requests: Text = ""
    payment_method: Words = ""
    deposit_amount: Annotated[Amount, Field(ge=0)] | None = None


class CheckOut(About):
    reservation_id: Id
    check_out_time: Moment | None = None
    final_bill_amount: Amount | None = None
    payment_status: Words = ""
    feedback_rating: Annotated[int, Field(ge=1, le=5)] | None = None
    feedback_comments: Text = ""


class Charge(About):
    amount: Amount
    category: Words = ""
    description: Words = ""
    quantity: Annotated[int, Field(ge=1, le=1000)] = 1
    check_number: Annotated[str, Field(max_length=64)] = ""


class Request(About):
    message: Annotated[Text, Field(min_length=1)]
    category: Words = ""
    priority: Priority = "normal"


class Feedback(About):
    rating: Annotated[int, Field(ge=1, le=5)]
    category: Words = ""
    title: Words = ""
    message: Text = ""
    is_anonymous: bool = False
    submitted_at: Moment | None = None


class ChatMessage(About):
    message: Annotated[Text, Field(min_length=1)]
    message_type: Words = "text"
    sender_type: Literal["guest", "staff", "system"] = "guest"
    sender_id: Id | None = None
    sender_name: Words = ""
    sent_at: Moment | None = None


class Notification(About):
    message: Annotated[Text, Field(min_length=1)]
    title: Words = ""
    category: Words = ""
    priority: Priority = "normal"
    notification_type: Words = "push"
    sent_at: Moment | None = None


class Void(Body):
    reason: Words = ""


class NotificationStatus(Body):
    status: Literal["pending", "sent", "delivered", "read", "failed"]


class GuestChanges(Body):
    given_name: Annotated[str, Field(max_length=120)] | None = None
    family_name: Annotated[str, Field(min_length=1, max_length=120)] | None = None
    email: Annotated[str, Field(max_length=254, pattern=r"^([^@\s]+@[^@\s]+\.[^@\s]+)?$")] | None = None
    phone: Annotated[str, Field(max_length=64)] | None = None
    language: Annotated[str, Field(max_length=16)] | None = None


class Query(BaseModel):
    """Of a list; what is asked for in an address is text."""

    model_config = ConfigDict(extra="forbid")
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = MAX_PAGE
    page: Annotated[int, Field(ge=1)] = 1
    offset: Annotated[int, Field(ge=0)] | None = None
    cursor: Annotated[str, Field(pattern=r"^\d{1,9}$")] | None = None
    updated_since: AwareDatetime | None = None
    since: AwareDatetime | None = None
    guest_id: Id | None = None
    start_date: date = date.min
    end_date: date = date.max


CREATED: Mapping[str, type[Body]] = {
    "checks": Check, "charges": Charge, "requests": Request, "feedback": Feedback, "chat": ChatMessage, "notifications": Notification,
}  # fmt: skip


def read(model: type[BaseModel], given: Any) -> dict[str, Any]:
    """Return what was given, if the model takes it. Raises RefusalError with the first field that is wrong."""
    if not isinstance(given, dict):
        raise RefusalError(422, "invalid", "Send a JSON object.", "body")
    try:
        model.model_validate(given)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in problem["loc"]) or "body"
        raise RefusalError(
            422, "unknown_field" if problem["type"] == "extra_forbidden" else "invalid", f"{field}: {problem['msg']}.", field
        ) from None
    return given
