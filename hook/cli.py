"""Commands and flags. Each command imports what it needs when it runs: start-up time is the hook's cost."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from hook import log
from hook.errors import AuthError, UsageError


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}.", f"See {self.prog} --help.")


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    top = _Parser(prog="gitops-runtime-auth", description="Connects a GitOps Runtime to an existing Argo CD.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    commands.add_parser("ensure", help="check the account, obtain an API key, write the Secret (install hook)")
    agent = commands.add_parser("agent", help="be ready only while Argo CD accepts the injected key")
    agent.add_argument("--ca-file", type=Path, default=Path("/var/run/gitops-runtime-auth/ca/ca.crt"))
    agent.add_argument("--insecure-skip-verify", action="store_true")
    agent.add_argument("--port", type=int, default=8080)
    return top


def run(argv: Sequence[str]) -> int:
    """Run the command that ``argv`` names and return its exit code. Raises every error of ``errors``."""
    options = parser().parse_args(argv)
    match options.command:
        case "ensure":
            return _ensure()
        case "agent":
            from hook import agent

            log.setup(as_json=True)
            return agent.run(os.environ, options.ca_file, options.insecure_skip_verify, options.port)
    raise AssertionError(options.command)


def _ensure() -> int:
    from hook import context, ensure, events

    run_context = context.from_environment()
    try:
        log.info(ensure.ensure(run_context))
    except AuthError as e:
        events.emit(run_context, "Warning", "AuthenticationFailed", f"{e.problem} {e.remedy}")
        raise
    return 0
