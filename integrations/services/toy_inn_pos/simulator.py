"""Toy Inn Pos in small: a menu in pages, and the bills it was sent. The demo and the tests talk to it over real HTTP."""

from typing import Any

from integrations.simulators.server import SimRequest, SimResponse, Simulator, route

DISHES = ("Soup", "Salad", "Sandwich", "Steak", "Sorbet", "Sancerre")


class ToyInnPosSimulator(Simulator):
    slug = "toy_inn_pos"
    api_key = "toy_inn_pos-simulator-key"

    def __init__(self, page_size: int = 0) -> None:
        super().__init__()
        self.page_size = page_size or 50
        self.dishes = [{"id": number, "name": name, "price": f"{number}.50"} for number, name in enumerate(DISHES, start=1)]
        self.bills: dict[str, dict[str, Any]] = {}
        """Idempotency key -> bill."""

    def error(self, status: int, message: str = "") -> SimResponse:
        return SimResponse(status=status, json={"error": {"code": f"E{status}", "message": message or "Something went wrong."}})

    def authenticate(self, request: SimRequest) -> SimResponse | None:
        return None if request.headers.get("x-api-key") == self.api_key else self.error(401, "Unknown key.")

    def state(self) -> Any:
        return {"bills": list(self.bills.values())}

    @route("GET", "/till")
    def till(self, request: SimRequest) -> SimResponse:
        return SimResponse(json={"name": "Lobby bar"})

    @route("GET", "/dishes")
    def list_dishes(self, request: SimRequest) -> SimResponse:
        page = int(request.arg("page", "1"))
        start, end = (page - 1) * self.page_size, page * self.page_size
        return SimResponse(json={"dishes": self.dishes[start:end], "next_page": page + 1 if end < len(self.dishes) else None})

    @route("POST", "/bills")
    def create_bill(self, request: SimRequest) -> SimResponse:
        key = request.headers["idempotency-key"]
        if key not in self.bills:
            self.bills[key] = {**request.json(), "id": f"bill-{len(self.bills) + 1}", "status": "open"}
        return SimResponse(status=201, json=self.bills[key])


simulator = ToyInnPosSimulator


def connection(url: str) -> dict[str, Any]:
    """Return what a hotel would enter to connect to this simulator at `url`."""
    return {
        "integration_type": "pos",
        "provider_name": "Toy Inn Pos",
        "config": {"base_url": url},
        "credentials": {"api_key": ToyInnPosSimulator.api_key},
    }
