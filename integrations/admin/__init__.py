"""Connections to vendors in the console."""

from integrations.admin import integration, logs, outbox, runs

__all__ = ["integration", "logs", "outbox", "runs"]
