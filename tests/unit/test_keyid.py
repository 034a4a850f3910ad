"""Key ids: whose they are, and that none comes twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_runtime_auth.release import Owner, fingerprint

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?", fullmatch=True)
RELEASES = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,40}[a-z0-9])?", fullmatch=True)
OWNERS = st.builds(Owner, st.binary().map(fingerprint), NAMES, RELEASES)


@given(OWNERS, OWNERS)
def test_an_owner_owns_its_own_ids_and_no_others(one: Owner, other: Owner) -> None:
    key_id = one.new_id()
    assert one.owns(key_id)
    assert other.owns(key_id) == (one == other)


@given(st.text() | st.from_regex(r"gra\.[0-9a-f]{12}\.a\.b\..*"))
def test_ids_that_others_made_are_nobodys(key_id: str) -> None:
    assert not Owner("0" * 12, "ns", "runtime").owns(key_id)


def test_no_id_comes_twice() -> None:
    owner = Owner("0" * 12, "ns", "runtime")
    assert len({owner.new_id() for _ in range(10_000)}) == 10_000


@pytest.mark.parametrize("release", ["a", "a.b", "a.20260101t000000z-000000000000"])
def test_releases_whose_names_look_like_ids_stay_apart(release: str) -> None:
    assert not Owner("0" * 12, "ns", "b").owns(Owner("0" * 12, "ns", release).new_id())
    assert not Owner("0" * 12, "ns", release).owns(Owner("0" * 12, "ns", "a.b.c").new_id())


def test_a_clusters_identity_is_its_cas() -> None:
    assert fingerprint(b" ca\n") == fingerprint(b"ca") != fingerprint(b"other")
