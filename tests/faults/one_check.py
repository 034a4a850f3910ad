"""The keeper's process for one check: ``keep`` without its port, its watch and its waiting.

Ends with 0 when the key works and nothing is under way any more, else with 75. With the argument ``leave`` it then does
what the keeper does at its end, and ends with 0.
"""

import os
import sys
import time

from gitops_runtime_auth import context, log
from gitops_runtime_auth.commands import keep
from gitops_runtime_auth.service.health import Health
from gitops_runtime_auth.service.keeper import Keeper
from gitops_runtime_auth.timing import Timing

CHECKS = 10
"""More than a rollout without pods and a short grace period take."""


def main() -> int:
    timing = Timing()
    with context.from_environment(os.environ, timing) as base:
        log.setup(base.settings.log_level, as_json=True)
        keeper = Keeper(base)
        loop = keep.Loop(base, keeper, Health(timing.stalls_after))
        verdict = loop.turn()
        for _ in range(CHECKS):
            if not verdict.again_soon:
                break
            time.sleep(1)
            verdict = loop.turn()
        if sys.argv[1:] == ["leave"]:
            keep.leave(base, keeper, seen_going=loop.namespace_was_going)
            return 0
    return 0 if verdict.ready and not verdict.again_soon else os.EX_TEMPFAIL


if __name__ == "__main__":
    sys.exit(main())
