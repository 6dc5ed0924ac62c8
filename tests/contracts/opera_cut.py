"""Cuts what the OPERA simulator serves out of Oracle's specifications: `python -m tests.contracts.opera_cut FOLDER` writes it anew.

The simulator has to be strict where the specifications are not at hand, so its share of them is a file beside it. What Oracle allows and
the simulator does not offer keeps its name, so that it can be refused by name.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from integrations.services.opera_cloud import simulator_contract

Json = dict[str, Any]

NOTICE = (
    "Cut from Oracle's hospitality-api-docs (OPERA Cloud 25.5.0.0, oauth 21.5.0.0). Copyright (c) 2021, 2026 Oracle and/or its affiliates. "
    "Licensed under the Universal Permissive License v1.0, https://oss.oracle.com/licenses/upl. Shortened: no descriptions, and only names "
    "of what the simulator does not offer."
)
MODULES = ("rsv", "fof", "hsk", "crm", "csh", "int")
KEPT = ("type", "enum", "minLength", "maxLength", "pattern", "format", "minimum", "maximum", "minItems", "maxItems", "uniqueItems")
ID = ("id", "type")
UNIQUE_ID = ("url", "type", "instance", "idContext", "id", "idExtension")
OFFERED: Mapping[str, tuple[str, ...]] = {
    "pingReservationService": (),
    "pingFrontDeskOperationsService": (),
    "pingHouseKeepingService": (),
    "pingProfileService": (),
    "pingCashieringService": (),
    "getHotelReservations": (
        "limit", "offset", "searchType", "reservationIdList", "confirmationNumberList", "arrivalStartDate", "arrivalEndDate",
        "departureStartDate", "departureEndDate", "stayOnStartDate", "profileId", "surname", "givenName", "orderBy", "sortOrder",
        "roomId", "roomType", "reservationStatuses", "fetchInstructions", "excludePseudoRoomReservations",
    ),
    "getReservation": ("fetchInstructions",),
    "getHotelRooms": ("limit", "offset", "roomType", "hotelRoomStatus", "hotelFORoomStatus"),
    "postRoomAssignment": (
        "criteria.hotelId", *(f"criteria.reservationIdList.{name}" for name in ID), "criteria.roomId", "criteria.roomNumberLocked",
        "criteria.updateRoomTypeCharged", "criteria.overrideInstructions.dirtyRoom",
    ),
    "postCheckIn": (
        "reservation.roomId", "reservation.ignoreWarnings", "reservation.stopCheckin", "reservation.printRegistration",
        "fetchReservationInstruction", "includeNotifications",
    ),
    "getServiceRequests": ("reservationId", "profileId", "room", "creationStartDate", "creationEndDate", "status", "code"),
    "postServiceRequests": (
        *(f"serviceRequestsDetails.{name}" for name in ("hotelId", "code", "status", "priority", "room", "comment")),
        *(f"serviceRequestsDetails.reservationIdList.{name}" for name in ID),
        *(f"serviceRequestsDetails.profileId.{name}" for name in UNIQUE_ID),
    ),
    "getHousekeepingOverview": (
        "limit", "offset", "roomIdText", "fromRoomNumber", "toRoomNumber", "housekeepingRoomStatus", "frontOfficeRoomStatus", "roomType",
        "floor",
    ),
    "getProfiles": ("limit", "offset", "hotelId", "profileType", "profileIds", "profileName", "givenName", "email", "phone"),
    "getProfile": ("hotelId", "fetchInstructions"),
    "putProfile": (
        *(f"profileIdList.{name}" for name in (*ID, "idContext")),
        *(
            f"profileDetails.customer.personName.{name}"
            for name in ("namePrefix", "givenName", "middleName", "surname", "nameSuffix", "nameTitle", "nameType", "language")
        ),
        *(f"profileDetails.customer.{name}" for name in ("language", "nationality", "vipStatus", "birthDate", "gender")),
        *(
            f"profileDetails.telephones.telephoneInfo.{name}"
            for name in (*ID, *(f"telephone.{n}" for n in ("phoneTechType", "phoneUseType", "phoneNumber", "primaryInd")))
        ),
        *(f"profileDetails.emails.emailInfo.{name}" for name in (*ID, *(f"email.{n}" for n in ("emailAddress", "type", "primaryInd")))),
        *(
            f"profileDetails.comments.commentInfo.{name}"
            for name in (*ID, *(f"comment.{n}" for n in ("text.value", "commentTitle", "type", "hotelId", "internal")))
        ),
    ),
    "getTransactionCodes": ("includeArticles", "code"),
    "postBillingCharges": (
        "criteria.hotelId", *(f"criteria.reservationId.{name}" for name in UNIQUE_ID), "criteria.cashierId", "criteria.postIt",
        "criteria.incomeAuditDate",
        *(
            f"criteria.charges.{name}"
            for name in (
                "transactionCode", "price.amount", "price.currencyCode", "postingQuantity", "postingReference", "postingRemark",
                "checkNumber", "applyRoutingInstructions", "folioWindowNo", "cashierId", "covers",
            )
        ),
    ),
    "getFolio": ("fetchInstructions", "limit", "offset", "folioWindowNo", "start", "end"),
    "postCheckOut": (
        "reservation.hotelId", *(f"reservation.reservationIdList.{name}" for name in ID), "reservation.eventType",
        "reservation.checkoutInstr.roomStatus", "reservation.checkoutInstr.ignoreWarnings", "reservation.cashierId",
        "reservation.autoCheckout", "reservation.stopCheckout", "verificationOnly",
    ),
    "getBusinessEvents": ("limit",),
}  # fmt: skip
"""Operation -> its query parameters, and the paths of its body, without the marks of lists."""


def resolved(document: Json, schema: Json) -> Json:
    """Return a schema with its reference and the parts of `allOf` in place."""
    if "$ref" in schema:
        schema = {**document["definitions"][schema["$ref"].rpartition("/")[2]], **{k: v for k, v in schema.items() if k != "$ref"}}
    whole: Json = {}
    for part in (*(resolved(document, part) for part in schema.get("allOf", ())), {k: v for k, v in schema.items() if k != "allOf"}):
        whole |= part | {"properties": whole.get("properties", {}) | part.get("properties", {})}
    return whole


def shortened(document: Json, schema: Json, offered: set[str]) -> Json:
    """Return what is offered of a schema. A date of Oracle's that may have but 8 characters fits no date: that limit is dropped."""
    schema = resolved(document, schema)
    kept = {name: schema[name] for name in KEPT if name in schema}
    if kept.get("format") == "date":
        kept.pop("maxLength", None)
    if "items" in schema:
        return kept | {"items": shortened(document, schema["items"], offered)}
    if not schema["properties"]:
        return kept
    below: dict[str, set[str]] = {}
    for path in offered:
        name, _, rest = path.partition(".")
        below.setdefault(name, set()).update({rest} - {""})
    assert below.keys() <= schema["properties"].keys(), below.keys() - schema["properties"].keys()
    properties = {name: shortened(document, schema["properties"][name], rest) for name, rest in sorted(below.items())}
    others = sorted(schema["properties"].keys() - below.keys() - {"links", "warnings"})
    return {"type": "object", "properties": properties, "notOffered": others}


def parameter(document: Json, given: Json) -> Json:
    return document["parameters"][given["$ref"].rpartition("/")[2]] if "$ref" in given else given


def cut(specifications: Path) -> Json:
    operations, others, headers = {}, [], {}
    for module in MODULES:
        document = json.loads((specifications / f"opera_cloud_{module}.openapi.json").read_text())
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                name = operation["operationId"]
                if name not in OFFERED:
                    others.append([method.upper(), path, name])
                    continue
                parameters = [parameter(document, given) for given in operation["parameters"]]
                headers |= {p["name"]: shortened(document, p, set()) for p in parameters if p["in"] == "header"}
                query = {p["name"]: p for p in parameters if p["in"] == "query"}
                body = [p["schema"] for p in parameters if p["in"] == "body"]
                offered = set(OFFERED[name])
                operations[name] = {
                    "method": method.upper(),
                    "path": path,
                    "query": {key: shortened(document, query[key], set()) for key in sorted(offered & query.keys())},
                    "notOffered": sorted(query.keys() - offered),
                } | ({"body": shortened(document, body[0], offered)} if body else {})
    assert operations.keys() == OFFERED.keys(), OFFERED.keys() - operations.keys()
    return {"notice": NOTICE, "headers": headers, "operations": operations, "notOffered": others}


def text_of(contract: Json) -> str:
    return json.dumps(contract, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    simulator_contract.FILE.write_text(text_of(cut(Path(sys.argv[1]))))
