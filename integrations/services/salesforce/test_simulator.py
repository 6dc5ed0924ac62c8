"""The simulated org refuses what Salesforce refuses, with its status, code and words, and changes nothing; what is right it takes."""

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from integrations.services.salesforce.simulator import SalesforceSimulator
from integrations.simulators.server import SimResponse
from integrations.tests.wrong import Wrong, ask

V = "/services/data/v58.0"
GUEST = "003Hs0000000001IAA"
FEEDBACK = "a01Hs0000000002IAA"
NOBODY, DELETED = "003Hs0000009999IAA", "003Hs0000000005IAA"
RIGHT = {"authorization": f"Bearer {SalesforceSimulator.access_token}"}


def signed_in() -> SalesforceSimulator:
    return SalesforceSimulator(clock=lambda: datetime(2026, 6, 3, 12, tzinfo=UTC))


@pytest.fixture
def org() -> SalesforceSimulator:
    org = signed_in()
    org.control("delete_contact", {"Id": DELETED})
    return org


def say(org: SalesforceSimulator, method: str, target: str, body: Any = None, **headers: str | None) -> SimResponse:
    return ask(org, method, target, body, RIGHT | headers)


def soql(text: str) -> str:
    return f"{V}/query?q={quote(text)}"


def found(org: SalesforceSimulator, text: str) -> Any:
    answer = say(org, "GET", soql(text))
    assert answer.status == 200, answer.json
    return answer.json


WRONG_HEADERS = [
    Wrong(status, code, says, f"{V}/sobjects/Contact", {"LastName": "Almeida"}, headers=headers)
    for status, code, says, headers in (
        (401, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE", {"authorization": SalesforceSimulator.access_token}),
        (401, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE", {"authorization": f"Basic {SalesforceSimulator.access_token}"}),
        (401, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE", {"authorization": f"bearer {SalesforceSimulator.access_token}"}),
        (401, "INVALID_SESSION_ID", "Session expired or invalid", {"authorization": None}),
        (401, "INVALID_SESSION_ID", "Session expired or invalid", {"authorization": "Bearer other"}),
        (401, "INVALID_SESSION_ID", "Session expired or invalid", {"authorization": "Bearer "}),
        (415, "UNSUPPORTED_MEDIA_TYPE", "text/plain", {"content-type": "text/plain"}),
        (415, "UNSUPPORTED_MEDIA_TYPE", "application/x-www-form-urlencoded", {"content-type": "application/x-www-form-urlencoded"}),
        (501, "NOT_IMPLEMENTED", "text/xml", {"accept": "text/xml"}),
    )
]  # fmt: skip

WRONG_ADDRESSES = [
    Wrong(status, code, says, target, body, method)
    for method, target, body, status, code, says in (
        ("GET", "/services/data/v58/limits", None, 404, "NOT_FOUND", "requested resource"),
        ("GET", "/services/data/v58.1/limits", None, 404, "NOT_FOUND", "requested resource"),
        ("GET", "/services/data/v99.0/limits", None, 404, "NOT_FOUND", "requested resource"),
        ("GET", "/services/data/vlatest/limits", None, 404, "NOT_FOUND", "requested resource"),
        ("GET", "/services/data/v20.0/limits", None, 410, "GONE", "20.0"),
        ("GET", "/services/data/v30.0/limits", None, 410, "GONE", "30.0"),
        ("GET", f"{V}/sobjects/Guest/describe", None, 404, "NOT_FOUND", "requested resource"),
        ("POST", f"{V}/sobjects/Guest", {"LastName": "x"}, 404, "NOT_FOUND", "requested resource"),
        ("GET", f"{V}/sobjects/Contact/guest_1", None, 404, "NOT_FOUND", "guest_1"),
        ("GET", f"{V}/sobjects/Contact/{NOBODY}", None, 404, "NOT_FOUND", "requested resource"),
        ("GET", f"{V}/sobjects/Contact/{FEEDBACK}", None, 404, "NOT_FOUND", "requested resource"),
        ("GET", f"{V}/sobjects/Contact/{DELETED}", None, 404, "ENTITY_IS_DELETED", "deleted"),
        ("GET", f"{V}/sobjects/Contact/{GUEST[:15]}AAA", None, 400, "MALFORMED_ID", "Contact ID"),
        ("GET", f"{V}/sobjects/Contact/{GUEST}?fields=Id,Shoe__c", None, 400, "INVALID_FIELD", "Shoe__c"),
        ("GET", f"{V}/sobjects/Contact/LastName/Lindqvist", None, 404, "NOT_FOUND", "LastName"),
        ("GET", f"{V}/sobjects/Contact/Loyalty_Number__c/none", None, 404, "NOT_FOUND", "requested resource"),
        ("PATCH", f"{V}/sobjects/Contact/{NOBODY}", {"LastName": "x"}, 404, "NOT_FOUND", "requested resource"),
        ("PATCH", f"{V}/sobjects/Contact/{DELETED}", {"LastName": "x"}, 404, "ENTITY_IS_DELETED", "deleted"),
        ("PATCH", f"{V}/sobjects/Contact/{GUEST.lower()[:15]}AAB", {"LastName": "x"}, 400, "MALFORMED_ID", "Contact ID"),
        ("PATCH", f"{V}/sobjects/Contact/Title__c/7", {"LastName": "x"}, 404, "NOT_FOUND", "Title__c"),
        ("PATCH", f"{V}/sobjects/Feedback__c/Hospient_Id__c/7", {"Hospient_Id__c": "7"}, 400, "INVALID_FIELD", "Hospient_Id__c"),
        ("PATCH", f"{V}/sobjects/Feedback__c/Hospient_Id__c/{'7' * 256}", {"Rating__c": 4}, 400, "STRING_TOO_LONG", "Hospient Id"),
        ("PATCH", f"{V}/sobjects/Feedback__c/Hospient_Id__c/7?updateOnly=true", {"Rating__c": 4}, 404, "NOT_FOUND", "requested resource"),
        ("DELETE", f"{V}/sobjects/Contact/{NOBODY}", None, 404, "NOT_FOUND", "requested resource"),
        ("DELETE", f"{V}/sobjects/Contact/{DELETED}", None, 404, "ENTITY_IS_DELETED", "deleted"),
        ("PUT", f"{V}/sobjects/Contact/{GUEST}", {"LastName": "x"}, 405, "METHOD_NOT_ALLOWED", "HTTP Method 'PUT' not allowed"),
        ("POST", f"{V}/query", {"q": "SELECT Id FROM Contact"}, 405, "METHOD_NOT_ALLOWED", "Allowed are GET"),
        ("GET", f"{V}/guests", None, 404, "NOT_FOUND", "requested resource"),
        ("POST", f"{V}/composite", {"compositeRequest": []}, 501, "NOT_IMPLEMENTED", "composite"),
        ("POST", f"{V}/composite/batch", {}, 501, "NOT_IMPLEMENTED", "composite/batch"),
        ("POST", f"{V}/composite/tree/Contact", {}, 501, "NOT_IMPLEMENTED", "composite/tree"),
        ("POST", f"{V}/jobs/query", {}, 501, "NOT_IMPLEMENTED", "jobs"),
        ("GET", f"{V}/search?q=FIND", None, 501, "NOT_IMPLEMENTED", "search"),
        ("GET", f"{V}/tooling/query?q=x", None, 501, "NOT_IMPLEMENTED", "tooling"),
        ("GET", f"{V}/query?explain=SELECT", None, 501, "NOT_IMPLEMENTED", "explain"),
        ("POST", "/services/Soap/u/58.0", {}, 501, "NOT_IMPLEMENTED", "Soap"),
        ("GET", f"{V}/sobjects/Contact/describe/layouts/012000000000000AAA", None, 501, "NOT_IMPLEMENTED", "layouts"),
        ("GET", f"{V}/sobjects/Contact/{GUEST}/Feedback__r/x/y", None, 501, "NOT_IMPLEMENTED", "Feedback__r"),
    )
]  # fmt: skip

WRONG_FIELDS = [
    Wrong(400, code, says, f"{V}/sobjects/{table}", good | wrong)
    for table, good, cases in (
        ("Contact", {"LastName": "Almeida"}, (
            ({"LastName": None}, "REQUIRED_FIELD_MISSING", "LastName"), ({"LastName": ""}, "REQUIRED_FIELD_MISSING", "LastName"),
            ({"LastName": "x" * 81}, "STRING_TOO_LONG", "max length=80"), ({"FirstName": "x" * 41}, "STRING_TOO_LONG", "First Name"),
            ({"Phone": "1" * 41}, "STRING_TOO_LONG", "Phone"), ({"Email": "x" * 75 + "@x.org"}, "STRING_TOO_LONG", "Email"),
            ({"Description": "x" * 32_001}, "STRING_TOO_LONG", "Description"), ({"Email": "nowhere"}, "INVALID_EMAIL_ADDRESS", "Email"),
            ({"Email": "a@b"}, "INVALID_EMAIL_ADDRESS", "Email"), ({"LastName": 5}, "JSON_PARSER_ERROR", "LastName"),
            ({"LastName": ["x"]}, "JSON_PARSER_ERROR", "START_ARRAY"), ({"LastName": {"a": 1}}, "JSON_PARSER_ERROR", "START_OBJECT"),
            ({"DoNotCall": "yes"}, "JSON_PARSER_ERROR", "boolean"), ({"DoNotCall": 1}, "JSON_PARSER_ERROR", "boolean"),
            ({"DoNotCall": None}, "INVALID_TYPE_ON_FIELD_IN_RECORD", "Do Not Call"), ({"Shoe__c": "44"}, "INVALID_FIELD", "Shoe__c"),
            ({"Id": GUEST}, "INVALID_FIELD", "Id field should not be specified"),
            ({"Name": "x"}, "INVALID_FIELD_FOR_INSERT_UPDATE", "Name"), ({"IsDeleted": True}, "INVALID_FIELD_FOR_INSERT_UPDATE", "IsDeleted"),
            ({"CreatedDate": "2026-01-01T00:00:00Z"}, "INVALID_FIELD_FOR_INSERT_UPDATE", "CreatedDate"),
            ({"SystemModstamp": None}, "INVALID_FIELD_FOR_INSERT_UPDATE", "SystemModstamp"),
        )),
        ("Feedback__c", {"Rating__c": 4}, (
            ({"Rating__c": "4"}, "JSON_PARSER_ERROR", "Rating__c"), ({"Rating__c": True}, "JSON_PARSER_ERROR", "VALUE_TRUE"),
            ({"Rating__c": 100}, "NUMBER_OUTSIDE_VALID_RANGE", "Rating"), ({"Rating__c": -100}, "NUMBER_OUTSIDE_VALID_RANGE", "Rating"),
            ({"Guest__c": "guest_1"}, "MALFORMED_ID", "Guest"), ({"Guest__c": GUEST[:15] + "AAA"}, "MALFORMED_ID", "Guest"),
            ({"Guest__c": GUEST[:14]}, "MALFORMED_ID", "Guest"), ({"Guest__c": 1}, "JSON_PARSER_ERROR", "Guest__c"),
            ({"Guest__c": NOBODY}, "INVALID_CROSS_REFERENCE_KEY", "Guest__c"), ({"Guest__c": FEEDBACK}, "INVALID_CROSS_REFERENCE_KEY", "Guest__c"),
            ({"Guest__c": DELETED}, "ENTITY_IS_DELETED", "Guest__c"), ({"Room_Number__c": "1" * 21}, "STRING_TOO_LONG", "Room Number"),
            ({"Title__c": "x" * 256}, "STRING_TOO_LONG", "Title"), ({"Message__c": "x" * 32_001}, "STRING_TOO_LONG", "Message"),
            ({"Submitted_At__c": "yesterday"}, "JSON_PARSER_ERROR", "Submitted_At__c"),
            ({"Submitted_At__c": "2026-02-30T10:00:00Z"}, "JSON_PARSER_ERROR", "Submitted_At__c"),
            ({"Submitted_At__c": "2026-02-03"}, "JSON_PARSER_ERROR", "Submitted_At__c"),
            ({"Submitted_At__c": "2026-02-03T10:00:00"}, "JSON_PARSER_ERROR", "Submitted_At__c"),
            ({"Submitted_At__c": 1772000000}, "JSON_PARSER_ERROR", "Submitted_At__c"),
            ({"Is_Anonymous__c": "false"}, "JSON_PARSER_ERROR", "Is_Anonymous__c"),
        )),
        ("Notification__c", {"Title__c": "Pool"}, (
            ({"Status__c": "gone"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "Status"),
            ({"Priority__c": "Normal"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "Priority"), ({"Status__c": 1}, "JSON_PARSER_ERROR", "Status__c"),
        )),
    )
    for wrong, code, says in cases
] + [
    Wrong(400, code, says, f"{V}/sobjects/Contact", body)
    for body, code, says in (
        (b"{", "JSON_PARSER_ERROR", "JSON"), (b"not JSON", "JSON_PARSER_ERROR", "JSON"), ([], "JSON_PARSER_ERROR", "object"),
        ({}, "REQUIRED_FIELD_MISSING", "LastName"), (None, "REQUIRED_FIELD_MISSING", "LastName"),
    )
]  # fmt: skip

WRONG_QUERIES = [
    Wrong(status, code, says, soql(text), method="GET")
    for text, status, code, says in (
        ("", 400, "MALFORMED_QUERY", "A query string has to be specified"), ("SELECT", 400, "MALFORMED_QUERY", "<EOF>"),
        ("SELECT Id FRO Contact", 400, "MALFORMED_QUERY", "Row:1:Column:11"), ("SELECT Id, FROM Contact", 400, "MALFORMED_QUERY", "'FROM'"),
        ("SELECT * FROM Contact", 400, "MALFORMED_QUERY", "'*'"), ("SELECT Id FROM Contact;", 400, "MALFORMED_QUERY", "';'"),
        ("SELECT Id, Id FROM Contact", 400, "MALFORMED_QUERY", "duplicate field selected: Id"),
        ("SELECT Id FROM Contact WHERE", 400, "MALFORMED_QUERY", "<EOF>"), ("DELETE FROM Contact", 400, "MALFORMED_QUERY", "'DELETE'"),
        ("SELECT Id FROM Contact WHERE Id = '1' OR Id = '2' AND Id = '3'", 400, "MALFORMED_QUERY", "'AND'"),
        ("SELECT Id FROM Contact WHERE (LastName = 'a'", 400, "MALFORMED_QUERY", "<EOF>"),
        ("SELECT Id FROM Contact WHERE LastName == 'a'", 400, "MALFORMED_QUERY", "'='"),
        ("SELECT Id FROM Contact WHERE LastName = 'O'Neil'", 400, "MALFORMED_QUERY", "Neil"),
        ("SELECT Id FROM Contact WHERE LastName = 'a\\d'", 400, "MALFORMED_QUERY", "Illegal character sequence '\\d'"),
        ("SELECT Id FROM Contact WHERE LastName = 'a\\_b'", 400, "MALFORMED_QUERY", "Illegal character sequence"),
        ("SELECT Id FROM Contact WHERE LastName = 'a", 400, "MALFORMED_QUERY", "string literal"),
        ("SELECT Id FROM Contact WHERE LastName = \"a\"", 400, "MALFORMED_QUERY", "unexpected"),
        ("SELECT Id FROM Contact WHERE LastName = :name", 400, "MALFORMED_QUERY", "Bind variables"),
        ("SELECT Id FROM Contact WHERE LastName = Silva", 400, "MALFORMED_QUERY", "'Silva'"),
        ("SELECT Id FROM Contact WHERE LastName IN ()", 400, "MALFORMED_QUERY", "')'"),
        ("SELECT Id FROM Contact WHERE LastName IN 'a'", 400, "MALFORMED_QUERY", "'a'"),
        ("SELECT Id FROM Contact ORDER LastName", 400, "MALFORMED_QUERY", "'ORDER'"), ("SELECT Id FROM Contact LIMIT", 400, "MALFORMED_QUERY", "<EOF>"),
        ("SELECT Id FROM Contact LIMIT -1", 400, "MALFORMED_QUERY", "'-1'"), ("SELECT Id FROM Contact LIMIT 1.5", 400, "MALFORMED_QUERY", "'1.5'"),
        ("SELECT Id FROM Contact OFFSET 1 LIMIT 1", 400, "MALFORMED_QUERY", "'LIMIT'"),
        ("SELECT Id FROM Contact OFFSET 2001", 400, "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000"),
        ("SELECT COUNT() FROM Contact ORDER BY Id", 400, "MALFORMED_QUERY", "'ORDER'"),
        ("SELECT Id FROM Guest", 400, "INVALID_TYPE", "sObject type 'Guest' is not supported"),
        ("SELECT Shoe__c FROM Contact", 400, "INVALID_FIELD", "No such column 'Shoe__c' on entity 'Contact'"),
        ("SELECT Id FROM Contact WHERE Shoe__c = 'a'", 400, "INVALID_FIELD", "Shoe__c"), ("SELECT Id FROM Contact ORDER BY Shoe__c", 400, "INVALID_FIELD", "Shoe__c"),
        ("SELECT Guest__r.Shoe__c FROM Feedback__c", 400, "INVALID_FIELD", "on entity 'Contact'"),
        ("SELECT Guest__c.LastName FROM Feedback__c", 400, "INVALID_FIELD", "relationship 'Guest__c'"),
        ("SELECT Id, (SELECT Id FROM Feedback__c) FROM Contact", 400, "INVALID_TYPE", "relationship 'Feedback__c'"),
        ("SELECT Id, (SELECT Shoe__c FROM Feedback__r) FROM Contact", 400, "INVALID_FIELD", "on entity 'Feedback__c'"),
        ("SELECT Id FROM Contact WHERE Description = 'a'", 400, "INVALID_FIELD", "'Description' can not be filtered"),
        ("SELECT Id FROM Contact ORDER BY Description", 400, "INVALID_FIELD", "'Description' can not be sorted"),
        ("SELECT Id FROM Contact WHERE Id = 'guest_1'", 400, "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: guest_1"),
        ("SELECT Id FROM Contact WHERE Id = ''", 400, "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field"),
        ("SELECT Id FROM Contact WHERE Id IN ('003Hs0000000001IAA','003Hs0000000001AAA')", 400, "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field"),
        ("SELECT Id FROM Contact WHERE Id LIKE '003%'", 400, "INVALID_FIELD", "invalid operator on id field"),
        ("SELECT Id FROM Contact WHERE LastName = 5", 400, "INVALID_FIELD", "must be of type string and should be enclosed in quotes"),
        ("SELECT Id FROM Contact WHERE VIP__c = 'true'", 400, "INVALID_FIELD", "must be of type boolean and should not be enclosed"),
        ("SELECT Id FROM Contact WHERE VIP__c > true", 400, "INVALID_FIELD", "invalid operator on boolean field"),
        ("SELECT Id FROM Feedback__c WHERE Rating__c = '5'", 400, "INVALID_FIELD", "must be of type double and should not be enclosed"),
        ("SELECT Id FROM Contact WHERE SystemModstamp > '2026-06-01T00:00:00Z'", 400, "INVALID_FIELD", "must be of type dateTime"),
        ("SELECT Id FROM Contact WHERE SystemModstamp > 2026-06-01", 400, "INVALID_FIELD", "must be of type dateTime"),
        ("SELECT Id FROM Contact WHERE SystemModstamp > 2026-06-31T00:00:00Z", 400, "MALFORMED_QUERY", "invalid date"),
        ("SELECT Id FROM Contact WHERE SystemModstamp > 2026-06-01T00:00:00", 400, "MALFORMED_QUERY", "T00"),
        ("SELECT Id FROM Contact WHERE LastName = TODAY", 400, "INVALID_FIELD", "LastName"),
        ("SELECT Id FROM Contact WHERE Id IN (SELECT LastName FROM Contact)", 400, "MALFORMED_QUERY", "semi join"),
        ("SELECT LastName, COUNT(Id) FROM Contact GROUP BY LastName", 501, "NOT_IMPLEMENTED", "COUNT beside"),
        ("SELECT LastName FROM Contact GROUP BY LastName", 501, "NOT_IMPLEMENTED", "GROUP"), ("SELECT MAX(Rating__c) FROM Feedback__c", 501, "NOT_IMPLEMENTED", "MAX"),
        ("SELECT FIELDS(ALL) FROM Contact LIMIT 200", 501, "NOT_IMPLEMENTED", "FIELDS"), ("SELECT Id FROM Contact FOR VIEW", 501, "NOT_IMPLEMENTED", "FOR"),
        ("SELECT Id FROM Contact WHERE SystemModstamp = THIS_WEEK", 501, "NOT_IMPLEMENTED", "THIS_WEEK"),
        ("SELECT Id FROM Contact WHERE LastName INCLUDES ('a')", 501, "NOT_IMPLEMENTED", "INCLUDES"),
    )
] + [
    Wrong(400, "INVALID_QUERY_LOCATOR", "invalid query locator", f"{V}/query/01gHs0000000000001-2000", method="GET"),
    Wrong(400, "MALFORMED_QUERY", "A query string has to be specified", f"{V}/queryAll", method="GET"),
    *(
        Wrong(400, code, says, f"{V}/sobjects/Contact/{log}?{window}", method="GET")
        for log in ("deleted", "updated")
        for window, code, says in (
            ("start=2026-06-03T10:00:00%2B00:00", "MALFORMED_QUERY", "end"), ("start=yesterday&end=today", "MALFORMED_QUERY", "start"),
            ("start=2026-06-03T10:00:00&end=2026-06-03T11:00:00", "MALFORMED_QUERY", "time zone"),
            ("start=2026-06-03T10:00:00Z&end=2026-06-03T10:00:30Z", "INVALID_REPLICATION_DATE", "endDate"),
            ("start=2026-06-03T10:00:00Z&end=2026-06-02T10:00:00Z", "INVALID_REPLICATION_DATE", "endDate"),
            ("start=2026-05-01T10:00:00Z&end=2026-06-03T10:00:00Z", "INVALID_REPLICATION_DATE", "startDate"),
        )
    ),
]  # fmt: skip

MANY = f"{V}/composite/sobjects"
CONTACT = {"attributes": {"type": "Contact"}, "LastName": "Almeida"}
WRONG_COLLECTIONS = [
    Wrong(400, code, says, MANY, body)
    for body, code, says in (
        ({}, "JSON_PARSER_ERROR", "records"), ([], "JSON_PARSER_ERROR", "records"), ({"records": {}}, "JSON_PARSER_ERROR", "records"),
        ({"records": ["x"]}, "JSON_PARSER_ERROR", "records"), ({"records": [CONTACT], "allOrNothing": True}, "JSON_PARSER_ERROR", "allOrNothing"),
        ({"records": [CONTACT] * 201}, "EXCEEDED_MAX_SIZE_REQUEST", "200"),
    )
] + [
    Wrong(400, "JSON_PARSER_ERROR", "ids", f"{MANY}/Contact", {"fields": ["Id"]}), Wrong(400, "JSON_PARSER_ERROR", "fields", f"{MANY}/Contact", {"ids": [GUEST]}),
    Wrong(400, "INVALID_FIELD", "Shoe__c", f"{MANY}/Contact", {"ids": [GUEST], "fields": ["Shoe__c"]}),
    Wrong(400, "MALFORMED_ID", "Contact ID", f"{MANY}/Contact", {"ids": [GUEST[:15] + "AAA"], "fields": ["Id"]}),
    Wrong(404, "NOT_FOUND", "requested resource", f"{MANY}/Guest", {"ids": [GUEST], "fields": ["Id"]}),
]  # fmt: skip


@pytest.mark.parametrize("wrong", [*WRONG_HEADERS, *WRONG_ADDRESSES, *WRONG_FIELDS, *WRONG_QUERIES, *WRONG_COLLECTIONS], ids=repr)
def test_wrong_request_is_refused_as_salesforce_does_and_changes_nothing(org: SalesforceSimulator, wrong: Wrong) -> None:
    before = deepcopy(org.records)
    answer = say(org, wrong.method, wrong.target, wrong.body, **wrong.headers)
    assert isinstance(answer.json, list), answer
    (error,) = answer.json
    assert (answer.status, error["errorCode"]) == (wrong.status, wrong.code), error
    assert wrong.says in f"{error['message']} {error.get('fields')}"
    assert org.records == before


FORM = "grant_type=client_credentials&client_id=3MVG9.simulated.client&client_secret=simulated-client-secret"
WRONG_SIGN_INS = [
    Wrong(400, code, says, "/services/oauth2/token", body)
    for body, code, says in (
        ("", "unsupported_grant_type", "grant type not supported"), ("client_id=x", "unsupported_grant_type", "grant type not supported"),
        ("grant_type=password&username=a&password=b", "unsupported_grant_type", "grant type not supported"),
        ("grant_type=authorization_code&code=x", "unsupported_grant_type", "grant type not supported"),
        ("grant_type=client_credentials", "invalid_client_id", "client identifier invalid"),
        (FORM + "x", "invalid_client", "invalid client credentials"), (FORM.replace("3MVG9", "3MVG8"), "invalid_client_id", "client identifier"),
        ("grant_type=refresh_token&refresh_token=5Aep.simulated.1", "invalid_client_id", "client identifier invalid"),
        ("grant_type=refresh_token&client_id=3MVG9.simulated.client&refresh_token=old", "invalid_grant", "expired access/refresh token"),
        ("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=x", "invalid_grant", "approved"),
    )
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG_SIGN_INS, ids=repr)
def test_wrong_sign_in_gets_no_session(org: SalesforceSimulator, wrong: Wrong) -> None:
    before = set(org.sessions)
    answer = ask(org, wrong.method, wrong.target, wrong.body)
    assert (answer.status, answer.json["error"]) == (wrong.status, wrong.code)
    assert wrong.says in answer.json["error_description"]
    assert org.sessions == before


WRONG_RECORDS = [
    ("PATCH", MANY, {"attributes": {"type": "Contact"}, "LastName": "x"}, "MISSING_ARGUMENT", "Id"),
    ("PATCH", MANY, {"attributes": {"type": "Contact"}, "id": NOBODY, "LastName": "x"}, "NOT_FOUND", "resource"),
    ("PATCH", MANY, {"attributes": {"type": "Contact"}, "id": GUEST[:15] + "AAA"}, "MALFORMED_ID", "Contact ID"),
    ("PATCH", f"{MANY}/Feedback__c/Hospient_Id__c", {"attributes": {"type": "Feedback__c"}, "Rating__c": 4}, "MISSING_ARGUMENT", "Hospient_Id__c"),
    ("PATCH", f"{MANY}/Feedback__c/Hospient_Id__c", {**CONTACT, "Hospient_Id__c": "7"}, "INVALID_INPUT", "Feedback__c"),
    ("POST", MANY, {"LastName": "x"}, "INVALID_INPUT", "attributes.type"),
    ("POST", MANY, {"attributes": {"type": "Guest"}, "LastName": "x"}, "INVALID_TYPE", "Guest"),
    ("POST", MANY, {"attributes": {"type": "Contact"}}, "REQUIRED_FIELD_MISSING", "LastName"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "target", "record", "code", "says"), WRONG_RECORDS)
def test_wrong_record_of_a_collection_is_told_in_its_place(org: SalesforceSimulator, method, target, record, code, says) -> None:
    before = deepcopy(org.records)
    answer = say(org, method, target, {"allOrNone": False, "records": [record]})
    assert answer.status == 200
    [result] = answer.json
    assert (result["success"], result["errors"][0]["statusCode"]) == (False, code)
    assert says in f"{result['errors'][0]}"
    assert org.records == before


def test_all_or_none_undoes_the_rest(org: SalesforceSimulator) -> None:
    before = deepcopy(org.records)
    answer = say(org, "POST", MANY, {"allOrNone": True, "records": [CONTACT, {"attributes": {"type": "Contact"}}]})
    assert [result["errors"][0]["statusCode"] for result in answer.json] == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"]
    assert org.records == before


# --- what is right -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "total"),
    [
        ("select id from contact", 29), ("SELECT Id FROM Contact c WHERE c.LastName = 'silva'", 6),
        ("SELECT Id FROM Contact WHERE LastName = 'Silva' OR LastName = 'Tanaka'", 12),
        ("SELECT Id FROM Contact WHERE (LastName = 'Silva' OR LastName = 'Tanaka') AND HasOptedOutOfEmail = true", 2),
        ("SELECT Id FROM Contact WHERE NOT LastName LIKE 'S%'", 23), ("SELECT Id FROM Contact WHERE LastName NOT IN ('Silva', 'Tanaka')", 17),
        ("SELECT Id FROM Contact WHERE LastName LIKE '_il%'", 6), ("SELECT Id FROM Contact WHERE LastName LIKE '\\_il%'", 0),
        ("SELECT Id FROM Contact WHERE LastName <> 'O\\'Neil'", 24), ("SELECT Id FROM Contact WHERE Language__c = null", 29),
        ("SELECT Id FROM Contact WHERE Language__c = ''", 29), ("SELECT Id FROM Contact WHERE Language__c != null", 0),
        ("SELECT Id FROM Contact WHERE Id = '003Hs0000000001'", 1), ("SELECT Id FROM Contact WHERE Id IN ('003Hs0000000001IAA', '003Hs0000009999IAA')", 1),
        ("SELECT Id FROM Contact LIMIT 7", 7), ("SELECT Id FROM Contact LIMIT 7 OFFSET 25", 4), ("SELECT Id FROM Contact LIMIT 0", 0),
        ("SELECT Id FROM Contact WHERE CreatedDate = TODAY", 2), ("SELECT Id FROM Contact WHERE CreatedDate < YESTERDAY", 3),
        ("SELECT Id FROM Contact WHERE CreatedDate = LAST_N_DAYS:1", 26), ("SELECT Id FROM Contact WHERE CreatedDate > TODAY", 0),
        ("SELECT Id FROM Contact WHERE CreatedDate >= 2026-06-03T00:00:00Z AND CreatedDate < 2026-06-03T02:00:00+02:00", 0),
        ("SELECT Id FROM Contact WHERE Id IN (SELECT Guest__c FROM Feedback__c)", 4), ("SELECT Id FROM Feedback__c WHERE Rating__c >= 3.5", 5),
        ("SELECT Id FROM Feedback__c WHERE Guest__r.LastName = 'Haddad'", 1),
    ],
)  # fmt: skip
def test_queries_find_what_salesforce_would(org: SalesforceSimulator, text: str, total: int) -> None:
    assert found(org, text)["totalSize"] == total


def test_count_has_no_rows_and_count_of_a_field_is_one(org: SalesforceSimulator) -> None:
    assert found(org, "SELECT COUNT() FROM Contact WHERE LastName = 'Silva'") == {"totalSize": 6, "done": True, "records": []}
    [row] = found(org, "SELECT COUNT(Language__c) spoken FROM Contact")["records"]
    assert (row["attributes"], row["spoken"]) == ({"type": "AggregateResult"}, 0)
    assert found(org, "SELECT COUNT(Id) FROM Contact")["records"][0]["expr0"] == 29


def test_relationships_lead_to_the_parent_and_to_the_children(org: SalesforceSimulator) -> None:
    [row] = found(org, "SELECT Title__c, Guest__r.LastName, Guest__r.Id FROM Feedback__c WHERE Guest__r.Email = 'guest1@example.com'")[
        "records"
    ]
    assert (row["Title__c"], row["Guest__r"]["LastName"], row["Guest__r"]["Id"]) == ("Our stay", "Lindqvist", GUEST)
    assert row["Guest__r"]["attributes"]["type"] == "Contact"
    rows = found(org, "SELECT Id, (SELECT Rating__c FROM Feedback__r WHERE Rating__c > 3) FROM Contact ORDER BY CreatedDate")["records"]
    assert [child["Rating__c"] for child in rows[0]["Feedback__r"]["records"]] == [4.0]
    assert rows[-1]["Feedback__r"] is None


def test_order_is_by_several_fields_and_the_empty_come_first_unless_asked(org: SalesforceSimulator) -> None:
    say(org, "PATCH", f"{V}/sobjects/Contact/{GUEST}", {"Language__c": "sv"})
    first = found(org, "SELECT Id FROM Contact ORDER BY Language__c DESC NULLS LAST, Id LIMIT 1")["records"]
    last = found(org, "SELECT Id FROM Contact ORDER BY Language__c, Id DESC")["records"]
    assert first[0]["Id"] == last[-1]["Id"] == GUEST


def test_locators_lead_on_until_they_lapse_and_a_caller_may_ask_for_smaller_batches(org: SalesforceSimulator) -> None:
    org.batch_size = 10
    first = found(org, "SELECT Id FROM Contact")
    assert (first["done"], len(first["records"]), first["totalSize"]) == (False, 10, 29)
    second = say(org, "GET", first["nextRecordsUrl"]).json
    assert say(org, "GET", first["nextRecordsUrl"]).json["records"] == second["records"]
    assert len(say(org, "GET", second["nextRecordsUrl"]).json["records"]) == 9
    org.control("expire_locators", {})
    assert say(org, "GET", second["nextRecordsUrl"]).json[0]["errorCode"] == "INVALID_QUERY_LOCATOR"
    org.batch_size = 2000
    for number in range(230):
        org.insert("Contact", {"LastName": f"Group {number}"})
    assert len(say(org, "GET", soql("SELECT Id FROM Contact"), **{"sforce-query-options": "batchSize=200"}).json["records"]) == 200


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("query_timeout", 400, "QUERY_TIMEOUT"), ("running_too_long", 400, "REQUEST_RUNNING_TOO_LONG"),
        ("locked_row", 400, "UNABLE_TO_LOCK_ROW"), ("limit_exceeded", 403, "REQUEST_LIMIT_EXCEEDED"),
    ],
)  # fmt: skip
def test_what_passes_at_salesforce_can_be_asked_for(org: SalesforceSimulator, fault: str, status: int, code: str) -> None:
    org.fail(fault)
    answers = [say(org, "GET", soql("SELECT Id FROM Contact")) for _ in range(2)]
    assert (answers[0].status, answers[0].json[0]["errorCode"], answers[1].status) == (status, code, 200)


def test_allowance_of_a_day_ends(org: SalesforceSimulator) -> None:
    org.api_calls = 15_000
    assert say(org, "GET", f"{V}/limits").json[0]["errorCode"] == "REQUEST_LIMIT_EXCEEDED"
    assert ask(org, "GET", "/services/data").status == 200


def test_id_of_15_characters_is_the_record_of_18(org: SalesforceSimulator) -> None:
    assert say(org, "GET", f"{V}/sobjects/contact/{GUEST[:15]}?fields=lastname").json["LastName"] == "Lindqvist"
    assert say(org, "POST", f"{V}/sobjects/Feedback__c", {"guest__c": GUEST[:15], "Rating__c": 4}).status == 201
    assert found(org, "SELECT Guest__c FROM Feedback__c WHERE Guest__c = '003Hs0000000001'")["records"][-1]["Guest__c"] == GUEST
    assert say(org, "DELETE", f"{V}/sobjects/Contact/{GUEST[:15]}").status == 204


@pytest.mark.parametrize("version", ["31.0", "58.0", "67.0"])
def test_versions_in_use_are_taken(org: SalesforceSimulator, version: str) -> None:
    assert say(org, "GET", f"/services/data/v{version}/sobjects/Contact/describe").status == 200
    assert version in [one["version"] for one in ask(org, "GET", "/services/data").json]


def test_duplicate_of_a_unique_field_is_refused_and_named(org: SalesforceSimulator) -> None:
    key = say(org, "POST", f"{V}/sobjects/Feedback__c", {"Hospient_Id__c": "7"}).json["id"]
    [error] = say(org, "POST", f"{V}/sobjects/Feedback__c", {"Hospient_Id__c": "7"}).json
    assert (error["errorCode"], error["fields"]) == ("DUPLICATE_VALUE", ["Hospient_Id__c"])
    assert key in error["message"]
    assert say(org, "PATCH", f"{V}/sobjects/Feedback__c/Hospient_Id__c/7", {"Rating__c": 3}).json["created"] is False


def test_session_that_was_revoked_is_over(org: SalesforceSimulator) -> None:
    assert ask(org, "POST", "/services/oauth2/revoke", f"token={SalesforceSimulator.access_token}").status == 200
    assert say(org, "GET", f"{V}/limits").status == 401
    session = ask(org, "POST", "/services/oauth2/token", FORM).json["access_token"]
    assert say(org, "GET", f"{V}/limits", authorization=f"Bearer {session}").status == 200


def test_log_of_deletions_tells_what_was_deleted(org: SalesforceSimulator) -> None:
    start, end = (org.clock() + timedelta(minutes=minutes) for minutes in (-10, 5))
    target = f"{V}/sobjects/Contact/deleted?start={quote(start.isoformat())}&end={quote(end.isoformat())}"
    assert [row["id"] for row in say(org, "GET", target).json["deletedRecords"]] == [DELETED]
