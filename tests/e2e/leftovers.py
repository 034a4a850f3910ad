"""What is left of a release that Argo CD has removed, and the commands of docs/gitops.md that take it away.

Argo CD 3.4 to 3.6 deletes what its PostDelete hook needs, and forgets the hook's Job, when its cache shows all of the
hook's objects but the Job (``executeHooks`` in ``controller/hook.go``).
"""

import json
import subprocess

from dev.keys import KEY_SECRET
from dev.runtime import Runtime, within
from tests.docs.blocks import ALL, INLINE

ABANDONED = {"ConfigMap/r-auth-refused", "Job/r-auth-cleanup", f"Secret/{KEY_SECRET}"}
"""What Argo CD leaves behind then, beside the key in the Secret."""
_PAGE = "docs/gitops.md"


def objects(release: Runtime) -> set[str]:
    """Return the objects of Kubernetes' own kinds in the release's namespace that belong to no other object.

    Others' kinds may go while this asks. Events and Endpoints are written about other objects.
    """
    kinds = release.kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
    own = [kind for kind in kinds if "." not in kind.partition(".")[2] or kind.endswith(".k8s.io")]
    listed = [kind for kind in own if kind.partition(".")[0] not in ("events", "endpoints")]
    found = json.loads(release.kubectl("get", ",".join(listed), "-o", "json"))["items"]
    return {f"{o['kind']}/{o['metadata']['name']}" for o in found if "ownerReferences" not in o["metadata"]}


def remove_as_documented(release: Runtime, before: set[str]) -> None:
    """See that what is left is what an abandoned hook leaves, run the page's commands, and see that they remove it."""
    assert objects(release) - before == ABANDONED
    assert release.one_key()
    [block] = [block for block in ALL if block.page == _PAGE and "get application my-runtime" in block.text]
    [job] = [command for command in INLINE if command.page == _PAGE and " delete job " in command.text]
    text = "\n".join((*block.text.splitlines()[-3:], job.text))
    for word, own in (("-n argocd", f"-n {release.name}"), ("my-runtime", "r"), ("NAME", release.name)):
        text = text.replace(word, own)
    command, environ = ["bash", "-euc", text], release.environment()
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    assert release.keys() == []
    within(60, lambda: objects(release) == before, "nothing is left")
