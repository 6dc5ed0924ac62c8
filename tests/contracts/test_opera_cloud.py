"""OPERA Cloud's own contract (Oracle's specifications, merged and made strict) accepts every request we can make.

The contract judges between us and the simulator, and so it holds the simulator to Oracle's word as well. Strict means that a misspelt
field of a body is refused; a misspelt query parameter is not, so their names are checked here.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from integrations.exceptions import RequestRejected
from integrations.records import Reservation, StreamQuery
from integrations.services.contract import KEY, Connection, connect
from integrations.services.opera_cloud import simulator_contract
from integrations.services.opera_cloud.provider import OperaCloudProvider
from integrations.services.opera_cloud.simulator import CREDENTIALS, OperaCloudSimulator
from integrations.services.opera_cloud.tests import CHANGES, CHARGE, CHECK_IN, CHECK_OUT, CONFIG, FEEDBACK, REQUEST
from integrations.simulators.server import running
from integrations.transport.client import Policy
from tests.contracts import opera_cut
from tests.contracts.prism import document, prism

pytestmark = pytest.mark.contract

PATIENT = Policy(read_seconds=120, total_seconds=180, attempts=1)
"""Prism compiles the schema of an operation when it is first called, which takes a busy machine more than half a minute."""
CODES = {"request_codes": {"towels": "HKT"}, "request_priorities": {"high": "1"}, "comment_type": "GEN"}


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Path:
    script = document("build_opera_contract.py")
    merged = tmp_path_factory.mktemp("opera") / "opera_contract.json"
    subprocess.run([sys.executable, str(script), str(merged), "--strict"], check=True, capture_output=True)
    return merged


@pytest.fixture(scope="module")
def judged(contract: Path) -> Iterator[tuple[str, OperaCloudSimulator]]:
    with running(OperaCloudSimulator(page_size=20)) as served, prism(contract, upstream=served.url) as url:
        yield url, served.simulator


def opera(url: str, *, sign_in: str = "client_credentials", **config: Any) -> Connection:
    credentials = {**CREDENTIALS, "sign_in": sign_in}
    return connect(OperaCloudProvider, config={**CONFIG, **CODES, "base_url": url, **config}, credentials=credentials, policy=PATIENT)


def read(connection: Connection, stream: str, **query: Any) -> list[Any]:
    return [record for page in getattr(connection.provider, stream)(StreamQuery(**query)) for record in page.records]


def accepted(connection: Connection, contract: Path) -> set[str]:
    """Return the operations called, if the contract accepted every one of them and declares every query parameter sent."""
    paths = json.loads(contract.read_text())["paths"]
    declared = json.loads(contract.read_text()).get("parameters", {})
    for exchange in connection.exchanges:
        assert exchange.http_status in (200, 201, 204), (exchange.url, exchange.response_data)
        path, query = urlsplit(exchange.url)[2:4]
        (template,) = [
            known for known in paths if re.fullmatch(re.sub(r"{\w+}", "[^/]+", known), path) and exchange.method.lower() in paths[known]
        ]
        parameters = (*paths[template][exchange.method.lower()].get("parameters", ()), *paths[template].get("parameters", ()))
        resolved = [declared[p["$ref"].rpartition("/")[2]] if "$ref" in p else p for p in parameters]
        names = {parameter["name"] for parameter in resolved if parameter["in"] == "query"}
        assert {name for name, _ in parse_qsl(query)} <= names, exchange.url
    return {exchange.operation_name for exchange in connection.exchanges}


def test_contract_refuses_a_misspelt_field(judged: tuple[str, OperaCloudSimulator]) -> None:
    call, path = opera(judged[0]).provider.client.call, "/fof/v1/hotels/SAND01/reservations/660082/checkIns"
    with pytest.raises(RequestRejected) as caught:
        call("POST", path, name="check_in", json={"reservation": {"roomNumber": "0101"}})
    assert caught.value.status == 422, "by Prism: the simulator has not seen it"


@pytest.mark.parametrize("sign_in", ["client_credentials", "password"])
def test_both_sign_ins_and_every_ping_are_accepted(judged: tuple[str, OperaCloudSimulator], contract: Path, sign_in: str) -> None:
    connection = opera(judged[0], sign_in=sign_in)
    assert connection.provider.test_connection().summary == "Connected to OPERA Cloud 25.5.0.0, hotel SAND01."
    assert accepted(connection, contract) == {
        "sign_in", "ping_rsv", "ping_fof", "ping_hsk", "ping_crm", "ping_csh", "transaction_codes",
    }  # fmt: skip


def test_every_stream_keeps_to_the_contract_and_so_does_the_simulator(judged: tuple[str, OperaCloudSimulator], contract: Path) -> None:
    url, simulator = judged
    connection = opera(url)
    assert len([record for record in read(connection, "reservations") if isinstance(record, Reservation)]) == 13
    assert len(read(connection, "reservations", external_ids=("660082", "660092"))) == 2
    assert len(read(connection, "rooms")) == 40
    assert connection.provider.get_room_status("0101")
    assert len(read(connection, "guests")) == 12
    simulator.control("change_room", {"number": "110", "housekeeping": "Pickup"})
    assert [len(batch) for batch in connection.provider.poll()] == [1]
    assert accepted(connection, contract) == {"sign_in", "reservations", "reservation", "rooms", "guests", "profile", "poll_events"}


def test_every_operation_keeps_to_the_contract_and_so_does_the_simulator(judged: tuple[str, OperaCloudSimulator], contract: Path) -> None:
    url, simulator = judged
    connection = opera(url)
    provider = connection.provider
    assert provider.post_check_in({**CHECK_IN, "reservation_external_id": "660083"}, KEY)["status"] == "in_house"
    today, since = date.today(), {"pinned_at": datetime.now(UTC).isoformat()}
    charge = {**CHARGE, "room_number": "102"}
    charge |= provider.pin_post_charge(charge, today)
    assert provider.pin_post_charge(charge, today)["reservation_external_id"] == charge["reservation_external_id"] == "660090"
    assert provider.find_post_charge(charge, KEY) is None
    assert provider.post_charge(charge, KEY)["reference"] == provider.find_post_charge(charge, KEY)["reference"]
    request = {**REQUEST, **since, "reservation_external_id": "660090", "guest_external_id": "1280815", "room_number": "102"}
    assert provider.find_send_request(request, KEY) is None
    assert provider.send_request(request, KEY)["reference"] == provider.find_send_request(request, KEY)["reference"]
    assert provider.find_send_request({**REQUEST, **since, "room_number": "102"}, KEY)
    provider.update_guest_info({"guest_external_id": "1280812", "changes": CHANGES}, KEY)
    simulator.control("settle", {"id": "660092"})
    check_out = {**CHECK_OUT, **FEEDBACK, "reservation_external_id": "660091"}
    assert provider.post_check_out({**check_out, "dry_run": True}, KEY)["status"] == "can_check_out"
    assert provider.post_check_out(check_out, KEY)["warnings"] == []
    noted = opera(url, feedback_target="profile_comment")
    assert noted.provider.post_check_out({**check_out, "reservation_external_id": "660092"}, KEY)["warnings"] == []
    assert accepted(noted, contract) == {"sign_in", "reservation", "check_out", "profile", "update_profile"}
    assert accepted(connection, contract) == {
        "sign_in", "reservation", "free_rooms", "assign_room", "check_in", "reservations", "folio", "post_charge", "service_requests",
        "send_request", "profile", "update_profile", "check_out", "send_feedback",
    }  # fmt: skip


def test_refused_check_out_asks_for_the_folio_as_the_contract_wants(judged: tuple[str, OperaCloudSimulator], contract: Path) -> None:
    connection = opera(judged[0])
    with pytest.raises(RequestRejected, match="not due out today"):
        connection.provider.post_check_out({**CHECK_OUT, "reservation_external_id": "660095"}, KEY)
    connection.exchanges = [exchange for exchange in connection.exchanges if exchange.operation_name != "check_out"]
    assert accepted(connection, contract) == {"sign_in", "reservation", "folio"}


def test_simulators_share_of_the_specification_is_oracles() -> None:
    folder = document("opera_cloud_rsv.openapi.json").parent
    assert simulator_contract.FILE.read_text() == opera_cut.text_of(opera_cut.cut(folder))
