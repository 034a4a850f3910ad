"""Commands and flags. Each command imports what it needs when it runs: start-up time is the hook's cost."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from gitops_runtime_auth import log
from gitops_runtime_auth.errors import AuthError, UsageError
from gitops_runtime_auth.preflight import options as check_options
from gitops_runtime_auth.timing import Timing


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}.", f"See {self.prog} --help.")


class _Version(argparse.Action):
    """Prints the chart's version: it stands once, in the Chart.yaml that image and wheel carry along."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from gitops_runtime_auth.config.schema import chart_file

        lines = chart_file("Chart.yaml").read_text(encoding="utf-8").splitlines()
        version = next(line for line in lines if line.startswith("version:"))
        print(f"{parser.prog} {version.partition(':')[2].strip()}")
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    top = _Parser(prog="gitops-runtime-auth", description="Connects a GitOps Runtime to an existing Argo CD.")
    top.add_argument("--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help="print the version and end")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    commands.add_parser("ensure", help="check the account, obtain an API key, write the Secret (install hook)")
    commands.add_parser("retire", help="revoke what an upgrade replaced (post-upgrade hook)")
    commands.add_parser("cleanup", help="revoke the release's keys, delete its Secret (post-delete hook)")
    commands.add_parser("keep", help="keep the API key working (app-proxy's default)")
    _add_verify(
        commands.add_parser("verify", help="show that Argo CD accepts each Deployment's credential (helm test)")
    )
    agent = commands.add_parser("agent", help="be ready only while Argo CD accepts the injected key")
    agent.add_argument("--ca-file", type=Path, default=Path("/var/run/gitops-runtime-auth/ca/ca.crt"))
    agent.add_argument("--insecure-skip-verify", action="store_true")
    agent.add_argument("--port", type=int, default=8080)
    check_options.add_arguments(
        commands.add_parser("check", help="look before you install: what the account has and lacks")
    )
    completion = commands.add_parser("completion", help="print the shell completion script")
    completion.add_argument("shell", choices=["bash", "zsh", "tcsh"])
    return top


def _add_verify(verify: argparse.ArgumentParser) -> None:
    verify.add_argument("--ca-file", type=Path, default=Path("/var/run/gitops-runtime-auth/ca/ca.crt"))
    verify.add_argument("--insecure-skip-verify", action="store_true")
    verify.add_argument("--deployments", default="", metavar="NAME,NAME", help="the enabled ones")


def run(argv: Sequence[str], timing: Timing) -> int:
    """Run the command that ``argv`` names and return its exit code. Raises every error of ``errors``."""
    top = parser()
    options, unknown = top.parse_known_args(argv)
    if unknown and options.command != "check":
        top.error(f"unrecognized arguments: {' '.join(unknown)}")
    match options.command:
        case "ensure":
            return _ensure()
        case "retire":
            from gitops_runtime_auth import context
            from gitops_runtime_auth.commands import retire

            log.info(retire.retire(context.from_environment()))
            return 0
        case "cleanup":
            return _cleanup()
        case "keep":
            from gitops_runtime_auth.commands import keep

            return keep.run(os.environ)
        case "verify":
            from gitops_runtime_auth.commands import verify

            names = [name for name in options.deployments.split(",") if name]
            return verify.run(os.environ, names, options.ca_file, options.insecure_skip_verify)
        case "agent":
            from gitops_runtime_auth.commands import agent

            log.setup(as_json=True)
            return agent.run(os.environ, options.ca_file, options.insecure_skip_verify, options.port)
        case "check":
            from gitops_runtime_auth.commands import check

            log.setup("warning")
            return check.run(check_options.from_arguments(options, unknown), timing)
        case "completion":
            import shtab

            print(shtab.complete(parser(), options.shell))
            return 0
    raise AssertionError(options.command)


def _ensure() -> int:
    from gitops_runtime_auth import context
    from gitops_runtime_auth.commands import ensure
    from gitops_runtime_auth.kube import events

    run_context = context.from_environment()
    try:
        log.info(ensure.ensure(run_context))
    except AuthError as e:
        events.emit(run_context, "Warning", "AuthenticationFailed", f"{e.problem} {e.remedy}")
        raise
    return 0


def _cleanup() -> int:
    from gitops_runtime_auth import context
    from gitops_runtime_auth.commands import cleanup

    try:
        left = {"job": os.environ.get("HOOK_JOB", ""), "pod": os.environ.get("TEST_POD", "")}
        cleanup.cleanup(context.from_environment(), **left)
    except Exception as e:
        # Whatever it is must not block helm uninstall; its text may hold a credential.
        log.warning(f"The clean-up ended early ({type(e).__name__}). {cleanup.BY_HAND}")
    return 0
