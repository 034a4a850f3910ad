"""A release, its cluster and its Argo CD: everything a run of the hook meets, without a network."""

import base64
from dataclasses import dataclass, field
from pathlib import Path

from gitops_runtime_auth.argocd.client import ArgoCD
from gitops_runtime_auth.argocd.http import Transport
from gitops_runtime_auth.commands.ensure import ensure
from gitops_runtime_auth.config.settings import Auth, SecretRef, Server, Settings
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.kube import secret as store
from gitops_runtime_auth.kube.cluster import secret_path
from gitops_runtime_auth.release import Owner
from gitops_runtime_auth.retry import Deadline
from tests.unit.fakes.argocd import FakeArgoCD
from tests.unit.fakes.cluster import FakeCluster
from tests.unit.fakes.faults import FaultyCluster, FaultyTransport, Plan

NAMESPACE, RELEASE = "runtime-ns", "runtime"
SECRET = secret_path(NAMESPACE, store.NAME)


@dataclass
class World:
    """What outlives a run. ``owner`` is the release that runs."""

    files: Path
    argocd: FakeArgoCD = field(default_factory=FakeArgoCD)
    cluster: FakeCluster = field(default_factory=FakeCluster)
    owner: Owner = field(default_factory=lambda: Owner("0123456789ab", NAMESPACE, RELEASE))
    username: str = "admin"
    auth_type: str = "password"
    seconds: float = 30.0
    enable_api_key: bool = False

    def __post_init__(self) -> None:
        self.give(self.argocd.accounts["admin"].password)

    def give(self, credential: str) -> None:
        """Mount the user's Secret."""
        (self.files / "credential").mkdir(exist_ok=True)
        (self.files / "credential" / "value").write_text(credential)

    def mount(self) -> None:
        """Mount the API key's Secret as a kubelet would for a new pod."""
        folder = self.files / "key"
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for name, value in (self.cluster.get(SECRET) or {}).get("data", {}).items():
            (folder / name).write_bytes(base64.b64decode(value))

    def context(self, plan: Plan | None = None) -> Context:
        plan = plan or Plan()
        kind = "token" if self.auth_type == "token" else "password"
        auth = Auth(kind, self.username if kind == "password" else "", SecretRef("mine", kind))  # type: ignore[arg-type]

        def connect(server: Server, ca: str | None, deadline: Deadline) -> ArgoCD:
            return ArgoCD(Transport(server, ca, FaultyTransport(self.argocd.answer, plan)), deadline)

        return Context(
            settings=Settings(
                Server("https://argocd-server", namespace="argocd"), auth, self.seconds, self.enable_api_key
            ),
            owner=self.owner,
            deadline=Deadline(self.seconds),
            files=self.files,
            chart="gitops-runtime-auth-0.1.0",
            connect_cluster=lambda _: FaultyCluster(self.cluster, plan),
            connect_argocd=connect,
        )

    def run(self, plan: Plan | None = None) -> str:
        """Run the hook as a new pod: with the Secret mounted as it is now."""
        self.mount()
        return ensure(self.context(plan))

    def key(self) -> str:
        """Return the id of the key in the Secret, empty when there is none."""
        entry = store.content(self.cluster.get(SECRET), self.owner.release).current
        return entry.key_id() if entry else ""

    def live(self) -> list[str]:
        """Return the ids of this release's live keys."""
        return [k for a in self.argocd.accounts.values() for k in a.keys if self.owner.owns(k)]
