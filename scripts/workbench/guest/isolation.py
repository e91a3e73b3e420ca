# SPDX-License-Identifier: GPL-2.0-or-later
"""Look at guest memory from the host at each step of the isolation payload."""

from collections.abc import Iterator
from dataclasses import dataclass

from qemu.qmp import QMPError

from .guest import Guest

# Steps in order, and whether the page is shared then
STEPS = {
    'shared': True,
    'private': False,
    'shared-again': True,
    'implicit-shared': True,
    'implicit-private': False,
    'implicit-shared-again': True,
}


@dataclass(frozen=True)
class Look:
    """What the host saw when it looked for the secret of a step."""
    step: str
    gpa: int            # of the page
    shared: bool        # what the page is
    refused: bool       # QEMU says that the page is private
    in_page: bool       # the secret is there, all over the page
    in_memory: bool     # it is somewhere in QEMU's memory

    def held(self) -> bool:
        """Whether the host saw what it must see, and no more."""
        return (self.refused != self.shared and
                self.in_page == self.in_memory == self.shared)


def secret(gpa: int, step: str) -> bytes:
    return f'secret-of-page-{gpa:#x}-{step} '.encode()


def observe(guest: Guest) -> Iterator[Look]:
    """Go through a launched guest's steps; the payload ends after the last."""
    seen = 0
    for step, shared in STEPS.items():
        match = guest.wait_for_line(
            r'# step (\S+) gpa=0x([0-9a-f]+) size=0x([0-9a-f]+)', seen)
        seen = match.end()
        gpa, size = int(match[2], 16), int(match[3], 16)
        if match[1] != step:
            raise RuntimeError(f'step {match[1]} instead of {step}')
        text = secret(gpa, step)
        try:
            page = guest.physical_memory(gpa, size)
            refused = False
        except QMPError as error:
            page = b''
            refused = 'is private' in str(error)
        yield Look(step, gpa, shared, refused,
                   page == (text * (size // len(text) + 1))[:size],
                   any(text in memory for memory in guest.host_memory()))
        guest.send('\n')
