"""The command `python -m ebca subjects`, which prints the subjects of prompts."""

from __future__ import annotations

import argparse
import sys
from typing import Any, TextIO

from ebca.subjects.reader import find_subjects


def add_subjects(commands: Any) -> argparse.ArgumentParser:
    """Add the command to the subparsers of `python -m ebca`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "subjects",
        help="show what a prompt's subjects are",
        description="Read prompts from standard input, one a line, and print for each what would"
        " be taken as its subjects, joined by '; '. An empty line: fewer than two were found, so"
        " nothing is done.",
    )
    parser.set_defaults(run=lambda options: main())
    return parser


def main(source: TextIO | None = None, target: TextIO | None = None) -> int:
    """Read prompts, print their subjects, and return the exit code."""
    source, target = source or sys.stdin, target or sys.stdout
    try:
        for line in source:
            print("; ".join(find_subjects(line.rstrip("\r\n"))), file=target, flush=True)
    except BrokenPipeError:  # the reader has closed the pipe
        sys.stderr.close()
    return 0
