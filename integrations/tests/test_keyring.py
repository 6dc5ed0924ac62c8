"""Stored secrets: what opens, and what does not."""

import base64
import json

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
    return ",".join(f"{key_id}:{base64.urlsafe_b64encode(key_id.encode().ljust(64, b'.')).decode()}" for key_id in ids)


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


KEY = ring("a").removeprefix("a:")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a:",
        "a:c2hvcnQ=",
        KEY,
        f"a:{KEY},a:{KEY}",
        f"b d:{KEY}",
        f"a:{KEY[:-8]}",
        f"a:{KEY},b",
        f"a:{KEY},b:{KEY[:40]}",
        f":{KEY}",
    ],
)
def test_a_bad_ring_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        keyring.parse_ring(text)
    assert "ENCRYPTION_KEY" in str(refusal.value)
    assert not [start for start in range(0, len(KEY) - 8) if KEY[start : start + 8] in str(refusal.value)]


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
