"""Stored secrets: what opens, and what does not."""

import base64
import hashlib
import json
import re

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st

from hotels.models import Hotel
from integrations.exceptions import DecryptionFailed
from integrations.models import Integration
from integrations.security import keyring

AAD = "hospient:v1:integrations_integration:credentials:1:row"


def ring(*ids: str) -> str:
    return ",".join(f"{key_id}:{encoded(hashlib.sha512(key_id.encode()).digest())}" for key_id in ids)


def encoded(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode()


@given(st.binary(max_size=500))
def test_what_was_sealed_opens_again(plain: bytes) -> None:
    assert keyring.unseal(keyring.seal(plain, AAD), AAD) == plain


def test_every_flipped_bit_is_refused() -> None:
    token = keyring.seal(b"secret", AAD)
    for position in range(len(token)):
        changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        if _decoded(changed) == _decoded(token):
            continue  # the last character of base64 carries bits that decode to nothing
        with pytest.raises(DecryptionFailed):
            keyring.unseal(changed, AAD)


def _decoded(token: str) -> list[bytes]:
    try:
        return [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split(".")]
    except ValueError:
        return []


def test_another_row_is_refused() -> None:
    with pytest.raises(DecryptionFailed):
        keyring.unseal(keyring.seal(b"secret", AAD), AAD.replace(":1:", ":2:"))


def test_the_newest_key_encrypts_and_all_decrypt(settings) -> None:
    settings.ENCRYPTION_KEY = ring("old")
    token = keyring.seal(b"secret", AAD)
    settings.ENCRYPTION_KEY = ring("new", "old")
    assert keyring.unseal(token, AAD) == b"secret"
    assert keyring.key_id_of(keyring.seal(b"secret", AAD)) == "new"


def test_an_unknown_key_is_refused(settings) -> None:
    settings.ENCRYPTION_KEY = ring("old")
    token = keyring.seal(b"secret", AAD)
    settings.ENCRYPTION_KEY = ring("new")
    with pytest.raises(DecryptionFailed):
        keyring.unseal(token, AAD)


def test_another_algorithm_is_refused(settings) -> None:
    from joserfc import jwe
    from joserfc.jwk import OctKey

    settings.ENCRYPTION_KEY = ring("a")
    key = OctKey.import_key(b"a".ljust(32, b"."), {"kid": "a"})
    other = jwe.FlattenedJSONEncryption({"alg": "dir", "enc": "A256GCM", "kid": "a"}, b"secret", aad=AAD.encode())
    other.add_recipient(None, key)
    parts = jwe.encrypt_json(other, key)
    with pytest.raises(DecryptionFailed):
        keyring.unseal(".".join((parts["protected"], "", parts["iv"], parts["ciphertext"], parts["tag"])), AAD)


def test_equal_secrets_have_unequal_ciphertexts() -> None:
    assert len({keyring.seal(b"secret", AAD) for _ in range(50)}) == 50


BAD_RINGS = {
    "nothing": ("", "empty"),
    "blanks": (" ", "empty"),
    "no key": ("a", "entry 1"),
    "an empty key": ("a:", "entry 1"),
    "short": ("a:c2hvcnQ=", "entry 1"),
    "long": (ring("a").rstrip("=") + "AAAA", "entry 1"),
    "a blank in the id": ("b d:" + ring("a")[2:], "entry 1"),
    "a line break after the id": ("a\n:" + ring("a")[2:], "entry 1"),
    "no id": (ring("a")[1:], "entry 1"),
    "not base64": (ring("a")[:50] + "!" + ring("a")[51:], "entry 1"),
    "a gap": (ring("a") + ",," + ring("b"), "entry 2"),
    "an end too many": (ring("a") + ",", "entry 2"),
    "one id twice": (ring("a") + ",a:" + ring("b")[2:], "twice"),
    "one key twice": (ring("a") + ",b:" + ring("a")[2:], "again"),
    "zeros": ("a:" + encoded(bytes(64)), "not random"),
    "a word": ("a:" + encoded(b"correct-horse-battery-staple".ljust(64, b".")), "not random"),
    "a pattern": ("a:" + encoded(b"0123456789abcdef" * 4), "not random"),
    "zeros behind a good one": (ring("a") + ",b:" + encoded(bytes(64)), "entry 2"),
    "the SECRET_KEY": ("a:" + "the-secret-key-" * 5, "SECRET_KEY"),
}


@pytest.mark.parametrize("name", BAD_RINGS)
def test_a_bad_ring_is_refused_without_showing_it(name: str) -> None:
    text, said = BAD_RINGS[name]
    with pytest.raises(ImproperlyConfigured) as refusal:
        keyring.parse_ring(text, other_key="the-secret-key-" * 5)
    assert said in str(refusal.value)
    assert not any(part[:8] in str(refusal.value) for part in re.findall(r"[\w=-]{12,}", text))


def test_a_good_ring_is_read_however_its_base64_is_written() -> None:
    plain = ring("a").rstrip("=")
    standard = plain.replace("-", "+").replace("_", "/")
    assert keyring.parse_ring(plain) == keyring.parse_ring(f" {standard}== ") == keyring.parse_ring(ring("a"))


def test_two_new_keys_of_one_day_have_two_ids_and_make_a_ring() -> None:
    entries = [keyring.new_entry() for _ in range(20)]
    assert len(keyring.parse_ring(",".join(entries))) == 20


@pytest.fixture
def integration(db) -> Integration:
    hotel = Hotel.objects.create(name="Grand", slug="grand")
    return Integration.objects.create(
        hotel=hotel, integration_type="pos", provider="square", provider_name="Square", credentials={"access_token": "EAAA-secret"}
    )


def test_credentials_are_stored_encrypted_and_open_on_purpose(integration) -> None:
    stored = Integration.objects.values_list("credentials", flat=True).get()
    assert "EAAA-secret" not in stored
    loaded = Integration.objects.get()
    assert loaded.credentials.reveal() == {"access_token": "EAAA-secret"}
    assert "EAAA" not in repr(loaded.credentials) + str(loaded.credentials) + json.dumps(str(loaded.__dict__))


def test_a_ciphertext_copied_to_another_row_does_not_open(integration) -> None:
    other = Integration.objects.create(hotel=integration.hotel, integration_type="pos", provider="square", provider_name="Square")
    stolen = Integration.objects.values_list("credentials", flat=True).get(pk=integration.pk)
    Integration.objects.filter(pk=other.pk).update(credentials=stolen)
    with pytest.raises(DecryptionFailed):
        Integration.objects.get(pk=other.pk).credentials.reveal()


def test_saving_other_fields_leaves_credentials_as_they_are(integration) -> None:
    loaded = Integration.objects.get()
    loaded.provider_name = "Square POS"
    loaded.save()
    assert Integration.objects.get().credentials.reveal() == {"access_token": "EAAA-secret"}


def test_update_cannot_store_plain_text(integration) -> None:
    with pytest.raises(TypeError):
        Integration.objects.update(credentials={"access_token": "plain"})
