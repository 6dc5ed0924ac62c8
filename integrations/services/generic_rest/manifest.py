"""What the generic provider is: any system that speaks plain JSON over HTTP, of any kind, described by the integration's config.

Its shapes are those of Hospient's own API (README.md). It also takes in every vendor that has no provider of its own.
"""

from typing import Literal, Self

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator

from integrations.records import (
    ChatMessage,
    Feedback,
    Guest,
    GuestCheck,
    MenuCategory,
    MenuItem,
    Notification,
    Record,
    Reservation,
    Room,
)
from integrations.services.manifest import DeletesBy, Idempotency, Kind, Manifest, Operation, ProviderFields, Stream

ENDPOINTS = (
    "menus", "categories", "checks",
    "reservations", "rooms", "guests", "checkins", "checkouts", "charges", "requests",
    "feedback", "chat", "notifications",
)  # fmt: skip


class Credentials(ProviderFields):
    """What is given is sent: a key beside a token, or beside a name and a password."""

    api_key: SecretStr | None = Field(
        None, title="API key", description="Sent in the header X-API-Key.", validation_alias=AliasChoices("apiKey")
    )
    access_token: SecretStr | None = Field(
        None,
        title="Access token",
        description="Sent as “Authorization: Bearer …”.",
        validation_alias=AliasChoices("accessToken", "bearerToken", "bearer_token"),
    )
    username: str = Field("", title="User name", description="Sent with the password, if there is no access token (HTTP basic).")
    password: SecretStr | None = Field(None, title="Password", description="Belongs to the user name.")

    @model_validator(mode="after")
    def something_to_prove(self) -> Self:
        if not (self.api_key or self.access_token or (self.username and self.password)):
            raise ValueError("Give an API key, an access token, or a user name with its password.")
        return self


class Paging(ProviderFields):
    """How a system splits a list. Without it, one answer is taken for the whole list."""

    style: Literal["page", "offset", "cursor", "link"]
    """`page` and `offset` count until an empty answer; `cursor` and `link` follow what the answer says."""
    size: int = Field(100, ge=1, le=1000)
    size_parameter: str = "limit"
    parameter: str = ""
    """Where the page, offset or cursor goes; named after the style if empty."""
    next_field: str = "next_cursor"
    """Where the answer says what comes next, with dots for nesting (`meta.next`); for `link` the header Link counts first."""


class Config(ProviderFields):
    base_url: str = Field(
        title="Base address",
        description="What all addresses of the system begin with: https://pos.example.com/api.",
        pattern=r"^https?://",
        validation_alias=AliasChoices("baseUrl"),
    )
    endpoints: dict[str, str] = Field(
        default_factory=dict,
        title="Endpoints",
        description=f"Where to find what, such as menus = /menus. Known names: {', '.join(ENDPOINTS)}.",
    )
    test_endpoint: str = Field(
        "",
        title="Test address",
        description="Read to test the connection, such as /health; the first endpoint, if left empty.",
        validation_alias=AliasChoices("testEndpoint"),
    )
    paging: Paging | None = Field(
        None,
        title="Paging",
        description="How lists are split, if they are: "
        '{"style": "page"}, or offset, cursor, link; beside it size, size_parameter, parameter, next_field.',
    )
    since_parameter: str = Field(
        "",
        title="“Changed since” parameter",
        description="Query parameter that limits a list to what changed since a time, such as updated_since. Without it, lists are read whole.",
        validation_alias=AliasChoices("sinceParameter"),
    )
    idempotency_header: str = Field(
        "",
        title="Idempotency header",
        description="Header by which the system recognises a repeated request, such as Idempotency-Key. If it is named, what got no answer "
        "is sent again by itself; otherwise it waits for a person.",
        pattern=r"^[A-Za-z0-9-]*$",
        validation_alias=AliasChoices("idempotencyHeader"),
    )

    @field_validator("test_endpoint")
    @classmethod
    def path(cls, test_endpoint: str) -> str:
        if "://" in test_endpoint or test_endpoint.startswith("//"):
            raise ValueError("Give only what follows the base address, such as /health.")
        return test_endpoint

    @field_validator("endpoints")
    @classmethod
    def paths(cls, endpoints: dict[str, str]) -> dict[str, str]:
        for name, path in endpoints.items():
            if not path.startswith("/"):
                raise ValueError(f"The address of “{name}” must begin with “/”; it follows the base address.")
        return {name: path.rstrip("/") for name, path in endpoints.items()}


def _stream(name: str, label: str, record: type[Record], kind: Kind, *, listed_whole: bool = False, **more: bool) -> Stream:
    # A list of dishes or rooms is whole; one of guests or bookings may only be the recent ones, so what it lacks is not taken for deleted.
    deletes_by = DeletesBy.FULL_COMPARISON if listed_whole else DeletesBy.NONE
    return Stream(name=name, label=label, records=(record,), kind=kind, deletes_by=deletes_by, **more)


def _write(name: str, label: str, kind: Kind, idempotency: Idempotency = Idempotency.NONE) -> Operation:
    # Whether an unknown system recognises a repeated key cannot be known here; see `Config.idempotency_header`.
    return Operation(name=name, label=label, kind=kind, idempotency=idempotency)


def _read(name: str, label: str, kind: Kind) -> Operation:
    return Operation(name=name, label=label, kind=kind, writes=False)


POS, PMS, GUESTS = Kind.POS, Kind.PMS, Kind.GUEST_MANAGEMENT

manifest = Manifest(
    slug="generic_rest",
    name="Generic REST",
    kinds=(POS, PMS, GUESTS),
    answers_to=("generic", "rest", "rest api", "custom"),
    environments={"production": "", "sandbox": ""},
    credentials=Credentials,
    config=Config,
    streams=(
        _stream("categories", "Menu categories", MenuCategory, POS, listed_whole=True),
        _stream("menus", "Menu items", MenuItem, POS, listed_whole=True),
        _stream("checks", "Guest checks", GuestCheck, POS, by_id=True, scheduled=False),
        _stream("rooms", "Rooms", Room, PMS, listed_whole=True),
        _stream("guests", "Guests", Guest, PMS),
        _stream("reservations", "Reservations", Reservation, PMS, by_date=True),
        _stream("guest_data", "Guests", Guest, GUESTS),
        _stream("feedback", "Feedback", Feedback, GUESTS),
        _stream("chat_messages", "Chat messages", ChatMessage, GUESTS),
        _stream("notifications", "Notifications", Notification, GUESTS),
    ),
    operations=(
        _write("post_guest_check", "Post a guest check", POS),
        _read("get_check_status", "Read a check", POS),
        _write("void_check", "Void a check", POS, Idempotency.NATIVE),
        _write("post_check_in", "Check a guest in", PMS),
        _write("post_check_out", "Check a guest out", PMS),
        _read("get_room_status", "Read the rooms", PMS),
        _read("get_guest_info", "Read a guest", PMS),
        _write("update_guest_info", "Change a guest", PMS, Idempotency.NATIVE),
        _write("post_charge", "Charge to a room", PMS),
        _write("send_request", "Send a guest's request", PMS),
        _write("post_feedback", "Post feedback", GUESTS),
        _read("get_feedback", "Read feedback", GUESTS),
        _write("post_chat_message", "Post a chat message", GUESTS),
        _read("get_chat_messages", "Read chat messages", GUESTS),
        _write("post_notification", "Post a notification", GUESTS),
        _read("get_notifications", "Read notifications", GUESTS),
        _write("update_notification_status", "Change a notification's status", GUESTS, Idempotency.NATIVE),
        _read("get_guest_preferences", "Read a guest's preferences", GUESTS),
    ),
)
