"""Connections to vendors in the console."""

from integrations.admin import differences, guests, integration, logs, outbox, runs

__all__ = ["differences", "guests", "integration", "logs", "outbox", "runs"]
