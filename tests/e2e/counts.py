"""What the consumers of ``pods/consumer.py`` count, each in a pod of its own, whatever becomes of the pod."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from dev.cluster import Object, path_of
from dev.runtime import IMAGE
from dev.site import Site

PROGRAM = Path(__file__).parent / "pods" / "consumer.py"
STAND_IN = Path(__file__).parents[1] / "vendor" / "gitops-runtime"
"""The stand-in for the vendor's chart."""
VENDORS_CONSUMERS = (
    "argo-gateway",
    "cap-app-proxy",
    "cluster-event-reporter",
    "gitops-operator",
    "runtime-event-reporter",
)
"""Its Deployments, which have fixed names."""


class Counts:
    """The counts of the consumers in a namespace: a ConfigMap, and the ServiceAccount that may write it.

    They are no part of the charts, so they are there before the first pod and after the last.
    """

    def __init__(self, site: Site, namespace: str, name: str = "counts") -> None:
        self.name = name
        self._site, self._namespace = site, namespace
        rules = [
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]},
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"], "resourceNames": [name]},
        ]
        rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
        for path, body in (
            (path_of(namespace, "configmaps"), {}),
            (path_of(namespace, "serviceaccounts"), {}),
            (f"{rbac}/roles", {"rules": rules}),
            (f"{rbac}/rolebindings", {"roleRef": role, "subjects": [subject]}),
        ):
            site.create(path, {"metadata": {"name": name}, **body})

    def sets(self, prefix: str = "") -> list[str]:
        """Return helm's arguments by which the stand-in for the vendor's chart runs its pods."""
        given = [f"{prefix}standIn.image={IMAGE}", f"{prefix}standIn.counts={self.name}"]
        return [
            *(word for line in given for word in ("--set", line)),
            "--set-file",
            f"{prefix}standIn.program={PROGRAM}",
        ]

    def run(self, name: str, *env: Object, **container: Any) -> None:
        """Run a consumer as Deployment ``name``, with further variables and fields of its container."""
        labels = {"app": name, "counts": self.name}
        command = ["/app/bin/python", "-c", PROGRAM.read_text(encoding="utf-8")]
        counts = {"name": "COUNTS", "value": self.name}
        main = {"name": "main", "image": IMAGE, "command": command, "env": [counts, *env], **container}
        spec = {"serviceAccountName": self.name, "containers": [main]}
        template = {"metadata": {"labels": labels}, "spec": spec}
        body = {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": labels}, "template": template}}
        self._site.cluster.create(f"/apis/apps/v1/namespaces/{self._namespace}/deployments", body)

    def uses(self) -> Counter[str]:
        """Return how often each Deployment's pods have used the key."""
        uses: Counter[str] = Counter()
        for pod, count in self._counts().items():
            uses[pod.rsplit("-", 2)[0]] += count["uses"]
        return uses

    def refusals(self) -> int:
        """Return how often any pod was refused."""
        return sum(count["refusals"] for count in self._counts().values())

    def last_refusal(self) -> float:
        """Return when a pod was refused last, in Unix seconds, 0 for never."""
        return float(max(count["last_refusal"] for count in self._counts().values()))

    def in_use(self) -> set[tuple[str, str]]:
        """Return Deployment and key of each pod that runs; the key is empty until its pod has used one."""
        pods = self._site.cluster.get(f"{path_of(self._namespace, 'pods')}?labelSelector=counts={self.name}") or {}
        counts = self._counts()
        return {
            (pod["metadata"]["labels"]["app"], counts.get(pod["metadata"]["name"], {}).get("key", ""))
            for pod in pods["items"]
        }

    def _counts(self) -> dict[str, dict[str, Any]]:
        data = (self._site.cluster.get(path_of(self._namespace, "configmaps", self.name)) or {}).get("data") or {}
        return {pod: json.loads(count) for pod, count in data.items()}
