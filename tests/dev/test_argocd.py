"""The tests' own client of Argo CD: what it concludes, and that a way which breaks is made anew."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from dev.argocd import ArgoCD, ArgoCDError, Direct
from tests.fakes.argocd import FakeArgoCD
from tests.fakes.web import as_text


@pytest.fixture
def fake() -> Iterator[FakeArgoCD]:
    made = FakeArgoCD()
    made.account("robot", password="its own")
    yield made
    made.close()


class Shaky(Direct):
    """A way that has to be made twice before it holds."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.made, self.closed = 0, 0

    def url(self) -> str:
        self.made += 1
        if self.made < 3:
            raise ConnectionError("not yet")
        return super().url()

    def close(self) -> None:
        self.closed += 1


def test_a_key_is_made_listed_accepted_and_revoked(fake: FakeArgoCD) -> None:
    with closing(ArgoCD(Direct(f"{fake.url}/"))) as argocd:
        session = argocd.login("robot", "its own")
        key = argocd.create_key("robot", "mine", session)
        shown = argocd.account("robot", key)
        assert (shown.name, shown.enabled) == ("robot", True)
        assert shown.capabilities == {"apiKey", "login"}
        assert [k.id for k in shown.keys] == ["mine"]
        assert argocd.accepts("robot", key)
        argocd.delete_key("robot", "mine", session)
        assert not argocd.accepts("robot", key)
        argocd.logout(session)
        assert not argocd.accepts("robot", session)


def test_only_argocds_own_401_says_that_a_key_is_not_accepted(fake: FakeArgoCD) -> None:
    key = fake.make_key("robot", "mine")
    fake.server.fault("GET /api/v1/account/robot", answer=as_text(502, "bad gateway"))
    with closing(ArgoCD(Direct(fake.url))) as argocd, pytest.raises(ArgoCDError, match="502") as refusal:
        argocd.accepts("robot", key)
    assert refusal.value.status == 502


def test_a_way_that_breaks_is_made_anew(fake: FakeArgoCD) -> None:
    way = Shaky(fake.url)
    with closing(ArgoCD(way)) as argocd:
        assert argocd.login("robot", "its own")
        assert (way.made, way.closed) == (3, 2)
