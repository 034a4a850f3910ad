"""``make demo``: shows refusal, remedy, install and upgrade on a real cluster. Ends with 0 only if all steps worked."""

import base64
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable

from dev.sandbox import tools
from dev.sandbox.paths import KUBECONFIG

NAMESPACE, RELEASE = "argocd", "my-runtime"
FOREIGN = os.environ.get("E2E_KUBECONFIG")
IMAGE = os.environ.get("E2E_IMAGE", "localhost/gitops-runtime-auth:dev")
ENVIRONMENT = {
    **os.environ,
    "KUBECONFIG": FOREIGN or str(KUBECONFIG),
    "PATH": f"{tools.CURRENT}:{os.environ['PATH']}",
}


_REMEDY = re.compile(r"kubectl [^\n]*patch configmap argocd-cm[^\n]*'\{[^\n]*?\}'")


class DemoError(Exception):
    """A step of the story did not hold."""


def say(text: str) -> None:
    """Print a line of the story."""
    print(f"\n▶ {text}", flush=True)


def show(*command: str, check: bool = True) -> str:
    """Print a command and its output; return the output. Raises DemoError when it fails."""
    print("  $ " + " ".join(command), flush=True)
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    for line in (done.stdout + done.stderr).rstrip().splitlines():
        print(f"    {line}")
    if check and done.returncode:
        raise DemoError(f"{command[0]} ended with {done.returncode}")
    return done.stdout + done.stderr


def quiet(*command: str) -> str:
    """Return a command's output without showing it. Raises DemoError when it fails."""
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def hold(what: str, holds: object) -> None:
    """Print that ``what`` holds. Raises DemoError when it does not."""
    if not holds:
        raise DemoError(f"this did not hold: {what}")
    print(f"  ✓ {what}", flush=True)


def until(what: str, holds: Callable[[], object], seconds: float = 30) -> None:
    """Wait until ``what`` holds. Raises DemoError after ``seconds``."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise DemoError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.5)
    hold(what, holds=True)


def argocd_api(path: str, token: str) -> tuple[int, str]:
    """Ask Argo CD from inside the cluster, in a Runtime pod, with a token; return status and body."""
    # The token goes in by standard input: arguments show in process lists.
    program = (
        "import sys,ssl,urllib.request,urllib.error,os\n"
        "token=sys.stdin.read()\n"
        "c=ssl.create_default_context();c.check_hostname=False;c.verify_mode=ssl.CERT_NONE\n"
        f"r=urllib.request.Request(os.environ['ARGO_CD_URL']+{path!r},headers={{'Authorization':'Bearer '+token}})\n"
        "try:\n a=urllib.request.urlopen(r,context=c);print(a.status,a.read().decode())\n"
        "except urllib.error.HTTPError as e:\n print(e.code,'')\n"
    )
    command = ["kubectl", "-n", NAMESPACE, "exec", "-i", f"deploy/{RELEASE}-sources-server", "--", "/app/bin/python"]
    done = subprocess.run(
        [*command, "-c", program], input=token, env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    status, _, body = done.stdout.partition(" ")
    return int(status), body


def stored_key() -> str:
    """Return the API key in the Secret."""
    data = quiet("kubectl", "-n", NAMESPACE, "get", "secret", "argocd-token", "-o", "jsonpath={.data.token}")
    return base64.b64decode(data).decode()


def key_ids() -> list[str]:
    """Return the ids of admin's keys, as Argo CD lists them."""
    status, body = argocd_api("/api/v1/account/admin", stored_key())
    hold("Argo CD answers the stored key as account admin", status == 200 and json.loads(body)["name"] == "admin")
    keys = json.loads(body)["tokens"]
    for key in keys:
        print(f"    {key['id']}  expires: {'at ' + key['expiresAt'] if 'expiresAt' in key else 'never'}")
    return [key["id"] for key in keys if f".{NAMESPACE}.{RELEASE}." in key["id"]]


def prepare() -> None:
    """Bring up the cluster with a stock Argo CD and the image."""
    if FOREIGN:
        say(f"Using the cluster of E2E_KUBECONFIG and the image {IMAGE}")
    else:
        say("A real cluster (Kubernetes, containerd, CoreDNS) with a real Argo CD, and our image")
        for command in ("up", "load-image"):
            subprocess.run([sys.executable, "-m", "dev.sandbox", command], check=True)
    subprocess.run(
        ["helm", "uninstall", RELEASE, "-n", NAMESPACE, "--ignore-not-found", "--wait"],
        env=ENVIRONMENT,
        capture_output=True,
        check=False,
    )
    quiet(
        "kubectl",
        "-n",
        NAMESPACE,
        "patch",
        "configmap",
        "argocd-cm",
        "--type",
        "merge",
        "-p",
        '{"data":{"accounts.admin":null}}',
    )
    time.sleep(2)


def main() -> int:
    """Tell the story and return 0 if all of it held."""
    repository, _, tag = IMAGE.rpartition(":")
    install = (
        "helm",
        "upgrade",
        "--install",
        RELEASE,
        "chart",
        "-n",
        NAMESPACE,
        "--wait",
        "--timeout",
        "3m",
        "--set",
        f"image.repository={repository}",
        "--set",
        f"image.tag={tag}",
    )
    try:
        prepare()
        say("A stock Argo CD: its admin may log in, but not have API keys. The install is refused and says why")
        refusal = show(*install, check=False)
        hold("the refusal names the missing capability", "lacks the apiKey capability" in refusal)
        remedy = _REMEDY.search(refusal)
        hold("and the command that adds it", remedy)
        say("The remedy, as printed")
        show(*shlex.split(remedy[0] if remedy else ""))
        say("The same command again")
        show(*install)
        say("What exists now")
        show("kubectl", "-n", NAMESPACE, "get", "deployments", "-l", f"app.kubernetes.io/instance={RELEASE}")
        metadata = json.loads(quiet("kubectl", "-n", NAMESPACE, "get", "secret", "argocd-token", "-o", "json"))[
            "metadata"
        ]
        for kind in ("labels", "annotations"):
            for name, value in metadata[kind].items():
                print(f"    {name}: {value}")
        first = key_ids()
        hold("exactly one key belongs to this release", len(first) == 1)
        say("An upgrade keeps the key")
        show(*install)
        until("the same key, and no other", lambda: key_ids() == first)
        say("Every Deployment's own credential, proved by helm test")
        show("helm", "test", RELEASE, "-n", NAMESPACE)
    except (DemoError, subprocess.CalledProcessError) as e:
        print(f"\n✗ {e}", file=sys.stderr)
        return 1
    say("All of it held. Look around and clean up")
    print(f"    export KUBECONFIG={ENVIRONMENT['KUBECONFIG']} PATH={tools.CURRENT}:$PATH")
    print(f"    kubectl -n {NAMESPACE} get pods,secrets\n    helm uninstall {RELEASE} -n {NAMESPACE}\n    make down")
    return 0


if __name__ == "__main__":
    sys.exit(main())
