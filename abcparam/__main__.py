"""`python -m abcparam`, and the command `abcparam`."""

import sys


def main() -> None:
    """Runs a command; an interrupt is one line from the first import on."""
    try:
        from abcparam.commands.cli import program

        program()
    except KeyboardInterrupt:
        print("abcparam: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
