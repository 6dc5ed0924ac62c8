"""Clients written by others work against our Salesforce simulator, so it is shaped like Salesforce: simple-salesforce and jsforce."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings

from integrations.services.salesforce.simulator import SalesforceSimulator
from integrations.simulators.server import RunningSimulator, running

try:
    import simple_salesforce
except ModuleNotFoundError:
    simple_salesforce = None

pytestmark = pytest.mark.contract
JSFORCE = Path(settings.VAR_DIR) / "jsforce"


@pytest.fixture
def salesforce() -> Iterator[RunningSimulator]:
    simulator = SalesforceSimulator()
    simulator.batch_size = 7
    with running(simulator) as served:
        yield served


class PlainOnLoopback(requests.adapters.HTTPAdapter):
    """simple-salesforce writes https in front of every host and takes a session of ours: this one leads it to the simulator."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def send(self, request: requests.PreparedRequest, *args: Any, **more: Any) -> requests.Response:
        request.url = self.url + request.path_url
        return super().send(request, *args, **more)


@pytest.fixture
def session(salesforce: RunningSimulator) -> Iterator[requests.Session]:
    if simple_salesforce is None:
        pytest.skip("not checked: that simple-salesforce works against the simulator. To check it: pip install -r requirements-ci.txt")
    with requests.Session() as session:
        session.trust_env = False
        session.mount("https://", PlainOnLoopback(salesforce.url))
        yield session


@pytest.fixture
def client(salesforce: RunningSimulator, session: requests.Session) -> Any:
    simulator = salesforce.simulator
    return simple_salesforce.Salesforce(
        consumer_key=simulator.client_id, consumer_secret=simulator.client_secret, domain="grandhotel.my", session=session, version="58.0"
    )


def test_simple_salesforce_reads_all_pages_of_a_query(client: Any) -> None:
    contacts = client.query_all("SELECT Id, LastName, SystemModstamp FROM Contact ORDER BY SystemModstamp, Id")
    assert len(contacts["records"]) == 30
    assert len({row["Id"] for row in contacts["records"]}) == 30
    assert client.query_all(simple_salesforce.format_soql("SELECT Id FROM Contact WHERE LastName = {}", "O'Neil"))["totalSize"] == 6
    assert (
        client.query_all(simple_salesforce.format_soql("SELECT Id FROM Contact WHERE Email LIKE '{:like}%'", "guest1"))["totalSize"] == 11
    )


def test_simple_salesforce_upserts_once_by_external_id(client: Any) -> None:
    where = simple_salesforce.format.format_external_id("Hospient_Id__c", "a/b 100%")
    assert client.Feedback__c.upsert(where, {"Rating__c": 4}) == 201
    assert client.Feedback__c.upsert(where, {"Rating__c": 5}) == 200
    found = client.query("SELECT Rating__c, Hospient_Id__c FROM Feedback__c WHERE Hospient_Id__c = 'a/b 100%'")["records"]
    assert [row["Rating__c"] for row in found] == [5]
    for _ in range(2):
        client.Contact.create({"LastName": "Twin", "Loyalty_Number__c": "77"})
    with pytest.raises(simple_salesforce.SalesforceMoreThanOneRecord):
        client.Contact.upsert("Loyalty_Number__c/77", {"LastName": "Nobody"})


def test_simple_salesforce_creates_changes_deletes_and_reads_the_logs(client: Any) -> None:
    started = datetime.now(UTC)
    key = client.Contact.create({"LastName": "Almeida", "Email": "almeida@example.com"})["id"]
    assert client.Contact.update(key, {"FirstName": "Rita"}) == 204
    assert client.Contact.get(key)["Name"] == "Rita Almeida"
    window = started - timedelta(minutes=10), started + timedelta(minutes=5)
    assert key in client.Contact.updated(*window)["ids"]
    assert client.Contact.delete(key) == 204
    assert [row["id"] for row in client.Contact.deleted(*window)["deletedRecords"]] == [key]
    with pytest.raises(simple_salesforce.SalesforceResourceNotFound):
        client.Contact.get(key)
    assert client.query("SELECT Id, IsDeleted FROM Contact WHERE IsDeleted = true", include_deleted=True)["totalSize"] == 1


def test_simple_salesforce_understands_errors_usage_and_description(client: Any) -> None:
    with pytest.raises(simple_salesforce.SalesforceMalformedRequest, match="INVALID_FIELD"):
        client.query("SELECT Nothing__c FROM Contact")
    with pytest.raises(simple_salesforce.SalesforceMalformedRequest, match="REQUIRED_FIELD_MISSING"):
        client.Contact.create({"FirstName": "Nameless"})
    assert client.limits()["DailyApiRequests"]["Max"] == 15_000
    assert client.api_usage["api-usage"].total == 15_000
    assert "Hospient_Id__c" in [field["name"] for field in client.Feedback__c.describe()["fields"]]


def test_simple_salesforce_makes_the_other_ordinary_calls(client: Any) -> None:
    assert client.query("SELECT COUNT() FROM Contact WHERE LastName = 'Silva' OR LastName = 'Tanaka'")["totalSize"] == 12
    assert client.query("SELECT COUNT(Id) many FROM Contact")["records"][0]["many"] == 30
    assert client.query("SELECT Id FROM Contact ORDER BY Id LIMIT 10 OFFSET 25")["totalSize"] == 5
    (row,) = client.query("SELECT Guest__r.Name FROM Feedback__c ORDER BY CreatedDate LIMIT 1")["records"]
    assert row["Guest__r"]["Name"] == "Elin Lindqvist"
    assert len(list(client.query_all_iter("SELECT Id FROM Contact WHERE CreatedDate >= LAST_N_DAYS:3"))) == 30
    page = client.query("SELECT Id FROM Contact")
    assert len(client.query_more(page["nextRecordsUrl"], identifier_is_url=True)["records"]) == 7
    key = page["records"][0]["Id"]
    assert client.Contact.get(key[:15])["Id"] == key
    client.Contact.update(key, {"Loyalty_Number__c": "4711"})
    assert client.Contact.get_by_custom_id("Loyalty_Number__c", "4711")["Id"] == key
    assert {"Contact", "Feedback__c"} <= {one["name"] for one in client.describe()["sobjects"]}
    assert client.Contact.metadata()["objectDescribe"]["keyPrefix"] == "003"
    assert client.oauth2("userinfo")["organization_id"].startswith("00D")
    assert client.restful("sobjects/Contact/" + key, params={"fields": "LastName"})["LastName"] == "Lindqvist"


ABSENT = {
    "search, quick_search": lambda client: client.search("FIND {Silva}"),
    "toolingexecute": lambda client: client.toolingexecute("query/?q=SELECT+Id+FROM+ApexClass"),
    "apexecute": lambda client: client.apexecute("HotelService"),
    "bulk, bulk2": lambda client: client.bulk.Contact.insert([{"LastName": "Almeida"}]),
    "describe_layout": lambda client: client.Contact.describe_layout("012000000000000AAA"),
}


@pytest.mark.parametrize("call", ABSENT)
def test_what_simple_salesforce_finds_absent_is_refused_by_name_and_stands_in_the_page(client: Any, call: str) -> None:
    with pytest.raises(simple_salesforce.SalesforceError, match="does not offer"):
        ABSENT[call](client)
    page = (settings.BASE_DIR / "docs" / "simulators.md").read_text()
    assert all(f"`{name}`" in page for name in call.split(", "))


def test_simple_salesforce_signs_in_again_when_the_session_has_ended(client: Any, salesforce: RunningSimulator) -> None:
    salesforce.simulator.control("expire_session", {})
    assert client.query("SELECT Id FROM Contact LIMIT 1")["totalSize"] == 1
    assert salesforce.simulator.logins == 2


def test_simple_salesforce_signs_in_with_a_signed_token(salesforce: RunningSimulator, session: requests.Session) -> None:
    simulator = salesforce.simulator
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    asked = {"username": simulator.username, "consumer_key": simulator.client_id, "privatekey": private, "session": session}
    with pytest.raises(simple_salesforce.SalesforceAuthenticationFailed), pytest.warns(UserWarning, match="authorize"):
        simple_salesforce.Salesforce(**asked)
    simulator.public_key = public
    assert simple_salesforce.Salesforce(**asked).limits()


def test_jsforce_works_against_the_simulator(salesforce: RunningSimulator) -> None:
    node = shutil.which("node")
    if not node or not (JSFORCE / "node_modules" / "jsforce").is_dir():
        pytest.skip(
            "not checked: that jsforce's queries, upserts, collections, logs and renewed sessions work against the simulator. "
            f"To check it: npm install --prefix {JSFORCE} --no-audit --no-fund jsforce@3.10.16"
        )
    simulator = salesforce.simulator
    environment = {
        "PATH": os.environ["PATH"],
        "NODE_PATH": str(JSFORCE / "node_modules"),
        "SALESFORCE_URL": salesforce.url,
        "SALESFORCE_CLIENT_ID": simulator.client_id,
        "SALESFORCE_CLIENT_SECRET": simulator.client_secret,
        "SALESFORCE_REFRESH_TOKEN": simulator.refresh_token,
    }
    script = Path(__file__).with_name("salesforce_jsforce.js")
    done = subprocess.run([node, str(script)], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "instance": salesforce.url,
        "contacts": 30,
        "irish": ["O'Neil"] * 3,
        "described": ["Hospient_Id__c"],
        "upsert": {"same": True, "created": [True, False], "rating": 5, "key": "jsforce/1 with 100%"},
        "collection": ["created", "REQUIRED_FIELD_MISSING"],
        "deleted": [True],
        "errors": ["INVALID_FIELD", "MALFORMED_QUERY", "NOT_FOUND"],
        "usage": 15_000,
        "renewed": 1,
        "found": {"or": 7, "count": 12, "skip": 2, "same": True},  # of 12, a page of 7
        "related": {"parent": "Lindqvist", "children": [4]},
        "recent": True,
        "many": {
            "changed": [True, True],
            "read": ["Rita One", "Rita Two"],
            "short": True,
            "upserted": [True, True],
            "updated": True,
            "gone": [True, True],
        },
        "paged": {"deleted": True, "page": 7, "next": 7},
        "about": {
            "global": ["Contact", "Feedback__c", "Chat_Message__c", "Notification__c"],
            "user": simulator.username,
            "limits": ["DailyApiRequests"],
            "versions": True,
        },
        "absent": [[name, "NOT_IMPLEMENTED"] for name in ("search", "explain", "tooling", "composite", "recent", "bulk")],
        "after": "INVALID_SESSION_ID",
    }
