"""Entry point: the version without imports, signals, and errors to exit codes in one place."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Any

BUG = 70
PIPE_CLOSED = 141


def main(argv: list[str] | None = None) -> None:
    """Run the command line; always ends in SystemExit."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments in (["--version"], ["-V"]):
        from lossctl.version import __version__

        sys.exit(_print_version(__version__))
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminated)
    code = run(arguments, debug)
    _close_stdout(code)


def run(arguments: list[str], debug: bool) -> int:
    """The exit code of a command line; every error is told on stderr in one line."""
    from lossctl.cli.app import make
    from lossctl.errors import LossctlError

    try:
        arguments = _with_plugins(arguments)
        result = make().main(args=arguments, prog_name="lossctl", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    except LossctlError as error:
        if debug:
            raise
        _tell(error, arguments)
        return error.exit_code
    except SystemExit as stop:
        # The option parser ends so, with 1, when the reader of its own output is gone; ours ends by value.
        code = stop.code if isinstance(stop.code, int) else 1
        return PIPE_CLOSED if code == 1 else code
    except Exception as error:
        return _other(error, arguments, debug)


def _with_plugins(arguments: list[str]) -> list[str]:
    """Run the files of --plugin, which may stand anywhere, and give the rest of the command line."""
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        name, equals, path = word.partition("=")
        if name != "--plugin":
            rest.append(word)
            continue
        from lossctl.plugins import load_file

        load_file(path if equals else next(words, ""))
    return rest


def _other(error: Exception, arguments: list[str], debug: bool) -> int:
    """Usage errors of the option parser (known by their shape, not by importing it), or a bug of ours."""
    from lossctl.errors import UsageError

    if type(error).__name__ == "Abort":
        _say("interrupted")
        return 130
    if getattr(error, "exit_code", None) == PIPE_CLOSED:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still buffered has nowhere to go
        return PIPE_CLOSED
    if isinstance(error, OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        gone = isinstance(error, BrokenPipeError)
        if not gone:
            _say(f"error: cannot write to standard output: {os.strerror(error.errno or 0).lower()}")
        return PIPE_CLOSED if gone else 4
    if hasattr(error, "format_message"):
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.format_message())
            return 2
        message = " ".join(str(error.format_message()).split()).rstrip(".")
        context: Any = getattr(error, "ctx", None)
        place = context.command_path if context is not None else "lossctl"
        _tell(UsageError(message, hint=f"see: {place} --help"), arguments)
        return 2
    if debug:
        raise error
    _say(
        f"error: a bug in lossctl: {type(error).__name__}: {' '.join(str(error).split())}; "
        "run again with --debug and report it"
    )
    return BUG


def _tell(error: Any, arguments: list[str]) -> None:
    from lossctl.errors import visible

    if _wants_json(arguments):
        from lossctl.render import error_json

        _say(error_json(error).rstrip("\n"))
    if str(error):
        _say(f"error: {visible(str(error), 2000)}")


def _wants_json(arguments: list[str]) -> bool:
    joined = " ".join(arguments)
    return any(f in joined for f in ("-f json", "--format json", "--format=json", "-fjson"))


def _say(text: str) -> None:
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def _terminated(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _print_version(version: str) -> int:
    try:
        sys.stdout.write(f"lossctl {version}\n")
        sys.stdout.flush()
    except OSError:
        return 4
    return 0


def _close_stdout(code: int) -> None:
    """Flush what the interpreter still holds, so that a full disk or closed pipe is never exit 0."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(PIPE_CLOSED)
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        _say("error: cannot write to standard output")
        sys.exit(4)
    sys.exit(code)


if __name__ == "__main__":
    main()
