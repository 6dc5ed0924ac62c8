"""What Oracle MICROS Simphony is: facts of its Transaction Services Gen2 (STS Gen2), no behaviour.

Facts come from docs.oracle.com (Simphony, "omsstsg2api" and "stsgg", read 2026-11). What a hotel's own set-up decides, and what
Oracle leaves open, is a config field.
"""

from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator

from integrations.records import GuestCheck, MenuCategory, MenuItem
from integrations.services.manifest import (
    DeletesBy,
    Idempotency,
    Kind,
    Manifest,
    Operation,
    ProviderFields,
    Stream,
    Webhooks,
)
from integrations.services.simphony.webhooks import parse


class Credentials(ProviderFields):
    client_id: str = Field(
        title="Client ID",
        description="From the API account in Reporting and Analytics. Keep a trailing “=”: it is part of it.",
        validation_alias=AliasChoices("clientId"),
    )
    username: str = Field(title="API account name", description="The account's name, of the type “Simphony Transaction Services”.")
    password: SecretStr = Field(title="API account password", description="It expires: Simphony asks for a new one from time to time.")


class Config(ProviderFields):
    base_url: str = Field(
        title="Transaction Services address",
        description="EMC, Enterprise Parameters, Applications: “Transaction Services Generation 2 Services”.",
        pattern=r"^https?://",
        validation_alias=AliasChoices("baseUrl"),
    )
    oidc_url: str = Field(
        title="OpenID Provider address",
        description="From the same page of EMC: “OpenID Provider”.",
        pattern=r"^https?://",
        validation_alias=AliasChoices("oidcUrl"),
    )
    org_short_name: str = Field(title="Organization", description="Its short name.", validation_alias=AliasChoices("orgShortName"))
    loc_ref: str = Field(title="Location", description="The location's reference.", validation_alias=AliasChoices("locRef"))
    rvc_ref: int = Field(title="Revenue center", description="The revenue center's number.", validation_alias=AliasChoices("rvcRef"))
    employee_ref: int = Field(
        title="Employee",
        description="Number of the employee that checks are posted under. Use one of its own: its checks are the ones kept up to date.",
        validation_alias=AliasChoices("checkEmployeeRef"),
    )
    order_type_ref: int = Field(
        1, title="Order type", description="Number of the order type, such as room service.", validation_alias=AliasChoices("orderTypeRef")
    )
    tender_id: int | None = Field(
        None,
        title="Tender for paid checks",
        description="Number of the tender that closes a check the guest has already paid. Without it, only unpaid checks can be posted.",
        validation_alias=AliasChoices("tenderId"),
    )
    service_total_id: int | None = Field(
        None,
        title="Service total for unpaid checks",
        description="Number of the “service total” tender, if the till needs one to send an unpaid check to the kitchen.",
        validation_alias=AliasChoices("serviceTotalId"),
    )
    open_item_id: int | None = Field(
        None,
        title="Open item",
        description="Number of an open-priced menu item, for lines that are not on the menu. Without it, such lines are refused.",
        validation_alias=AliasChoices("openItemId"),
    )
    menu_version: Literal["v2", "v1"] = Field(
        "v2",
        title="Menu interface",
        description="v2 needs STS Gen2 1.6.1 or newer. Choose v1 if the connection test says that the menu was not found.",
        validation_alias=AliasChoices("menuVersion"),
    )
    language: str = Field("en-US", title="Menu language", description="Names in this language are used where the menu has several.")
    currency: str = Field(
        "", title="Currency", description="Simphony does not name it; the hotel's, if left empty.", pattern=r"^([A-Z]{3})?$"
    )

    @field_validator("base_url", "oidc_url")
    @classmethod
    def host_only(cls, value: str) -> str:
        """Take the address as EMC shows it, with or without the version at its end."""
        return value.rstrip("/").removesuffix("/api/v1").removesuffix("/api/v2").removesuffix("/oidc-provider/v1").rstrip("/")


manifest = Manifest(
    slug="simphony",
    name="Oracle MICROS Simphony",
    kinds=(Kind.POS,),
    answers_to=("simphony", "oracle simphony", "micros simphony", "oracle micros simphony", "micros"),
    docs_url="https://docs.oracle.com/en/industries/food-beverage/simphony/omsstsg2api/",
    environments={"production": "", "sandbox": ""},
    credentials=Credentials,
    config=Config,
    streams=(
        Stream(name="menus", label="Menu items", records=(MenuItem,)),
        Stream(name="categories", label="Menu categories (family groups)", records=(MenuCategory,)),
        # Oracle filters checks by creation time only, and cancelled ones just stop being listed.
        Stream(name="checks", label="Posted checks", records=(GuestCheck,), by_id=True, windowed=True, deletes_by=DeletesBy.NONE),
    ),
    operations=(
        # Simphony remembers a request's idempotencyId for 300 seconds and no longer; after that we look for the check by its name.
        # A request may be on its way to the property for 60 seconds before Simphony answers 521.
        # A check has discounts and serviceCharges, each of a kind set up in EMC; Oracle's pages leave open what is in them, and a wrong
        # bill is worse than a refused one. A tip is of a tender (`chargedTipTotal`).
        Operation(
            name="post_guest_check",
            label="Post a guest check",
            idempotency=Idempotency.LOOKUP,
            settle_seconds=90,
            lacks={
                "discount": "Let the till take it off, or post what is left of each line.",
                "service_charge": "Let the till add it, or post it as a line.",
            },
            only_paid=("tip",),
            drops={
                "guest_id": "Simphony knows no guests; where the hotel does, the name is printed on the check.",
                "reservation_id": "Simphony's checks know no reservation; the room is printed on the check.",
            },
        ),
        Operation(name="get_check_status", label="Read a check", writes=False),
        Operation(
            name="void_check",
            label="Cancel a check",
            idempotency=Idempotency.LOOKUP,
            settle_seconds=90,
            drops={"reason": "Simphony takes no reason for a void: it is kept at the hotel's check, where the hotel has one."},
        ),
    ),
    webhooks=Webhooks(
        verifier="simphony",
        # "The value of digest is Base64 encoded HMACSHA256 hash of the ASCII-encoded request message body. The Base64 decoded
        # subscriber's Key is used as the hash key." (Post Webhook, read 2026-11)
        parameters={"header": "Digest", "key_id_header": "Key-Id", "digest_encoding": "base64", "key_encoding": "base64"},
        events={"CheckNotification": "check_updated", "ConfigurationNotification": "menu_updated"},
        parse=parse,
    ),
    personal=("informationLines",),  # printed on the check: the guest's name among them
)
