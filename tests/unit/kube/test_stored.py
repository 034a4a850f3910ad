"""What the key Secret holds: written, read again, moved on, and read when somebody else has written it."""

import base64
import json
import time
from dataclasses import replace
from typing import Any

import jwt
import pytest

from gitops_runtime_auth.kube import stored
from gitops_runtime_auth.kube.stored import StoredKey, StoredKeys, decode, encode, from_base64, server, token_key
from tests.fakes import SOON

URL = "https://argocd.example/argocd"
SHAPE = {"token": "token"}


def token(key_id: str = "gra.one", account: str = "robot", capability: str = "apiKey", **claims: Any) -> str:
    """Return a token as Argo CD makes it."""
    given = {"iss": "argocd", "sub": f"{account}:{capability}", "jti": key_id, **claims}
    return jwt.encode(given, "a signing key of thirty-two bytes", algorithm="HS256")


def key(key_id: str = "gra.one", url: str = URL, ca: str = "", **claims: Any) -> StoredKey:
    return StoredKey.from_token(token(key_id, **claims), "robot", url, ca)


def test_a_key_tells_its_id_and_its_end() -> None:
    made = StoredKey.from_token(token(exp=2000000000), "robot", URL, "CA", True)
    assert made == StoredKey(token(exp=2000000000), "robot", URL, "CA", True, "gra.one", 2000000000)
    assert key().expires_at == 0


@pytest.mark.parametrize(
    "text",
    ["", "garbage", token(account="other"), token(capability="login"), token(account="robot:x")],
)
def test_what_is_no_api_key_of_the_account_has_no_id(text: str) -> None:
    assert StoredKey.from_token(text, "robot", URL, "CA", True) == StoredKey(text, "robot", URL, "CA", True)
    assert StoredKey.from_token(text, "robot", URL).key_id == ""


def test_no_credential_in_a_repr() -> None:
    made = StoredKeys(key(ca="s3cret-CA"), (key("gra.two"),))
    assert token() not in repr(made)
    assert token("gra.two") not in repr(made)
    assert "s3cret-CA" not in repr(made)
    assert "gra.two" in repr(made)


def test_a_new_key_takes_the_place_of_the_one_before() -> None:
    one, two, three = key("gra.one"), key("gra.two"), key("gra.three")
    begun = StoredKeys(resource_version="7", outdated=True).moved_to(one, 100.5)
    assert begun == StoredKeys(one, (), 100.5, "7", True)
    moved = begun.moved_to(two, 200.0).moved_to(three, 300.0)
    assert moved == StoredKeys(three, (two, one), 300.0, "7", True)
    back = moved.moved_to(one, 400.0)
    assert back == StoredKeys(one, (three, two), 400.0, "7", True)


def test_the_same_key_is_no_new_one() -> None:
    now = StoredKeys(key("gra.one"), (key("gra.two"), key("gra.one")), 100.0, "7")
    same = replace(key("gra.one"), ca="another CA")
    assert now.moved_to(same, 500.0) == StoredKeys(same, (key("gra.two"),), 100.0, "7")


def test_so_many_keys_before_are_remembered_and_the_oldest_forgotten() -> None:
    keys = StoredKeys()
    for number in range(23):
        keys = keys.moved_to(key(f"gra.{number}"), number)
    assert [k.key_id for k in keys.previous] == [f"gra.{number}" for number in range(21, 1, -1)]
    assert len(keys.previous) == stored.MOST_PREVIOUS == 20


def test_written_and_read_again() -> None:
    other = StoredKey.from_token(token("gra.two", "other"), "other", "http://elsewhere", "CA 2", True)
    public = replace(key("gra.three"), ca="")
    keys = StoredKeys(key(ca="CA 1"), (other, key("gra.four", ca="CA 1"), public), 1700000000.25)
    data = encode(keys, SHAPE)
    assert decode(data, SHAPE) == keys
    assert sorted(data) == ["state", "token"]
    assert data["token"] == token()
    assert json.loads(data["state"]) == {
        "account": "robot",
        "url": URL,
        "insecure": False,
        "ca": "CA 1",
        "token_in": "token",
        "since": 1700000000.25,
        "previous": [
            {
                "token": token("gra.two", "other"),
                "account": "other",
                "url": "http://elsewhere",
                "insecure": True,
                "ca": "CA 2",
            },
            {"token": token("gra.four"), "account": "robot", "url": URL, "insecure": False},
            {"token": token("gra.three"), "account": "robot", "url": URL, "insecure": False, "ca": ""},
        ],
    }


def test_lines_of_a_ca_stay() -> None:
    pem = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"
    keys = StoredKeys(key(ca=pem), (key("gra.two", ca=f"{pem}{pem}"),))
    assert decode(encode(keys, SHAPE), SHAPE) == keys


def test_a_long_ca_that_all_keys_share_is_written_once() -> None:
    keys = StoredKeys(key(ca="C" * 250_000), tuple(key(f"gra.{n}", ca="C" * 250_000) for n in range(30)))
    data = encode(keys, SHAPE)
    assert len(data["state"]) < 300_000
    assert decode(data, SHAPE).previous == keys.previous[:20]


def test_the_shape_that_the_values_ask_for() -> None:
    shape = {"ARGO_TOKEN": "token", "again": "token", "ARGO_URL": "url", "server": "server", "who": "account"}
    data = encode(StoredKeys(key()), shape)
    state = data.pop("state")
    assert data == {
        "ARGO_TOKEN": token(),
        "again": token(),
        "ARGO_URL": URL,
        "server": "argocd.example:443/argocd",
        "who": "robot",
    }
    assert json.loads(state)["token_in"] == "ARGO_TOKEN"
    assert (token_key(shape), token_key({"url": "url"}), token_key({})) == ("ARGO_TOKEN", "token", "token")


def test_a_key_is_found_where_another_shape_has_put_it() -> None:
    data = encode(StoredKeys(key()), {"argocd.token": "token"})
    assert decode(data, {"ARGO_TOKEN": "token"}).current == key()
    both = {**data, "ARGO_TOKEN": token("gra.two")}
    assert decode(both, {"ARGO_TOKEN": "token"}).current == key("gra.two")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.example", "a.example:443"),
        ("http://a.example", "a.example:80"),
        ("https://a.example:8443/argo/", "a.example:8443/argo"),
        ("http://[::1]/x", "[::1]:80/x"),
        ("http://[::1]:81", "[::1]:81"),
        ("https://a.example/X", "a.example:443/X"),
        ("https://user@a.example", "a.example:443"),
        ("https://a.example:99999", ""),
        ("http://[", ""),
    ],
)
def test_the_server_of_a_url(url: str, shown: str) -> None:
    assert server(url) == shown


def test_a_secret_without_a_key_is_not_written() -> None:
    with pytest.raises(ValueError, match=r"^A Secret without a key is deleted, not written\.$"):
        encode(StoredKeys(), SHAPE)


def state(**fields: Any) -> dict[str, str]:
    return {"token": token(), "state": json.dumps({"account": "robot", "url": URL, **fields})}


def test_nothing_there() -> None:
    assert decode({}, SHAPE) == StoredKeys()
    assert decode({"token": " \n"}, SHAPE) == StoredKeys()


def test_blanks_around_a_token_are_not_part_of_it() -> None:
    assert decode({**state(), "token": f"\n{token()} \n"}, SHAPE).current == key()


@pytest.mark.parametrize("text", ["", "no JSON", "[1]", "null", "[" * 10000, '{"account": 1, "url": ["x"]}'])
def test_a_state_that_can_not_be_read_counts_as_absent(text: str) -> None:
    assert decode({"token": token(), "state": text}, SHAPE) == StoredKeys(StoredKey(token(), "", ""))


def test_previous_keys_stay_when_the_present_one_was_emptied() -> None:
    data = encode(StoredKeys(key(ca="CA"), (key("gra.two", ca="CA"),), 5.0), SHAPE)
    assert decode({"state": data["state"]}, SHAPE) == StoredKeys(None, (key("gra.two", ca="CA"),), 5.0)


@pytest.mark.parametrize(
    "entry",
    [
        "odd",
        None,
        {},
        {"token": token("gra.two"), "url": URL},
        {"token": token("gra.two"), "account": "robot"},
        {"account": "robot", "url": URL},
        {"token": 5, "account": "robot", "url": URL},
        {"token": "", "account": "robot", "url": URL},
        {"token": "t" * 16385, "account": "robot", "url": URL},
        {"token": "a\nb", "account": "robot", "url": URL},
        {"token": token("gra.two"), "account": ["robot"], "url": URL},
        {"token": token("gra.two"), "account": "r" * 254, "url": URL},
        {"token": token("gra.two"), "account": "robot\x1b[2J", "url": URL},
        {"token": token("gra.two"), "account": "robot", "url": "u" * 2049},
        {"token": token("gra.two"), "account": "robot", "url": "http://a\nb"},
    ],
)
def test_what_somebody_wrote_among_the_previous_keys_is_left_out(entry: object) -> None:
    good = {"token": token("gra.three"), "account": "robot", "url": URL}
    assert decode(state(previous=[entry, good]), SHAPE).previous == (key("gra.three"),)


def test_the_longest_that_is_read() -> None:
    entry = {"token": "t" * 16384, "account": "r" * 253, "url": "u" * 2048, "ca": "c" * (1 << 20)}
    assert decode(state(previous=[entry]), SHAPE).previous == (
        StoredKey("t" * 16384, "r" * 253, "u" * 2048, "c" * (1 << 20)),
    )
    longer = decode(state(previous=[{**entry, "ca": "c" * ((1 << 20) + 1)}]), SHAPE).previous
    assert [k.ca for k in longer] == [""]


def test_only_so_many_previous_keys_are_read() -> None:
    entries = [{"token": token(f"gra.{n}"), "account": "robot", "url": URL} for n in range(50)]
    assert [k.key_id for k in decode(state(previous=entries), SHAPE).previous] == [f"gra.{n}" for n in range(20)]


@pytest.mark.parametrize("previous", [None, {}, "odd", 5, {"token": "x"}])
def test_previous_keys_of_another_shape(previous: object) -> None:
    assert decode(state(previous=previous), SHAPE) == StoredKeys(key())


@pytest.mark.parametrize(
    ("since", "read"),
    [
        (1, 1.0),
        (0.5, 0.5),
        (99999999999, 99999999999.0),
        (0, 0.0),
        (-0.0, 0.0),
        (-1, 0.0),
        (1e11, 0.0),
        (10**400, 0.0),
        ("5", 0.0),
        (None, 0.0),
    ],
)
def test_since(since: object, read: float) -> None:
    found = decode(state(since=since), SHAPE).since
    assert (found, type(found)) == (read, float)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_since_is_a_time(text: str) -> None:
    data = {"token": token(), "state": f'{{"since": {text}}}'}
    assert decode(data, SHAPE).since == 0


@pytest.mark.parametrize(("insecure", "read"), [(True, True), (False, False), (1, False), ("true", False)])
def test_only_true_means_insecure(insecure: object, read: bool) -> None:
    current = decode(state(insecure=insecure), SHAPE).current
    assert current
    assert current.insecure is read


def test_base64() -> None:
    assert from_base64(base64.b64encode("ä".encode()).decode()) == "ä"
    assert from_base64(base64.b64encode(b"\xff").decode()) == "\ufffd"
    assert from_base64("x") == ""
    assert from_base64(None) == from_base64("ä") == ""


def test_reading_is_quick_whatever_is_there() -> None:
    began = time.monotonic()
    decode({"token": "t" * 1_000_000, "state": "[" * 1_000_000}, SHAPE)
    assert time.monotonic() - began < SOON
