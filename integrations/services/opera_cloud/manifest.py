"""What OPERA Cloud is, as reached through Oracle's gateway OHIP: facts, no behaviour.

Facts come from Oracle's published specifications of release 25.5 and its OHIP guides, read 2026-11. What a hotel's own set-up
decides, and what Oracle leaves open, is a config field.
"""

from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator

from integrations.records import Guest, Reservation, Room
from integrations.services.manifest import DeletesBy, Idempotency, Kind, Manifest, Operation, ProviderFields, RateBudget, Stream, Webhooks
from integrations.services.opera_cloud.webhooks import EVENTS, parse

Module = Literal["rsv", "fof", "hsk", "crm", "csh"]


class Credentials(ProviderFields):
    """Only what the first example of a set-up has is required here; what a call needs beyond it is asked for at the call."""

    hotel_code: str = Field(
        title="Hotel code",
        description="The property's code in OPERA, such as SAND01. It must belong to the same environment as the keys.",
        pattern=r"^[A-Za-z0-9_-]{1,20}$",
        validation_alias=AliasChoices("hotelCode"),
    )
    app_key: SecretStr = Field(
        title="Application key",
        description="Of your application in the OHIP developer portal, in the form 8-4-4-4-12 in lower case. Production has another than the sandbox.",
        validation_alias=AliasChoices("apiKey", "appKey"),
    )
    sign_in: Literal["client_credentials", "password"] = Field(
        "client_credentials",
        title="Sign-in",
        description="The portal's environment page says which: “OCIM” is client credentials, “SSD” is an integration user's password.",
    )
    client_id: str = Field(
        "", title="Client ID", description="Of the environment, from the portal.", validation_alias=AliasChoices("clientId")
    )
    client_secret: SecretStr = Field(
        SecretStr(""),
        title="Client secret",
        description="Of the environment, from the portal.",
        validation_alias=AliasChoices("clientSecret"),
    )
    enterprise_id: str = Field(
        "",
        title="Enterprise ID",
        description="Client credentials only: up to 8 capital letters and digits.",
        pattern=r"^([A-Z0-9]{1,8})?$",
        validation_alias=AliasChoices("enterpriseId"),
    )
    scope: str = Field(
        "urn:opc:hgbu:ws:__myscopes__",
        title="Scope",
        description="Client credentials only. Leave it as it is unless the portal shows another.",
    )
    username: str = Field("", title="Integration user", description="Password sign-in only.")
    password: SecretStr = Field(SecretStr(""), title="Integration user's password", description="Password sign-in only.")


class Config(ProviderFields):
    base_url: str = Field(
        title="Gateway address",
        description="Every environment has its own: the portal shows it as “Gateway URL”.",
        pattern=r"^https?://",
        validation_alias=AliasChoices("baseUrl"),
    )
    external_system: str = Field(
        "",
        title="External system code",
        description="As created in OPERA for this interface. It keeps our own changes from coming back as events, and events are fetched with it.",
        max_length=40,
    )
    cashier_id: int | None = Field(
        None, title="Cashier ID", description="The OPERA cashier of the integration user. Charges and check-outs are made under it."
    )
    transaction_codes: dict[str, str] = Field(
        {},
        title="Transaction codes",
        description="Which OPERA transaction code a charge of a category is posted to: food → 2000, spa → 4100.",
    )
    default_transaction_code: str = Field(
        "", title="Default transaction code", description="For charges of any other category; without it they are refused."
    )
    room_status_after_check_out: str = Field(
        "Dirty", title="Room status after check-out", description="Dirty, Pickup, Inspected or Clean.", max_length=40
    )
    request_codes: dict[str, str] = Field(
        {}, title="Service request codes", description="Which OPERA service request code a request of a category gets: towels → HKT."
    )
    request_priorities: dict[str, str] = Field(
        {},
        title="Service request priorities",
        description="OPERA's code for low, normal, high and urgent. Those without one are named in the text.",
    )
    feedback_target: Literal["service_request", "profile_comment"] = Field(
        "service_request", title="Feedback given at check-out", description="OPERA has no place for feedback; choose where it is written."
    )
    comment_type: str = Field(
        "",
        title="Profile comment type",
        description="OPERA's code of the note type for feedback; its default if left empty.",
        max_length=20,
    )
    email_type: str = Field(
        "EMAIL", title="E-mail type", description="OPERA's code for an address that is added to a profile.", max_length=20
    )
    phone_type: str = Field(
        "MOBILE", title="Phone type", description="OPERA's code for a number that is added to a profile.", max_length=20
    )
    days_back: int = Field(7, title="Days back", description="Reservations are read from this many days before today ...", ge=0, le=365)
    days_ahead: int = Field(
        60, title="Days ahead", description="... to this many days after it. Guests in house are always read.", ge=0, le=730
    )
    page_size: int = Field(100, title="Page size", description="Rows asked for at once.", ge=1, le=200)  # getProfiles refuses more than 200
    modules: tuple[Module, ...] = Field(
        ("rsv", "fof", "hsk", "crm", "csh"),
        title="Modules",
        description="What your application is subscribed to, tried by the connection test: reservations, front desk, housekeeping, profiles, cashiering.",
    )

    @field_validator("transaction_codes", "request_codes", "request_priorities")
    @classmethod
    def without_case(cls, value: dict[str, str]) -> dict[str, str]:
        return {category.casefold(): code for category, code in value.items()}

    @field_validator("base_url")
    @classmethod
    def without_slash(cls, value: str) -> str:
        return value.rstrip("/")


SETTLE = {"idempotency": Idempotency.LOOKUP, "settle_seconds": 10}
"""OHIP has no idempotency key anywhere (release 25.5): after an unknown outcome we read before we send again."""

ROOM = {"room_number": 20}
PERSON = {"given_name": 40, "family_name": 40, "phone": 40}
"""Characters OPERA takes (crm personNameType, telephoneType; roomId everywhere; release 25.5)."""
BY_RESERVATION = "OPERA knows the guest by the reservation."
NOT_AT_CHECK_IN = {
    "guest_id": BY_RESERVATION,
    "check_in_time": "OPERA notes the time itself.",
    "check_in_by": "OPERA notes the user that Hospient signs in as.",
    "special_requests": "OPERA's check-in takes no special requests: send them as a service request.",
    "payment_method": "OPERA keeps the one of the reservation: change it there.",
    "deposit_amount": "The deposit was not posted: take it in OPERA.",
}
NOT_AT_CHECK_OUT = {
    "guest_id": BY_RESERVATION,
    "check_out_time": "OPERA notes the time itself.",
    "final_bill_amount": "OPERA has the bill: it goes by its own folio, which must be settled.",
    "payment_status": "OPERA goes by its own folio, which must be settled.",
}
"""What checkIns (fof) and checkOuts (csh) have no member for (release 25.5)."""
REQUEST = 1850
"""Of the 2,000 of a service request's comment, what is left beside category, priority and our reference."""

manifest = Manifest(
    slug="opera_cloud",
    name="Oracle OPERA Cloud",
    kinds=(Kind.PMS,),
    answers_to=("opera", "opera pms", "opera cloud", "opera cloud pms", "oracle opera", "oracle opera cloud", "ohip"),
    docs_url="https://docs.oracle.com/en/industries/hospitality/integration-platform/ohipu/",
    environments={"production": "", "sandbox": ""},
    credentials=Credentials,
    config=Config,
    # "50 requests per second per gateway", shared by every consumer of that gateway; beyond it calls are delayed, far beyond it refused.
    rate=RateBudget(requests=40, shared_by="gateway"),
    streams=(
        # No filter for what changed exists: a window of arrivals is read again, and nothing is ever deleted, only cancelled.
        Stream(
            name="reservations",
            label="Reservations and their guests",
            records=(Guest, Reservation),
            incremental=False,
            by_date=True,
            by_id=True,
            ids_of=(Reservation,),
            windowed=True,
            deletes_by=DeletesBy.NONE,
        ),
        Stream(name="rooms", label="Rooms: housekeeping and occupancy", records=(Room,), incremental=False, by_id=True),
        # "It returns maximum 1000 matching records" (getProfiles): a listing is never known to be complete.
        Stream(name="guests", label="Guest profiles", records=(Guest,), by_id=True, deletes_by=DeletesBy.NONE),
    ),
    operations=(
        Operation(name="post_check_in", label="Check a guest in", limits=ROOM, drops=NOT_AT_CHECK_IN, **SETTLE),
        Operation(
            name="post_check_out",
            label="Check a guest out",
            limits={**ROOM, "feedback_comments": REQUEST},
            drops=NOT_AT_CHECK_OUT,
            **SETTLE,
        ),
        Operation(name="get_room_status", label="Read room status", writes=False),
        Operation(name="get_guest_info", label="Read a guest", writes=False),
        # Sets fields of children named by their ids, after reading them: sending it twice has one effect.
        Operation(name="update_guest_info", label="Change a guest", limits=PERSON),
        Operation(name="post_charge", label="Charge a room", pins=True, limits=ROOM, **SETTLE),
        Operation(name="send_request", label="Send a service request", pins=True, limits={**ROOM, "message": REQUEST}, **SETTLE),
    ),
    # OPERA does not call us: `poll` fetches its business events, and nobody can deliver one from outside.
    webhooks=Webhooks(
        verifier="polling",
        events={theirs: ours for theirs, (ours, _) in EVENTS.items()},
        parse=parse,
        # "Max 300 calls/min per gateway", all hotels of it together, in any minute.
        pace=RateBudget(requests=4, shared_by="gateway"),
    ),
)
