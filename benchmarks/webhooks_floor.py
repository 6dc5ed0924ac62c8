"""The floor for `benchmarks.webhooks`: the same server, the signature of the body, one grouped insert of the same rows, and nothing else.

No look-up of the integration, no limit, no reading of the body, no second secret, no redaction, no log.
"""

import asyncio
import hmac
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import environ
import psycopg
from pydantic_core import to_json

SECRET = os.environ["FLOOR_SECRET"].encode()
INSERT = """
    INSERT INTO webhooks_webhookevent (integration_id, event_id, event_type, object_key, verified_by, is_batch, headers, body, correlation_id,
                                       received_at, status, attempts, error_code, error_message, outcome)
    SELECT integration_id, event_id, event_type, object_key, verified_by, is_batch, headers, convert_to(body, 'UTF8'), correlation_id,
           received_at, 'pending', 0, '', '', ''
    FROM json_to_recordset(%s::json) AS event (
        integration_id bigint, event_id text, event_type text, object_key text, verified_by text, is_batch boolean, headers jsonb,
        body text, correlation_id text, received_at timestamptz
    )
    ON CONFLICT (integration_id, event_id) DO NOTHING RETURNING event_id
"""


class Floor:
    def __init__(self) -> None:
        self.writer = ThreadPoolExecutor(1)
        self.waiting: list[tuple[dict[str, Any], asyncio.Future[bool]]] = []
        self.is_writing = False
        self.connection: psycopg.Connection | None = None

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        message = await receive()
        body = message.get("body", b"")
        while message.get("more_body"):
            message = await receive()
            body += message["body"]
        headers = dict(scope["headers"])
        expected = b"sha256=" + hmac.digest(SECRET, body, "sha256").hex().encode()
        status, answer = 401, b""
        if hmac.compare_digest(headers.get(b"x-webhook-signature", b""), expected):
            row = {
                "integration_id": int(scope["path"].rpartition("/")[2]),
                "event_id": headers[b"x-webhook-id"].decode(),
                "event_type": "menu_updated",
                "object_key": "menu_item:menu_123",
                "verified_by": "body",
                "is_batch": False,
                "headers": {"content-type": "application/json", "x-webhook-id": headers[b"x-webhook-id"].decode()},
                "body": body.decode(),
                "correlation_id": headers[b"x-webhook-id"].decode(),
                "received_at": datetime.now(UTC),
            }
            status, answer = (202, b'{"status":"accepted"}') if await self.stored(row) else (200, b'{"status":"duplicate"}')
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": answer})

    def stored(self, row: dict[str, Any]) -> asyncio.Future[bool]:
        future = asyncio.get_running_loop().create_future()
        self.waiting.append((row, future))
        if not self.is_writing:
            self.write()
        return future

    def write(self) -> None:
        group, self.waiting = self.waiting, []
        self.is_writing = bool(group)
        if group:
            done = asyncio.get_running_loop().run_in_executor(self.writer, self.insert, [row for row, _ in group])
            done.add_done_callback(lambda done: self.written(group, done.result()))

    def written(self, group: list[tuple[dict[str, Any], asyncio.Future[bool]]], new: set[str]) -> None:
        self.write()
        for row, future in group:
            future.set_result(row["event_id"] in new)

    def insert(self, rows: list[dict[str, Any]]) -> set[str]:
        if self.connection is None:
            given = environ.Env.db_url_config(os.environ["DATABASE_URL"])
            host = given.get("HOST") or given.get("OPTIONS", {}).get("host")
            self.connection = psycopg.connect(
                autocommit=True,  # one statement: it commits by itself
                dbname=given["NAME"],
                user=given["USER"],
                password=given["PASSWORD"],
                host=host,
                port=given["PORT"] or None,
            )
        return {row[0] for row in self.connection.execute(INSERT, [to_json(rows).decode()], prepare=True)}


application = Floor()
