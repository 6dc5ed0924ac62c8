"""Square: what every provider must do, and what only Square does."""

from collections.abc import Mapping
from typing import Any

from integrations.services.contract import KEY, Connection, ProviderContract
from integrations.services.square.provider import SquareProvider
from integrations.services.square.simulator import (
    RESTAURANT,
    TOKEN,
    SquareSimulator,
)

CHECK = {
    "check_number": "1042",
    "room_number": "214",
    "guest_name": "Ana Example",
    "guest_external_id": "",
    "reservation_external_id": "",
    "items": [
        {
            "name": "Club sandwich",
            "quantity": "2",
            "unit_price": "14.50",
            "total_price": "29.00",
            "note": "no bacon",
            "item_external_id": "SIMITEM0010",
            "variation_external_id": "SIMVAR001001",
            "menu_price": "14.5000",
        },
        {
            "name": "Room service",
            "quantity": "1",
            "unit_price": "5.00",
            "total_price": "5.00",
            "note": "",
            "item_external_id": "",
            "variation_external_id": "",
            "menu_price": None,
        },
    ],
    "subtotal": "34.00",
    "tax": "2.72",
    "total": "36.72",
    "currency": "EUR",
    "payment_method": "credit_card",
    "payment_status": "paid",
}


class TestContract(ProviderContract):
    provider = SquareProvider
    credentials = {"accessToken": TOKEN, "locationId": RESTAURANT}

    def simulator(self, page_size: int = 1000) -> SquareSimulator:
        simulator = SquareSimulator(page_size=page_size)
        for _ in range(7):
            simulator.ring_up(1250)
        return simulator

    def payload(self, operation: str, connection: Connection) -> Mapping[str, Any]:
        if operation == "post_guest_check":
            return CHECK
        posted = connection.provider.post_guest_check(CHECK | {"payment_status": "pending"}, "a-key-of-another-operation")
        return {"check_external_id": posted["reference"], "reason": "Guest request"}

    def arguments_for(self, operation: str, connection: Connection) -> Mapping[str, Any]:
        return {"check_external_id": connection.provider.post_guest_check(CHECK, KEY)["reference"]}
