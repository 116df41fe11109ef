"""Entry point: the version with nothing imported, everything else in `process`."""

from __future__ import annotations

import sys


def main(argv: list[str] | None = None) -> None:
    """Run the command line; always ends the process or raises SystemExit."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments in (["--version"], ["-V"]) and _version_told():
        sys.exit(0)
    from lossctl import process

    code = process.run_and_flush(arguments)
    if argv is None:
        process.leave(code)
    sys.exit(code)


def _version_told() -> bool:
    """Whether the version could be printed; if not, `process` knows what to say and how to exit."""
    from lossctl.version import __version__

    if sys.stdout is None:
        return False
    try:
        sys.stdout.write(f"lossctl {__version__}\n")
        sys.stdout.flush()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
