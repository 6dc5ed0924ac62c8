"""Form fields made from pydantic declarations: a provider's credentials and config, and the bodies of operations.

The declaration gives label, help, choices, limits and whether it is a secret; what the form sends is checked by the same declaration in
the service, so a form can never accept what the API refuses. Used by the forms of the console alone.
"""

import types
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from django import forms
from pydantic import AliasChoices, BaseModel, SecretStr
from pydantic.fields import FieldInfo
from unfold import widgets

LONG_TEXT = 1000
"""Texts that may be longer get several lines."""


class PairsField(forms.CharField):
    """A mapping of words, one `name = value` a line."""

    widget = widgets.UnfoldAdminTextareaWidget(attrs={"rows": 5, "placeholder": "name = value"})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(f"{name} = {word}" for name, word in value.items()) if isinstance(value, Mapping) else value

    def clean(self, value: Any) -> dict[str, str]:
        pairs: dict[str, str] = {}
        for line in super().clean(value).splitlines():
            name, equals, word = (part.strip() for part in line.partition("="))
            if not name and not word:
                continue
            if not equals or not name:
                raise forms.ValidationError(f"Write “name = value” on each line; “{line.strip()}” is not.")
            pairs[name] = word
        return pairs


class LinesField(forms.CharField):
    """A list of words, one a line."""

    widget = widgets.UnfoldAdminTextareaWidget(attrs={"rows": 4, "placeholder": "One a line"})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list | tuple) else value

    def clean(self, value: Any) -> list[str]:
        return [line.strip() for line in super().clean(value).splitlines() if line.strip()]


class AmountField(forms.DecimalField):
    """A decimal, typed with a point or with a comma."""

    # A text input that asks a phone for its number pad: a number input takes only what the browser's own language writes.
    widget = widgets.UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal", "autocomplete": "off"})

    def to_python(self, value: Any) -> Decimal | None:
        return super().to_python(value.replace(",", ".") if isinstance(value, str) else value)


def is_secret(info: FieldInfo) -> bool:
    return SecretStr in _kinds(info.annotation)


def aliases(info: FieldInfo) -> list[str]:
    """Return the other spellings a field is read by (`baseUrl`)."""
    alias = info.validation_alias
    return [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [alias] if isinstance(alias, str) else []


def humanise(name: str) -> str:
    """Turn an identifier into a label: `in_house` -> "In house"."""
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def form_field(name: str, info: FieldInfo, *, required: bool | None = None) -> forms.Field:
    """Make the field a declaration asks for; `required` overrules what it says."""
    kinds = _kinds(info.annotation)
    common: dict[str, Any] = {
        "label": info.title or humanise(name),
        "help_text": info.description or "",
        "required": info.is_required() if required is None else required,
    }
    if not info.is_required() and info.default not in (None, ""):
        common["initial"] = info.get_default(call_default_factory=True)
    if SecretStr in kinds:
        return _secret(info, {**common, "initial": None})
    if several := next((options for kind in kinds if (options := _several(kind))), None):
        boxes = widgets.UnfoldAdminCheckboxSelectMultipleWidget()
        return forms.MultipleChoiceField(choices=several, widget=boxes, **common)
    if choices := _choices(info.annotation):
        blank = [] if common["required"] or "initial" in common else [("", "–")]
        return forms.ChoiceField(choices=blank + choices, widget=widgets.UnfoldAdminSelectWidget(), **common)
    if bool in kinds:
        return forms.BooleanField(widget=widgets.UnfoldBooleanSwitchWidget(), **{**common, "required": False})
    if str in kinds:
        return _text(info, common)
    return _other(kinds, info, common)


def _secret(info: FieldInfo, common: dict[str, Any]) -> forms.Field:
    attrs = {"autocomplete": "new-password", "spellcheck": "false", "autocapitalize": "off"}
    if _extra(info).get("multiline"):  # a private key: a password input would lose its line ends
        area = widgets.UnfoldAdminTextareaWidget(attrs={**attrs, "rows": 6, "class": "hsp-secret"})
        return SecretTextField(widget=area, strip=True, **common)
    return forms.CharField(widget=widgets.UnfoldAdminPasswordWidget(attrs=attrs), strip=True, **common)


class SecretTextField(forms.CharField):
    """A secret of several lines. Like a password input, it never shows what it was given."""

    def prepare_value(self, value: Any) -> str:
        return ""


def _text(info: FieldInfo, common: dict[str, Any]) -> forms.Field:
    longest = _limit(info, "max_length")
    if longest and longest >= LONG_TEXT:
        return forms.CharField(widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 3}), max_length=longest, **common)
    attrs = {"autocomplete": "off", "spellcheck": "false"}
    return forms.CharField(widget=widgets.UnfoldAdminTextInputWidget(attrs=attrs), max_length=longest, **common)


def _other(kinds: set[Any], info: FieldInfo, common: dict[str, Any]) -> forms.Field:
    if int in kinds:
        limits = {"min_value": _limit(info, "ge"), "max_value": _limit(info, "le")}
        return forms.IntegerField(widget=widgets.UnfoldAdminIntegerFieldWidget(), **limits, **common)
    if kinds & {Decimal, float}:
        return AmountField(**common)
    if datetime in kinds:
        widget = widgets.UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"})
        widget.input_type = "datetime-local"
        return forms.DateTimeField(widget=widget, **common)
    if date in kinds:
        widget = widgets.UnfoldAdminTextInputWidget(attrs={"type": "date"})
        widget.input_type = "date"
        return forms.DateField(widget=widget, **common)
    if any(_is_mapping_of_words(kind) for kind in kinds):
        return PairsField(**common)
    if any(get_origin(kind) in (list, tuple, Sequence) and not _has_models(kind) for kind in kinds):
        return LinesField(**common)
    return forms.JSONField(widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 6, "class": "hsp-code"}), **common)


# --- reading an annotation -----------------------------------------------------------------------------------------------------


def _kinds(annotation: Any) -> set[Any]:
    """Return the types an annotation allows: `Annotated[Decimal, ...] | None` -> {Decimal}."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return set().union(*(_kinds(part) for part in get_args(annotation)))
    return set() if annotation is types.NoneType else {annotation}


def _choices(annotation: Any) -> list[tuple[str, str]]:
    for kind in _kinds(annotation):
        if get_origin(kind) is Literal:
            return [(str(value), humanise(str(value))) for value in get_args(kind) if value is not None and value != ""]
        if isinstance(kind, type) and issubclass(kind, Enum):
            return [(str(member.value), humanise(str(member.value))) for member in kind]
    return []


def _several(kind: Any) -> list[tuple[str, str]]:
    """Return the choices of a list of choices: `tuple[Literal["rsv", "fof"], ...]`."""
    return _choices(get_args(kind)[0]) if get_origin(kind) in (list, tuple) and get_args(kind) else []


def _is_mapping_of_words(kind: Any) -> bool:
    return get_origin(kind) in (dict, Mapping) and not _has_models(kind) and all(part in (str, int) for part in get_args(kind))


def _has_models(kind: Any) -> bool:
    return any(isinstance(part, type) and issubclass(part, BaseModel) for part in get_args(kind))


def _limit(info: FieldInfo, name: str) -> Any:
    """Find a limit (`max_length`, `ge`) wherever the declaration put it."""
    holders = [*info.metadata, *_metadata(info.annotation)]
    return next((getattr(holder, name) for holder in holders if getattr(holder, name, None) is not None), None)


def _metadata(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        base, *found = get_args(annotation)
        return [piece for item in found for piece in (item.metadata if isinstance(item, FieldInfo) else [item])] + _metadata(base)
    if get_origin(annotation) in (Union, types.UnionType):
        return [piece for part in get_args(annotation) for piece in _metadata(part)]
    return []


def _extra(info: FieldInfo) -> dict[str, Any]:
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
