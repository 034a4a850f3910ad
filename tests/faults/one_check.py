"""The keeper's process for one check: ``keep`` without its port, its watch and its waiting.

Ends with 0 when the key works and nothing is under way any more, else with 75.
"""

import os
import sys
import time
from dataclasses import replace

from gitops_runtime_auth import context, log
from gitops_runtime_auth.commands import keep
from gitops_runtime_auth.context import Context
from gitops_runtime_auth.retry import Deadline
from gitops_runtime_auth.service.connections import Connections
from gitops_runtime_auth.service.health import Health
from gitops_runtime_auth.service.keeper import Keeper
from gitops_runtime_auth.timing import Timing

CHECKS = 10
"""More than a rollout without pods and a short grace period take."""


def main() -> int:
    timing = Timing()
    base = context.from_environment(os.environ, timing)
    log.setup(base.settings.log_level, as_json=True)
    connections = Connections(timing)

    def fresh() -> Context:
        return replace(
            base,
            deadline=Deadline(timing.check),
            connect_argocd=connections.argocd,
            connect_cluster=connections.cluster,
        )

    password = base.settings.auth.type == "password"
    check = Keeper(fresh).check if password else lambda: keep.check_token(fresh())
    loop = keep.Loop(fresh, check, Health(timing.stalls_after))
    verdict = loop.turn()
    for _ in range(CHECKS):
        if not verdict.again_soon:
            break
        time.sleep(1)
        verdict = loop.turn()
    return 0 if verdict.ready and not verdict.again_soon else os.EX_TEMPFAIL


if __name__ == "__main__":
    sys.exit(main())
