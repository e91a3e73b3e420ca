# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables of results, and targets that are met or not."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """What a figure was meant to be."""
    what: str
    measured: float
    limit: float                # at most
    unit: str = ''

    def row(self) -> list[str]:
        """Cells under TARGET_HEAD."""
        missed = self.measured - self.limit
        met = 'yes' if missed <= 0 else f'no, by {missed / self.limit:.0%}'
        return [self.what, f'{self.measured:.2f}{self.unit}',
                f'<= {self.limit:g}{self.unit}', met]


TARGET_HEAD = ['target', 'measured', 'limit', 'met']


def table(rows: list[list[str]], left: int = 1) -> str:
    """
    Columns aligned, the first `left` and the last one to the left and figures
    to the right; the first row is the head.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(row: list[str]) -> str:
        cells = [cell.ljust(width)
                 if number < left or number == len(row) - 1
                 else cell.rjust(width)
                 for number, (cell, width) in
                 enumerate(zip(row, widths, strict=True))]
        return '  '.join(cells).rstrip()

    rule = '  '.join('=' * width for width in widths)
    return '\n'.join([rule, line(rows[0]), rule, *map(line, rows[1:]), rule])
