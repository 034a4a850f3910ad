"""Reads the command line. It imports only the command that runs, because start-up time is part of every install."""

import argparse
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NoReturn

from gitops_runtime_auth import log
from gitops_runtime_auth.errors import UsageError
from gitops_runtime_auth.mounted import Mounted
from gitops_runtime_auth.preflight import options as check_options
from gitops_runtime_auth.timing import Timing


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        line = " ".join(message.split())  # an argument may hold line breaks
        raise UsageError(f"{line[:1].upper()}{line[1:]}.", f"See {self.prog} --help.")


class _Version(argparse.Action):
    """Prints the version of the chart, from the Chart.yaml that is part of image and wheel."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from gitops_runtime_auth.config.schema import chart_file

        lines = chart_file("Chart.yaml").read_text(encoding="utf-8").splitlines()
        version = next(line for line in lines if line.startswith("version:"))
        print(f"{parser.prog} {version.partition(':')[2].strip()}")
        parser.exit()


@cache
def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = _Parser(prog="gitops-runtime-auth", description="Connects a GitOps Runtime to an existing Argo CD.")
    top.add_argument("--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help="print the version and end")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    ensure = commands.add_parser("ensure", help="check the account, obtain an API key, write the Secret (install hook)")
    ensure.add_argument(
        "--before-rollback", action="store_true", help="warn and end with 0 if the key can't be made to work"
    )
    commands.add_parser("retire", help="revoke what an upgrade replaced (post-upgrade hook)")
    commands.add_parser("cleanup", help="revoke the release's keys, delete its Secret (post-delete hook)")
    commands.add_parser("keep", help="keep the API key working (app-proxy's default)")
    verify = commands.add_parser("verify", help="show that Argo CD accepts each consumer's credential (helm test)")
    verify.add_argument("--deployments", type=_names, default=(), metavar="NAME,NAME", help="the enabled ones")
    verify.add_argument(
        "--consumers", type=_names, default=(), metavar="KIND/NAME,...", help="further workloads that take the API key"
    )
    agent = commands.add_parser("agent", help="be ready only while Argo CD accepts the injected key")
    agent.add_argument("--ca-file", type=Path, metavar="FILE", help="default: the mounted one")
    agent.add_argument("--insecure-skip-verify", action="store_true")
    agent.add_argument("--port", type=int, default=8080)
    agent.add_argument("--url", default="", help="Argo CD's URL, if ARGO_CD_URL has no scheme")
    check_options.add_arguments(
        commands.add_parser("check", help="check before an install what the account has and lacks")
    )
    completion = commands.add_parser("completion", help="print the shell completion script")
    completion.add_argument("shell", choices=["bash", "zsh", "tcsh"])
    return top


def _mounted(options: argparse.Namespace) -> Mounted:
    folder = os.environ.get("GITOPS_RUNTIME_AUTH_FILES", "/var/run/gitops-runtime-auth")
    return Mounted(Path(folder), options.ca_file, options.insecure_skip_verify)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def run(argv: Sequence[str], timing: Timing) -> int:
    """Run the command that ``argv`` names and return its exit code. Raises every error of ``errors``."""
    top = parser()
    options, unknown = top.parse_known_args(argv)
    if unknown and options.command != "check":  # check passes them to helm
        top.error(f"unrecognized arguments: {' '.join(unknown)}")
    match options.command:
        case "ensure":
            from gitops_runtime_auth.commands import ensure

            return ensure.run(os.environ, timing, before_rollback=options.before_rollback)
        case "retire":
            from gitops_runtime_auth.commands import retire

            return retire.run(os.environ, timing)
        case "cleanup":
            from gitops_runtime_auth.commands import cleanup

            return cleanup.run(os.environ, timing)
        case "keep":
            from gitops_runtime_auth.commands import keep

            return keep.run(os.environ, timing)
        case "verify":
            from gitops_runtime_auth.commands import verify

            return verify.run(os.environ, verify.Options(options.deployments, options.consumers), timing)
        case "agent":
            from gitops_runtime_auth.commands import agent

            return agent.run(os.environ, _mounted(options), options.port, timing, options.url)
        case "check":
            from gitops_runtime_auth.commands import check

            log.setup("warning")
            return check.run(check_options.from_arguments(options, unknown), timing)
        case "completion":
            import shtab

            print(shtab.complete(parser(), options.shell))
            return 0
    raise AssertionError(options.command)
