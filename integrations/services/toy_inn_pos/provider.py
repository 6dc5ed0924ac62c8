"""Talks to Toy Inn Pos: one method for each stream and operation that the manifest declares.

The client does timeouts, retries, rate limits, logging and redaction. Nothing here logs, sleeps, retries or touches the database.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from integrations.exceptions import RecordRejected
from integrations.records import MenuItem, Page, Rejected, StreamQuery
from integrations.services.base import ConnectionReport, Provider
from integrations.services.toy_inn_pos import mapping
from integrations.services.toy_inn_pos.manifest import Config, Credentials, manifest
from integrations.transport.auth import Auth, HeaderAuth, TokenStore
from integrations.transport.client import ErrorRules, Response


def read_error(response: Response) -> tuple[str, str]:
    """Return the vendor's code and message for a failure."""
    error = response.json()["error"]
    return error["code"], error["message"]


class ToyInnPosProvider(Provider[Config, Credentials]):
    manifest = manifest
    errors = ErrorRules(read=read_error)

    @classmethod
    def auth(cls, config: Config, credentials: Credentials, tokens: TokenStore) -> Auth:
        return HeaderAuth({"X-API-Key": credentials.api_key.get_secret_value()})

    def test_connection(self) -> ConnectionReport:
        till = self.client.call("GET", "/till", name="test_connection").json()
        return ConnectionReport(summary=f"Connected to {till['name']}.", details={"till": till["name"]})

    def menus(self, query: StreamQuery) -> Iterator[Page]:
        """Yield the menu page by page; each checkpoint is the page to go on with, should the run be interrupted."""
        number = (query.checkpoint or {}).get("page", 1)
        if number is None:  # the run was interrupted after the last page
            return

        def following(answer: Response) -> dict[str, Any] | None:
            nonlocal number
            number = answer.json()["next_page"]
            return {"params": {"page": number}} if number else None

        for answer in self.client.pages("GET", "/dishes", name="menus", params={"page": number}, next_request=following):
            records: list[MenuItem] = []
            rejected: list[Rejected] = []
            for dish in answer.json()["dishes"]:
                try:
                    records.append(mapping.menu_item(dish, self.hotel.currency))
                except RecordRejected as error:
                    rejected.append(Rejected(external_id=str(dish["id"]), record_type="menu_item", reason=error.message, payload=dish))
            yield Page(records=records, rejected=rejected, checkpoint={"page": number})

    def post_guest_check(self, payload: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        """Post a check. `key` is the same at every attempt; with it in the call, repeating is safe."""
        answer = self.client.call(
            "POST", "/bills", name="post_guest_check", json=mapping.bill(payload), headers={"Idempotency-Key": key}, safe=True
        ).json()
        return {"reference": answer["id"], "status": answer["status"], "total": answer["total"], "warnings": []}


provider = ToyInnPosProvider
