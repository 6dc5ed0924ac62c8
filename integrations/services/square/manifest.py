"""What Square is: facts only. Its contract is Square's OpenAPI of release 2025-08-20; what the provider does with it is in `provider.py`."""

from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, field_validator

from integrations.records import GuestCheck, MenuCategory, MenuItem, MenuTax, ModifierList
from integrations.services.manifest import DeletesBy, Kind, Manifest, Operation, ProviderFields, Stream, Webhooks
from integrations.services.square.webhooks import EVENTS, parse

OWN_NAMES = ("squareup.com", "squareupsandbox.com", "square.com")


class SquareCredentials(ProviderFields):
    access_token: SecretStr = Field(
        title="Access token",
        description="Developer Console, your application, Credentials. The sandbox and production have different ones.",
        validation_alias=AliasChoices("accessToken", "apiKey"),
    )
    location_id: str = Field(
        title="Location ID",
        description="Developer Console, your application, Locations: the restaurant or bar whose menu and checks this is about.",
        validation_alias=AliasChoices("locationId"),
        min_length=1,
        max_length=32,
    )
    application_id: str = Field(
        "",
        title="Application ID",
        description="Only if you connected with OAuth: it renews the access token by itself.",
        validation_alias=AliasChoices("applicationId"),
    )
    application_secret: SecretStr = Field(
        SecretStr(""),
        title="Application secret",
        description="Only with OAuth's code flow; the PKCE flow has none.",
        validation_alias=AliasChoices("applicationSecret"),
    )
    refresh_token: SecretStr = Field(
        SecretStr(""),
        title="Refresh token",
        description="Only with OAuth, together with the application ID.",
        validation_alias=AliasChoices("refreshToken"),
    )


class SquareConfig(ProviderFields):
    square_version: str = Field(
        "2025-08-20",
        title="API version",
        description="Sent with every call, so that Square does not change under us. Leave it unless Square's support asks otherwise.",
        pattern=r"^\d{4}-\d{2}-\d{2}$",
        validation_alias=AliasChoices("squareVersion"),
    )
    base_url: str = Field(
        "",
        title="Other address",
        description="Leave it empty. Square's own address follows from the environment; only a test server has another one.",
        validation_alias=AliasChoices("baseUrl"),
    )

    @field_validator("base_url")
    @classmethod
    def leave_square_to_the_environment(cls, value: str) -> str:
        """Drop Square's own names, in whatever spelling documents give them: the environment knows better."""
        host = urlsplit(value).hostname or ""
        is_square = any(host == name or host.endswith(f".{name}") for name in OWN_NAMES)
        return "" if is_square else value.rstrip("/")


manifest = Manifest(
    slug="square",
    name="Square",
    kinds=(Kind.POS,),
    answers_to=("square", "square pos"),
    docs_url="https://developer.squareup.com/reference/square",
    environments={"production": "https://connect.squareup.com", "sandbox": "https://connect.squareupsandbox.com"},
    credentials=SquareCredentials,
    config=SquareConfig,
    # Square does not publish its limits (developer forum, 2026-03); a 429 tells.
    rate=None,
    streams=(
        # Part of the menus, too: this one is for who wants them alone.
        Stream(name="categories", label="Menu categories", records=(MenuCategory,), deletes_by=DeletesBy.FLAG, scheduled=False),
        Stream(
            name="menus",
            label="Menu items, prices, modifiers and taxes",
            records=(MenuCategory, ModifierList, MenuTax, MenuItem),
            by_id=True,
            deletes_by=DeletesBy.FLAG,
        ),
        Stream(
            name="checks",
            label="Open checks",
            records=(GuestCheck,),
            incremental=False,
            by_id=True,
            windowed=True,
            deletes_by=DeletesBy.NONE,
        ),
    ),
    operations=(
        # A ticket's name has 30 characters, "Room " among them; a line's 512, with its quantity before it where that is a fraction.
        # Money that is not called signed is unsigned (schema Money, 2025-08-20): a line below zero becomes a discount, a total cannot.
        # A tip belongs to a payment (CreatePayment).
        Operation(
            name="post_guest_check",
            label="Post a guest check",
            drops={
                "guest_id": "Square is not told who the guest is, whom its screens would show; the hotel's check has them.",
                "reservation_id": "Square's orders know no reservation; the room is on the ticket.",
            },
            limits={"room_number": 25, "items.*.name": 490},
            unsigned=("items.*.tax", "tax", "total"),
            only_paid=("tip",),
        ),
        Operation(name="get_check_status", label="Read a check's status", writes=False),
        Operation(
            name="void_check",
            label="Void a check",
            drops={"reason": "Square takes no reason for a void: it is kept at the hotel's check, where the hotel has one."},
        ),
    ),
    webhooks=Webhooks(verifier="square", events=EVENTS, parse=parse, subscription=True),
)
