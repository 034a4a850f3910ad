"""The keeper's process for one check: ``keep`` without its port, its watch and its waiting.

Ends with 0 when the key works and nothing is under way any more.
"""

import sys
import time

from gitops_runtime_auth.service.lockout import Refusals

from gitops_runtime_auth import context, log
from gitops_runtime_auth.commands import keep
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.service import connections
from gitops_runtime_auth.service import health as probes
from gitops_runtime_auth.service.keeper import Keeper

CHECKS = 10
"""More than a rollout without pods takes."""


def main() -> int:
    base = context.from_environment()
    log.setup(base.settings.log_level, as_json=True)
    kept = connections.Connections()

    def fresh(seconds: float) -> Context:
        return kept.serve(base, seconds)

    keeper = Keeper(fresh, Refusals(base.settings, base.files / "refused-login"))
    loop = keep.Loop(fresh, keeper.check, probes.Health(keep.STALLS_AFTER))
    verdict = loop.turn()
    for _ in range(CHECKS):
        if not verdict.again_soon:
            break
        time.sleep(1)
        verdict = loop.turn()
    return 0 if verdict.ready and not verdict.again_soon else 75


if __name__ == "__main__":
    sys.exit(main())
