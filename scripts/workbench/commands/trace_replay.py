# SPDX-License-Identifier: GPL-2.0-or-later
"""
Run the steps of a trace under qtest, without KVM.

The result of each step is compared to a model and to the trace.
"scripts/trace steps" makes a file of steps from a trace.

Exit status: 0 only if all files are replayed with the same results.
"""

from pathlib import Path

from ..base.command import new_parser
from ..base.steps import Failure
from ..trace.replay import run_file


def body() -> int:
    parser = new_parser(__doc__, example='scripts/trace replay demo.replay')
    parser.add_argument('file', type=Path, nargs='+', help='a file of steps')
    status = 0
    for file in parser.parse_args().file:
        if not file.is_file():
            raise Failure(f'{file} does not exist: make it with scripts/trace '
                          'steps')
        failure = run_file(file)
        print(f'{file}: {"FAILED" if failure else "ok"}')
        if failure:
            print(failure)
            status = 1
    return status
