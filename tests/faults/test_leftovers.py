"""What Helm leaves behind when an install fails goes with ``helm uninstall``, and nothing else does."""

from collections.abc import Callable

from dev.cluster import path_of
from tests.faults.release import Release
from tests.faults.roles import CREDENTIAL, JOBS, REFUSED, TEST_POD
from tests.faults.scenarios import LOCKOUT_SECONDS
from tests.faults.settings import MINE

POD = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "none.invalid/c"}]}


def test_uninstall_takes_hooks_jobs_pods_and_the_inline_password_away(release: Callable[[], Release]) -> None:
    one = release()
    cluster, namespace = one.site.cluster, one.namespace
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    for name in (*JOBS, "somebody-elses"):
        job = {"metadata": {"name": name}, "spec": {"suspend": True, "template": {"spec": POD}}}
        cluster.create(jobs, job)
    cluster.create(path_of(namespace, "pods"), {"metadata": {"name": TEST_POD}, "spec": POD})
    for name in (CREDENTIAL, MINE):
        one.site.secret(namespace, name, password=one.password)
    one.mount_credential("canary-wrong-password")
    assert one.run().code == 77
    one.age_record(LOCKOUT_SECONDS)
    assert one.run(command="cleanup").code == 0

    def names(path: str) -> set[str]:
        return {item["metadata"]["name"] for item in (cluster.get(path) or {})["items"] if not _going(item)}

    assert names(jobs) == {"somebody-elses"}
    assert names(path_of(namespace, "pods")) == set()
    assert names(path_of(namespace, "secrets")) == {MINE}
    assert REFUSED not in names(path_of(namespace, "configmaps"))


def _going(item: dict[str, dict[str, str]]) -> bool:
    return "deletionTimestamp" in item["metadata"]
