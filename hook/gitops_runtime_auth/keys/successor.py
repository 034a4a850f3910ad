"""A new API key by the authority of the old one: no login, and no moment without a working key."""

from gitops_runtime_auth.context import Context
from gitops_runtime_auth.keys import issue as keys
from gitops_runtime_auth.keys.issue import Outcome
from gitops_runtime_auth.kube.secret import Entry, Stored


def succeed(context: Context, stored: Stored, by: Entry) -> Outcome | None:
    """Make and store the successor of the good key ``by``, which is remembered until the pods have the new one.

    Returns None when somebody else wrote the Secret meanwhile; nothing is left of the attempt then. Raises every
    error of ``errors``.
    """
    entry = context.entry(keys.new_key(context, by.account, by.token), by.account)
    known = Stored(by, tuple(e for e in stored.previous if e.token != by.token), stored.resource_version)
    if not keys.put(context, known.moved_to(entry, keep_old=True), by.token):
        return None
    account = keys.accepted(context, entry)
    return Outcome(entry, account, created=True) if account else None
