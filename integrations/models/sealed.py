"""A model field that holds a JSON value encrypted, bound to its row.

The value never appears in `repr`, in `values()` or in a dump: the attribute is a `Sealed` that must be opened on purpose. The row's
model says who it is in `seal_identity()`; a ciphertext copied to another row, field or hotel does not open there.
"""

import json
from typing import Any

from django.db import models

from integrations.security import keyring


class Sealed:
    """A secret JSON object: `reveal()` opens it, and nothing else does."""

    __slots__ = ("_aad", "_plain", "_token")

    def __init__(self, *, plain: dict[str, Any] | None = None, token: str = "", aad: str = "") -> None:
        self._plain = plain
        self._token = token
        self._aad = aad

    def reveal(self) -> dict[str, Any]:
        """Return the plain object. Raises `DecryptionFailed`."""
        if self._plain is None:
            self._plain = json.loads(keyring.unseal(self._token, self._aad)) if self._token else {}
        return dict(self._plain)

    def __bool__(self) -> bool:
        return bool(self._token or self._plain)

    def __repr__(self) -> str:
        return "<sealed>" if self else "<empty>"

    __str__ = __repr__

    def __reduce__(self) -> Any:
        raise TypeError("A sealed secret cannot be pickled.")


class SealedAttribute:
    def __init__(self, field: "SealedJSONField") -> None:
        self.field = field

    def __get__(self, instance: models.Model | None, owner: type | None = None) -> Any:
        if instance is None:
            return self
        if self.field.attname not in instance.__dict__:
            instance.refresh_from_db(fields=[self.field.attname])
        value = instance.__dict__[self.field.attname]
        if isinstance(value, str):
            value = Sealed(token=value, aad=self.field.aad(instance))
            instance.__dict__[self.field.attname] = value
        return value

    def __set__(self, instance: models.Model, value: Any) -> None:
        instance.__dict__[self.field.attname] = Sealed(plain=value) if isinstance(value, dict) else value or ""


class SealedJSONField(models.TextField):
    """Stores a JSON object as a JWE, with the row's identity as additional authenticated data."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("blank", True)
        kwargs.setdefault("default", "")
        kwargs["editable"] = False
        super().__init__(*args, **kwargs)

    def contribute_to_class(self, cls: type[models.Model], name: str, private_only: bool = False) -> None:
        super().contribute_to_class(cls, name, private_only)
        setattr(cls, name, SealedAttribute(self))

    def aad(self, instance: models.Model) -> str:
        return f"hospient:v1:{instance._meta.db_table}:{self.attname}:{instance.seal_identity()}"

    def pre_save(self, instance: models.Model, add: bool) -> str:
        value = getattr(instance, self.attname)
        if not isinstance(value, Sealed):
            return ""
        if value._plain is not None and not value._token:
            value._aad = self.aad(instance)
            value._token = keyring.seal(json.dumps(value._plain).encode(), value._aad) if value._plain else ""
        return value._token

    def get_prep_value(self, value: Any) -> str:
        if isinstance(value, dict):
            raise TypeError("A sealed field is saved through its row, which it is bound to; update() cannot seal it.")
        return value._token if isinstance(value, Sealed) else value

    def value_to_string(self, obj: models.Model) -> str:
        return ""
