"""How the console words and colours what happens at an integration: states, problems, vendors' JSON, a provider's setup page."""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from pygments import highlight
from pygments.formatters.html import HtmlFormatter
from pygments.lexers.data import JsonLexer

from hotels.admin.base import colours
from integrations import exceptions
from integrations.health import Health
from integrations.models import ConflictWinner, Integration, LogStatus, OperationStatus, RunStatus
from integrations.security.redaction import redact
from integrations.services import registry
from integrations.services.manifest import Kind, Manifest
from integrations.services.outlook import Outlook

RUN = colours(RunStatus, queued="info", running="info", succeeded="success", partial="warning", failed="danger")
LOG = colours(LogStatus, success="success", failed="danger", partial="warning", pending="info")
OPERATION = colours(OperationStatus, pending="info", sending="info", unknown="warning", done="success", dead="danger")
WINNER = colours(ConflictWinner, vendor="info", hotel="success")

KINDS = {Kind.POS: "Point of sale", Kind.PMS: "Property management", Kind.GUEST_MANAGEMENT: "Guest management"}

ICONS = {"outbound": "arrow_outward", "inbound": "south_west", "bidirectional": "swap_horiz"}

MAX_ITEMS = 100
MAX_JSON_CHARS = 20_000
"""More than anybody reads; longer values are cut with a note."""
_INVISIBLE = re.compile(r"[\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
"""Characters that reorder or hide text on the screen; shown as their escapes."""


# --- states --------------------------------------------------------------------------------------------------------------------


def is_live(integration: Integration) -> bool:
    """Say whether calls reach the hotel's real data. Whatever is not called production is treated as a test."""
    return integration.environment == "production"


def environment_badge(integration: Integration) -> SafeString:
    """Show a sandbox so that it cannot be missed, and production quietly."""
    css = "hsp-env" if is_live(integration) else "hsp-env hsp-env-test"
    return format_html('<span class="{}">{}</span>', css, integration.environment.capitalize())


def manifest_of(integration: Integration) -> Manifest | None:
    """Return what the provider declares, or None if its folder is gone."""
    provider = registry.providers().get(integration.provider)
    return provider.manifest if provider else None


def is_called(manifest: Manifest) -> bool:
    """Say whether the vendor may call us, so that there is an address and a secret to give it: in its own way, or in ours, which any
    system can be taught. One that is polled does not."""
    return manifest.webhooks is None or manifest.webhooks.verifier != "polling"


# --- problems ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What happened, why, and what to do: the three things an error row says."""

    what: str
    why: str
    todo: str


def problem(what: str, *, why: str, code: str = "", hint: str = "") -> Problem | None:
    """Word a failure; None if there is none."""
    if not why and not code:
        return None
    todo = hint or exceptions.class_of(code).hint or "Test the connection; if it works, try again."
    return Problem(what=what, why=why.removesuffix(hint).strip() or code.replace("_", " ").capitalize() + ".", todo=todo)


def told(outlook: Outlook) -> Problem:
    """Show what is said of a row: what happens next by itself stands before what a person can do."""
    todo = " ".join(part for part in (outlook.next, outlook.todo) if part)
    return Problem(what=outlook.what, why=outlook.why, todo=todo or "Nothing.")


def in_words(error: exceptions.HospientError) -> str:
    """Return what a person is told of an error: for wrong input the sentences without the names of fields."""
    return " ".join(error.errors.values()) if isinstance(error, exceptions.InvalidInput) else str(error)


def standing_problem(health: Health) -> Problem | None:
    """Word what is wrong with an integration now; None where all is well."""
    if health.state.is_well or not (health.why or health.todo):
        return None
    todo = health.todo or "Nothing."
    return Problem(what=health.sentence, why=health.why, todo=todo)


# --- vendors' JSON -------------------------------------------------------------------------------------------------------------


def pretty_json(value: Any) -> SafeString | str:
    """Show JSON in colour. It is redacted once more: a row may be older than a rule."""
    if value in (None, "", {}, []):
        return ""
    text = json.dumps(redact(value, max_items=MAX_ITEMS), indent=2, ensure_ascii=False, default=str)
    text = _INVISIBLE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
    note = ""
    if len(text) > MAX_JSON_CHARS:
        note = f"… {len(text) - MAX_JSON_CHARS:,} more characters"
        text = text[:MAX_JSON_CHARS]
    return format_html('<div class="hsp-json" tabindex="0">{}{}</div>', mark_safe(_coloured(text)), escape(note))  # noqa: S308  pygments escapes


def _coloured(text: str) -> str:
    return highlight(text, JsonLexer(), HtmlFormatter(classprefix="hsp-", nobackground=True))


# --- a provider's setup page ---------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def setup_page(slug: str) -> SafeString | str:
    """Return the provider's README.md as HTML. Raw HTML in it is shown as text."""
    folder = Path(import_module(registry.get(slug).__module__).__file__ or "").parent
    page = folder / "README.md"
    if not page.is_file():
        return ""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    return mark_safe(markdown.render(page.read_text(encoding="utf-8")))  # noqa: S308  html is off
