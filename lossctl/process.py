"""One run of the program: signals, standard streams, and errors to exit codes in one place."""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Any

LEAST = 440 << 20
PIPE_CLOSED = 141
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SHORT = frozenset("qv")  # one-letter flags that may stand before f in one word: -qf json

_stopped: list[int] = []


def run_and_flush(arguments: list[str]) -> int:
    """The exit code of a command line, once all it printed has arrived."""
    _start_lean()
    plug_closed_streams()
    heed_signals()
    if arguments in (["--version"], ["-V"]):
        from lossctl.version import __version__

        return _print_version(__version__)
    own, files = _split(arguments)
    debug = "--debug" in own
    arguments = [word for word in own if word != "--debug"] + files
    code = run(arguments, debug)
    return _flushed(_stopped[0] if _stopped else code)


def leave(code: int) -> None:
    """End the process without taking the interpreter apart, which took 40 ms of a run of 200.

    Files are closed and threads joined by now. A tracer, such as one that measures coverage, still has
    something to write, so then this does nothing.
    """
    if sys.gettrace() is None:
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()
        os._exit(code)


def _start_lean() -> None:
    """Settings of a process that computes one answer and ends; before anything imports NumPy.

    OpenBLAS starts a thread per core that spins for a tenth of a second of CPU, and no kernel calls it.
    Looking for garbage among the objects of the imported modules took 11 ms of 180, at 50,000 objects still.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(500_000, 20, 100)


def plug_closed_streams() -> None:
    """Give closed standard streams a descriptor that refuses: no file opened later may take their place."""
    for fd, way in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDONLY)):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, way)
            if fd == 1:  # what is printed has to fail, not to vanish
                sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115


def heed_signals() -> None:
    """Stop in order when told to, unless the shell said to ignore that (nohup, background jobs)."""
    for number in STOPPING:
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            signal.signal(number, _stop)
    sys.unraisablehook = _dropped


def _stop(number: int, frame: FrameType | None) -> None:
    _stopped.append(128 + number)
    sys.exit(_stopped[0])


def _dropped(told: Any) -> None:
    """Stop a moment later where a signal came inside a finaliser: Python drops what is raised there."""
    if not (_stopped and isinstance(told.exc_value, SystemExit)):
        sys.__unraisablehook__(told)
        return
    signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, 0.01)


def run(arguments: list[str], debug: bool) -> int:
    """The exit code of a command line; every error is told on stderr in one line."""
    try:
        return _run(arguments, debug)
    except SystemExit as stop:
        # The option parser ends so, with 1, when the reader of its own output is gone; ours ends by value.
        code = stop.code if isinstance(stop.code, int) else 1
        if _stopped:
            _say("interrupted" if code == 130 else "stopped by a signal")
        return PIPE_CLOSED if code == 1 else code
    finally:
        _clean_up()


def _run(arguments: list[str], debug: bool) -> int:
    try:
        from lossctl.cli.app import make
        from lossctl.errors import LossctlError

        try:
            _require_memory()
            arguments = _with_plugins(arguments)
            result = make().main(args=arguments, prog_name="lossctl", standalone_mode=False)
            return result if isinstance(result, int) else 0
        except LossctlError as error:
            _insist()
            _trace(error, debug)
            _tell(error, arguments)
            return error.exit_code
    except Exception as error:
        _insist()
        return _other(error, arguments, debug)


def _insist() -> None:
    """Stop if a signal said so, whatever that has turned into on its way: an error of a plugin, say."""
    if _stopped:
        sys.exit(_stopped[0])


def _require_memory() -> None:
    """Refuse a limit of address space under which Arrow's threads would end the process, not fail."""
    import resource

    from lossctl.errors import ResourceError

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < LEAST:
        raise ResourceError(
            f"not enough memory: {limit >> 20} MB of address space are allowed",
            hint=f"raise the limit (ulimit -v) to {LEAST >> 20} MB or more",
        )


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The words up to `--`, and the rest, which are no options."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at:]


def _with_plugins(arguments: list[str]) -> list[str]:
    """Run the files of --plugin, which may stand anywhere, and give the rest of the command line."""
    own, files = _split(arguments)
    rest: list[str] = []
    words = iter(own)
    for word in words:
        name, equals, path = word.partition("=")
        if name != "--plugin":
            rest.append(word)
            continue
        from lossctl.plugins import load_file

        load_file(path if equals else next(words, ""))
    return rest + files


def _other(error: Exception, arguments: list[str], debug: bool) -> int:
    """Usage errors of the option parser (known by their shape, not by importing it), or a bug of ours."""
    from lossctl.errors import LossctlError, UsageError

    if type(error).__name__ == "Abort":
        _say("interrupted")
        return 130
    if getattr(error, "exit_code", None) == PIPE_CLOSED or isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still buffered has nowhere to go
        return PIPE_CLOSED
    if type(error).__name__ == "NoArgsIsHelpError" and hasattr(error, "format_message"):
        print(error.format_message())
        return 2
    told = _resource(error)
    if told is None and hasattr(error, "format_message"):
        message = " ".join(str(error.format_message()).split()).rstrip(".")
        context: Any = getattr(error, "ctx", None)
        place = context.command_path if context is not None else "lossctl"
        told = UsageError(message, hint=f"see: {place} --help")
    _trace(error, debug)
    if told is None:
        reason = f"a bug in lossctl: {type(error).__name__}: {' '.join(str(error).split())}"
        told = LossctlError(reason, hint="run again with --debug and report it")
    _tell(told, arguments)
    return int(told.exit_code)


def _trace(error: Exception, debug: bool) -> None:
    """Where it was raised, if asked; the exit code stays the error's own."""
    if debug:
        from traceback import format_exception

        _say("".join(format_exception(error)).rstrip("\n"))


def _resource(error: Exception) -> Any:
    """The refusal for memory, threads or output that the system did not give, else None."""
    from lossctl.errors import ResourceError

    text = str(error)
    short = isinstance(error, OSError) and error.errno == errno.ENOMEM
    short = short or (isinstance(error, ImportError) and "annot allocate" in text)
    short = short or (isinstance(error, ImportError | RuntimeError) and "failed to map segment" in text)
    short = short or (isinstance(error, RuntimeError) and "start new thread" in text)
    if short or isinstance(error, MemoryError):
        return ResourceError("not enough memory", hint="free some, or use fewer --threads")
    if not isinstance(error, OSError):
        return None
    if error.filename is not None:
        return ResourceError(_reason(error), path=os.fsdecode(error.filename))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nothing else raises without a name
    return ResourceError(f"cannot write to standard output: {_reason(error)}")


def _reason(error: OSError) -> str:
    return "it is closed" if error.errno == errno.EBADF else os.strerror(error.errno or 0).lower()


def _tell(error: Any, arguments: list[str]) -> None:
    """The error as the last line of stderr: for people, or as one JSON object where JSON was asked for."""
    from lossctl.errors import visible

    if wants_json(arguments):
        from lossctl.render.structured import error_json

        _say(error_json(error).rstrip("\n"))
    elif str(error):
        _say(f"error: {visible(str(error), 2000)}")


def wants_json(arguments: list[str]) -> bool:
    """Whether the format asked for is json or jsonl, however it is spelt."""
    words = _split(arguments)[0]
    formats = []
    for word, after in zip(words, [*words[1:], ""], strict=False):
        name, equals, value = word.partition("=")
        if name == "--format":
            formats.append(value if equals else after)
        elif word.startswith("-") and not word.startswith("--") and "f" in word:
            flags, _, rest = word[1:].partition("f")
            if _SHORT.issuperset(flags):
                formats.append(rest or after)
    return any(each in ("json", "jsonl") for each in formats)


def _say(text: str) -> None:
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def _clean_up() -> None:
    """Take away temporary files that a signal or a failure has left, deaf to further signals."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in (*STOPPING, signal.SIGALRM):
        if signal.getsignal(number) is _stop:
            signal.signal(number, signal.SIG_IGN)
    output = sys.modules.get("lossctl.render.output")
    if output is not None:
        output.discard_temporaries()


def _print_version(version: str) -> int:
    try:
        sys.stdout.write(f"lossctl {version}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return PIPE_CLOSED
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 4
    return 0


def _flushed(code: int) -> int:
    """Flush what the interpreter still holds, so that a full disk or closed pipe is never exit 0."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return PIPE_CLOSED
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        _say("error: cannot write to standard output")
        return 4
    return code
