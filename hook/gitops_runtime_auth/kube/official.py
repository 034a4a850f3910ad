"""Loads and configures those parts of the official Kubernetes client that the product needs, and no others.

``import kubernetes`` runs the package's ``__init__``, which imports all of it: generated models, pydantic, OAuth,
websockets. This product needs the HTTP part only. Measured with kubernetes 37 on Python 3.13, after httpx: 134 ms of
CPU and 21 MB for ``kubernetes.client.ApiClient`` as a program usually imports it, 27 ms and 4 MB for the parts below.
That time is part of each run of a hook, and the keeper keeps the memory as long as it runs.
"""

import importlib.util
import os
import ssl
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitops_runtime_auth import log
from gitops_runtime_auth.errors import ConfigurationError

if TYPE_CHECKING:
    from kubernetes.client.rest import RESTClientObject

_PACKAGES = ("kubernetes", "kubernetes.config", "kubernetes.utils")
"""Packages whose ``__init__`` imports everything in them."""
_LOCK = threading.Lock()
_SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def prepare() -> None:
    """Let ``from kubernetes.client.rest import …`` and the like load only what they name.

    A package that is already imported stays as it is.
    """
    with _LOCK:
        for name in _PACKAGES:
            if name not in sys.modules:
                _defer(name)


def _defer(package: str) -> None:
    """Make ``package`` importable, but run its ``__init__`` only when a name that it defines is used.

    Its submodules load as usual. ``importlib.util.LazyLoader`` can't do this, because it runs the ``__init__`` as soon
    as a submodule is imported.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(package, name=package)
    module, loader = importlib.util.module_from_spec(spec), spec.loader

    def run_init(name: str) -> object:
        del module.__dict__["__getattr__"]
        loader.exec_module(module)
        return getattr(module, name)

    module.__dict__["__getattr__"] = run_init
    sys.modules[package] = module
    parent, _, child = package.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)


def client(kubeconfig: str | None = None, context: str | None = None) -> "RESTClientObject":
    """Return the client of the Pod's own cluster, or of a kubeconfig file's (``""`` for the default file).

    Nothing is sent yet. Raises ConfigurationError if there is no such configuration.
    """
    with log.Span("import kubernetes"):
        prepare()
        from kubernetes.client.configuration import Configuration
        from kubernetes.client.rest import RESTClientObject
        from kubernetes.config.config_exception import ConfigException
        from kubernetes.config.incluster_config import InClusterConfigLoader
    configuration = Configuration()
    configuration.retries = False  # because ``retry`` does it, within the deadline
    configuration.keep_alive = True  # because a watch would not notice that a load balancer dropped its connection
    try:
        if kubeconfig is None:
            folder = Path(os.environ.get("GITOPS_RUNTIME_AUTH_SERVICE_ACCOUNT", _SERVICE_ACCOUNT))  # tests set it
            InClusterConfigLoader(folder / "token", folder / "ca.crt").load_and_set(configuration)
        else:
            from kubernetes.config.kube_config import load_kube_config

            load_kube_config(kubeconfig or None, context=context, client_configuration=configuration)
    except (ConfigException, OSError) as e:
        raise ConfigurationError(
            f"There is no way to the Kubernetes API from here ({type(e).__name__}).",
            "Run this in a pod whose ServiceAccount token is mounted."
            if kubeconfig is None
            else "Check --kubeconfig, --context and KUBECONFIG: kubectl config get-contexts lists the contexts.",
        ) from None
    configuration.proxy = configuration.proxy  # now that the host is known; else each request reads the environment
    made = RESTClientObject(configuration)
    made.pool_manager.connection_pool_kw["ssl_context"] = _tls(configuration)
    return made


def _tls(configuration: Any) -> ssl.SSLContext:
    """Return a context that verifies certificates as kubectl does, and as Python did before 3.13.

    Since then urllib3 requires of a CA everything in RFC 5280 (``VERIFY_X509_STRICT``), and so refuses the CAs of
    older EKS clusters and of MicroK8s: https://github.com/kubernetes-client/python/issues/2394.
    """
    from urllib3.util.ssl_ import create_urllib3_context

    made = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if configuration.verify_ssl else ssl.CERT_NONE)
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if configuration.verify_ssl and not (configuration.ssl_ca_cert or configuration.ca_cert_data):
        made.load_default_certs()  # urllib3 does so only for a context of its own
    return made
