"""The inbox in the console."""

from webhooks.admin import events

__all__ = ["events"]
