"""What the tests' own reading of a release's Secret makes of good and bad content."""

import base64
import json

import jwt

from dev import keys
from dev.cluster import Object


class Cluster:
    """Holds one Secret's data, or none."""

    def __init__(self, **data: str) -> None:
        self._data = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}

    def get(self, path: str) -> Object | None:
        assert path == "/api/v1/namespaces/here/secrets/argocd-token"
        return {"data": self._data} if self._data else None


def read(**data: str) -> keys.StoredKey | None:
    return keys.stored(Cluster(**data), "here")  # type: ignore[arg-type]


def test_account_and_id_come_from_the_token_the_rest_from_the_state() -> None:
    token = jwt.encode({"sub": "alice:apiKey", "jti": "gra.1"}, "k" * 32)
    state = {"url": "https://argocd", "previous": [{"token": "old"}]}
    found = read(token=token, state=json.dumps(state))
    assert found == keys.StoredKey(token, "alice", "gra.1", "https://argocd", 1)
    assert token not in repr(found)


def test_what_cannot_be_read_is_no_key_or_one_without_a_name() -> None:
    assert read() is None
    assert read(token=" ") is None
    assert read(token="garbage", state="{") == keys.StoredKey("garbage", "", "")
