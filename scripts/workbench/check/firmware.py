# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a QEMU finds its firmware: the firmware itself says that it runs."""

import subprocess
from collections.abc import Sequence

LIMIT = '120'       # seconds
# SeaBIOS and its VGA BIOS write to this port.  The network card has firmware
# too, without which QEMU does not start.
ARGUMENTS = ['-accel', 'tcg', '-display', 'none', '-no-reboot',
             '-debugcon', 'stdio', '-global', 'isa-debugcon.iobase=0x402']
LINES = ('SeaBIOS (version', 'Start SeaVGABIOS (version',
         'Booting from Hard Disk...')


def boot(command: Sequence[str]) -> str:
    """Start a PC with nothing to boot, `command` being QEMU; returns what the
    firmware says, up to when it looks for something to boot."""
    said = ''
    with subprocess.Popen(['timeout', LIMIT, *command, *ARGUMENTS], text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, errors='replace') as qemu:
        assert qemu.stdout
        for line in qemu.stdout:
            said += line
            if line.startswith(LINES[-1]):
                break
        qemu.terminate()
    return said


def missing(said: str) -> list[str]:
    """What firmware that has run should have said, and has not."""
    return [line for line in LINES if line not in said]
