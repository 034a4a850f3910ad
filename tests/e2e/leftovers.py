"""What is left of a release that Argo CD has removed, and the commands of docs/gitops.md that take it away.

Argo CD 3.4 to 3.6 takes its PostDelete hook for done when its cache shows all of the hook's objects but the Job, and
then applies the delete policies (``executeHooks`` and ``cleanupHooks`` in ``controller/hook.go``).
"""

import json
import subprocess

from dev.keys import KEY_SECRET
from dev.runtime import Runtime, within
from tests.docs.blocks import ALL, INLINE

_HOOK = {f"{kind}/r-auth-cleanup" for kind in ("ConfigMap", "Job", "Role", "RoleBinding", "ServiceAccount")}
FORGOTTEN = "not waited for"
"""The cache shows the running Job by then, so Argo CD deletes nothing, and the Job revokes the key."""
ABANDONED = "deprived of what it needs"
"""The cache does not show the Job, so Argo CD deletes all other objects of the hook, and the key is not revoked."""
_LEFT = {FORGOTTEN: _HOOK, ABANDONED: {"ConfigMap/r-auth-refused", "Job/r-auth-cleanup", f"Secret/{KEY_SECRET}"}}
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


def remove_as_documented(release: Runtime, before: set[str]) -> str:
    """Run the page's commands for what is left, see that they remove it, and return what Argo CD did to its hook."""
    left = objects(release) - before
    done = next((done for done, known in _LEFT.items() if known == left), None)
    assert done is not None, f"what is left is neither: {left}"
    assert len(release.keys()) == (1 if done == ABANDONED else 0)
    [block] = [block for block in ALL if block.page == _PAGE and "get application my-runtime" in block.text]
    [hook] = [command for command in INLINE if command.page == _PAGE and " delete job," in command.text]
    text = "\n".join((*(block.text.splitlines()[-3:] if done == ABANDONED else ()), hook.text))
    for word, own in (("-n argocd", f"-n {release.name}"), ("my-runtime", "r"), ("NAME", release.name)):
        text = text.replace(word, own)
    command, environ = ["bash", "-euc", text], release.environment()
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{text}\n{ran.stdout}\n{ran.stderr}"
    assert release.keys() == []
    within(60, lambda: objects(release) == before, "nothing is left")
    return done
