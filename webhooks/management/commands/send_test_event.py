"""`manage.py send_test_event`: send a webhook to ourselves, signed as the vendor would sign it."""

import json
import uuid
from pathlib import Path
from typing import Any

import requests
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from integrations.management.command import DONE, FAILED, USAGE, HospientCommand
from integrations.security.redaction import mask_headers
from webhooks.facts import facts_of
from webhooks.verifiers import OUR_SCHEMES, Verifier

TIMEOUT_SECONDS = 10


class Command(HospientCommand):
    help = "Send a webhook to an integration's own address, signed as its vendor would: shows that address, secret and inbox work."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("integration_id", type=int, metavar="ID")
        parser.add_argument("event_type", nargs="?", default="test", help="An event of our own scheme, such as menu_updated (test).")
        parser.add_argument("--data", default="{}", help='Its data as JSON, such as {"menu_id": "menu_123"}.')
        parser.add_argument("--file", type=Path, help="Send this file's bytes as the body, signed by the vendor's own scheme.")
        parser.add_argument("--id", dest="event_id", default="", help="The event's id; a new one if left out.")
        parser.add_argument("--url", help="Send it there instead; what is signed stays the integration's own address.")
        parser.add_argument("--dry-run", action="store_true", help="Show what would be sent.")

    def run(
        self, *, integration_id: int, event_type: str, data: str, file: Path | None, event_id: str, url: str | None, **options: Any
    ) -> int:
        facts = facts_of(self.integration(integration_id))
        secrets = facts.active_secrets(timezone.now())
        if not secrets:
            raise CommandError(
                "This integration has no active webhook secret, so everything would be refused. Set one first.", returncode=FAILED
            )
        if not facts.verifiers:
            raise CommandError(f"The integration's signature_scheme is misspelt. There are: {', '.join(OUR_SCHEMES)}.", returncode=FAILED)
        verifier: Verifier = facts.verifiers[0] if file else facts.verifiers[-1]
        body = file.read_bytes() if file else json.dumps({"event_type": event_type, "data": _json(data)}).encode()
        headers, signed_url = verifier.sign(body, secrets[0], facts.url, event_id or f"test-{uuid.uuid4().hex}", timezone.now())
        headers |= {"Content-Type": "application/json" if verifier.keeps_body else "text/xml", "User-Agent": "Hospient test event"}
        target = signed_url.replace(facts.url, url, 1) if url else signed_url
        shown = {
            "url": url or facts.url,
            "verifier": verifier.name,
            "headers": mask_headers(headers),
            "body": body.decode(errors="replace"),
        }
        if options["dry_run"]:
            self.show("\n".join(f"{name}: {value}" for name, value in shown.items()), shown)
            return DONE
        try:
            answer = requests.post(target, data=body, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        except requests.RequestException as error:
            raise CommandError(
                f"{shown['url']} does not answer ({type(error).__name__}). Is the server running, and PUBLIC_URL right?", returncode=FAILED
            ) from error
        is_in = answer.status_code in (200, 202)
        self.show(
            f"{'Accepted' if is_in else 'Refused'} with {answer.status_code}: {answer.text[:500]}",
            {**shown, "status": answer.status_code, "answer": answer.text[:500]},
        )
        return DONE if is_in else FAILED


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise CommandError(f"--data is not JSON: {error}", returncode=USAGE) from None
