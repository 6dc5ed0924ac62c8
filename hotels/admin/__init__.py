"""The hotel's records in the console."""

from hotels.admin import checks, guests, menus, messages, stays, tenants, tokens

__all__ = ["checks", "guests", "menus", "messages", "stays", "tenants", "tokens"]
