"""What Salesforce is to guest management: facts, no behaviour.

Facts come from developer.salesforce.com (REST API and Field Reference, read 2026-11). What an org's administrator made, and may have
named otherwise, is a config field.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationInfo, field_validator

from integrations.records import ChatMessage, Feedback, Guest, Notification
from integrations.services.manifest import DeletesBy, Kind, Manifest, Operation, ProviderFields, Stream, Webhooks
from integrations.services.salesforce import mapping
from integrations.services.salesforce.webhooks import parse

API_NAME = r"[A-Za-z][A-Za-z0-9_]{0,79}"
"""Names go into queries and addresses as they are, so nothing else may be in one."""


class Credentials(ProviderFields):
    """For one of four ways to sign in; what a way needs is asked for when it is used (`signin.py`)."""

    sign_in: Literal["automatic", "client_credentials", "jwt_bearer", "refresh_token", "access_token"] = Field(
        "automatic",
        title="Sign-in",
        description="Automatic goes by what is filled in: private key, refresh token, consumer secret, access token, in this order.",
    )
    client_id: str = Field(
        "",
        title="Consumer key",
        description="Of the app in Salesforce. Needed unless you paste an access token.",
        validation_alias=AliasChoices("clientId"),
    )
    client_secret: SecretStr = Field(
        SecretStr(""),
        title="Consumer secret",
        description="Of the app. For client credentials.",
        validation_alias=AliasChoices("clientSecret"),
    )
    username: str = Field("", title="Username", description="For JWT bearer: the Salesforce user Hospient works as.")
    private_key: SecretStr = Field(
        SecretStr(""),
        title="Private key",
        description="The key of the certificate uploaded to the app, from -----BEGIN to END-----. For JWT bearer.",
        validation_alias=AliasChoices("privateKey"),
        json_schema_extra={"multiline": True},
    )
    refresh_token: SecretStr = Field(
        SecretStr(""),
        title="Refresh token",
        description="If somebody connected the app in a browser. Needs the consumer key; the secret too, if the app asks for it.",
        validation_alias=AliasChoices("refreshToken"),
    )
    access_token: SecretStr = Field(
        SecretStr(""),
        title="Access token",
        description="For a trial: it ends with its session and cannot be renewed.",
        validation_alias=AliasChoices("accessToken"),
    )
    instance_url: str = Field(
        "",
        title="Instance address",
        description="With an access token: the address it is good for. Otherwise Salesforce tells us when we sign in.",
        pattern=r"^(https?://[^/]+)?/?$",
        validation_alias=AliasChoices("instanceUrl"),
    )


def _fields(title: str, defaults: Mapping[str, str]) -> Any:
    help_text = "Hospient's name = API name in Salesforce. Leave the right side empty for what this org does not have."
    return Field(dict(defaults), title=title, description=help_text, validate_default=True)


def _object(default: str, what: str) -> Any:
    return Field(
        default,
        title=f"Object for {what}",
        description="Its API name in Salesforce; empty if this org keeps none.",
        pattern=f"^({API_NAME})?$",
    )


class Config(ProviderFields):
    base_url: str = Field(
        "",
        title="Salesforce address",
        description="Your My Domain address, https://NAME.my.salesforce.com. Client credentials work there only.",
        pattern=r"^(https?://[^/]+)?/?$",
        validation_alias=AliasChoices("baseUrl"),
    )
    api_version: str = Field(
        "58.0", title="API version", description="58.0 or newer.", pattern=r"^[0-9]{2,3}\.0$", validation_alias=AliasChoices("apiVersion")
    )
    jwt_audience: str = Field(
        "https://login.salesforce.com",
        title="Audience of signed tokens",
        description="For JWT bearer. In a sandbox: https://test.salesforce.com.",
        pattern=r"^https://",
    )
    organization_id: str = Field(
        "",
        title="Organization ID",
        description="Setup, Company Information. If given, outbound messages of any other org are refused.",
        pattern=r"^(00D[A-Za-z0-9]{12}([A-Za-z0-9]{3})?)?$",
    )
    external_id_field: str = Field(
        "Hospient_Id__c",
        title="External ID field",
        description="A text field of all objects but Contact, marked External ID and Unique: it keeps a repeated message from appearing twice.",
        pattern=f"^{API_NAME}$",
    )
    guest_object: str = Field("Contact", title="Object for guests", description="Its API name in Salesforce.", pattern=f"^{API_NAME}$")
    guest_fields: dict[str, str] = _fields("Fields of guests", mapping.GUEST_FIELDS)
    preference_fields: dict[str, str] = _fields("Fields with preferences", mapping.PREFERENCE_FIELDS)
    feedback_object: str = _object("Feedback__c", "feedback")
    feedback_fields: dict[str, str] = _fields("Fields of feedback", mapping.FEEDBACK_FIELDS)
    chat_message_object: str = _object("Chat_Message__c", "chat messages")
    chat_message_fields: dict[str, str] = _fields("Fields of chat messages", mapping.CHAT_MESSAGE_FIELDS)
    notification_object: str = _object("Notification__c", "notifications")
    notification_fields: dict[str, str] = _fields("Fields of notifications", mapping.NOTIFICATION_FIELDS)

    @field_validator("guest_fields", "preference_fields", "feedback_fields", "chat_message_fields", "notification_fields")
    @classmethod
    def complete(cls, given: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        """Complete a field map from its defaults, and drop what the org does not have."""
        name = str(info.field_name)
        defaults = cls.model_fields[name].default
        if name != "preference_fields" and (unknown := [ours for ours in given if ours not in defaults]):
            raise ValueError(f"Hospient has no field “{unknown[0]}” here. It has: {', '.join(defaults)}.")
        whole = {ours: theirs for ours, theirs in {**defaults, **given}.items() if theirs}
        if wrong := [theirs for theirs in whole.values() if not re.fullmatch(API_NAME, theirs)]:
            raise ValueError(f"“{wrong[0]}” is not the API name of a Salesforce field.")
        return whole


def _stream(name: str, label: str, record: type[Guest | Feedback | ChatMessage | Notification]) -> Stream:
    return Stream(name=name, label=label, records=(record,), by_date=True, by_id=True, deletes_by=DeletesBy.LOG)


manifest = Manifest(
    slug="salesforce",
    name="Salesforce",
    kinds=(Kind.GUEST_MANAGEMENT,),
    answers_to=("salesforce", "salesforce crm", "salesforce service cloud"),
    docs_url="https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/",
    # Where to sign in. What we call after that is the instance address of the token answer.
    environments={"production": "https://login.salesforce.com", "sandbox": "https://test.salesforce.com"},
    credentials=Credentials,
    config=Config,
    streams=(
        _stream("guest_data", "Guests (contacts)", Guest),
        _stream("feedback", "Feedback", Feedback),
        _stream("chat_messages", "Chat messages", ChatMessage),
        _stream("notifications", "Notifications and what became of them", Notification),
    ),
    # Creations are upserts on our key, and a status is set, not moved on: sending one twice has one effect.
    operations=(
        Operation(name="post_feedback", label="Post feedback"),
        Operation(name="get_feedback", label="Read feedback", writes=False),
        Operation(
            name="post_chat_message",
            label="Post a chat message",
            drops={"sender_id": "Salesforce's chat messages have no field for it; the guest and the sender's name are sent."},
        ),
        Operation(name="get_chat_messages", label="Read chat messages", writes=False),
        Operation(name="post_notification", label="Post a notification"),
        Operation(name="get_notifications", label="Read notifications", writes=False),
        Operation(name="update_notification_status", label="Change a notification's status"),
        Operation(name="get_guest_preferences", label="Read a guest's preferences", writes=False),
    ),
    webhooks=Webhooks(verifier="salesforce_outbound_message", parameters_from_config={"organization_id": "organization_id"}, parse=parse),
)
