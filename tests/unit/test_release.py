"""Key ids: whose they are, and that none comes twice."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_runtime_auth.release import Installation, Release, identity_in, identity_of

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?", fullmatch=True)
RELEASES = st.builds(Release, st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,40}[a-z0-9])?", fullmatch=True), NAMES)
INSTALLATIONS = st.builds(Installation, RELEASES, st.text().map(identity_of))
ONE = Installation(Release("runtime", "ns"), identity_of("0b5c1d8e-6c3f-4f5e-9c57-000000000001"))


@given(INSTALLATIONS, INSTALLATIONS)
def test_an_installation_owns_its_own_ids_and_no_others(one: Installation, other: Installation) -> None:
    key_id = one.new_key_id()
    assert one.owns(key_id)
    assert other.owns(key_id) == (one == other)
    assert other.release.named_by(key_id) == (one.release == other.release)
    assert identity_in(key_id) == one.identity


@given(st.text() | st.from_regex(r"gra\.[0-9a-f]{12}\.ns\.runtime\..*"))
def test_ids_that_others_made_are_nobodys(key_id: str) -> None:
    assert not ONE.owns(key_id)
    assert not ONE.release.named_by(key_id)
    assert identity_in(key_id) == ""


def test_no_id_comes_twice() -> None:
    assert len({ONE.new_key_id() for _ in range(10_000)}) == 10_000


def test_an_id_tells_when_it_was_made() -> None:
    """Which of the keys that ``argocd account get`` lists is the older one?"""
    before = datetime.now(UTC).replace(microsecond=0)
    told = ONE.new_key_id().rpartition(".")[2].partition("-")[0]
    made = datetime.strptime(told, "%Y%m%dt%H%M%Sz").replace(tzinfo=UTC)
    assert before <= made <= datetime.now(UTC)


@pytest.mark.parametrize("name", ["a", "a.b", "a.20260101t000000z-000000000000"])
def test_releases_whose_names_look_like_ids_stay_apart(name: str) -> None:
    b, longer = Installation(Release("b", "ns"), "0" * 12), Installation(Release(name, "ns"), "0" * 12)
    assert not b.owns(longer.new_key_id())
    assert not longer.owns(Installation(Release("a.b.c", "ns"), "0" * 12).new_key_id())


def test_an_identity_is_made_from_the_uid_of_the_namespace() -> None:
    assert identity_of("uid-1") == "4a49acf8a6bd"
    assert identity_of("uid-1") != identity_of("uid-2")


def test_an_id_can_be_deleted_through_rest() -> None:
    """Argo CD's gateway answers 404 to an id with a slash, which REST has to write as %2F."""
    assert set(ONE.new_key_id()) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
