# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether this machine's KVM can run a machine that has KVM itself."""

import subprocess
import tempfile
from functools import cache
from pathlib import Path

EMULATOR = '/usr/bin/qemu-system-x86_64'
CPUINFO = Path('/proc/cpuinfo')
LIMIT = 20              # seconds; a guest that works takes less than one
PORT = 0xf4
HAS, LACKS = 2, 1       # what the guest answers

# 16-bit code: whether the guest's CPU has SVM (leaf 0x80000001, ecx bit 2) or
# VMX (leaf 1, ecx bit 5)
CODE = bytes.fromhex(
    '66b801000080'      # mov $0x80000001, %eax
    '0fa2'              # cpuid
    '660fbae102'        # bt $2, %ecx
    '720f'              # jc to "mov $HAS"
    '66b801000000'      # mov $1, %eax
    '0fa2'              # cpuid
    '660fbae105'        # bt $5, %ecx
    '7304'              # jnc to "mov $LACKS"
    'b002'              # mov $HAS, %al
    'eb02'              # jmp to "out"
    'b001'              # mov $LACKS, %al
    'e6f4'              # out %al, $PORT
    'f4ebfd')           # hlt, for ever
IMAGE_SIZE = 0x10000
RESET = 0xfff0          # where the CPU starts, at the end of the image
JUMP = bytes.fromhex('e90d00')          # jmp to the image's first byte


def image() -> bytes:
    """Firmware that only answers."""
    start = CODE.ljust(RESET, b'\xf4')
    return (start + JUMP).ljust(IMAGE_SIZE, b'\xf4')


def answer(accelerator: str, cpu: str, emulator: str = EMULATOR) -> int | None:
    """What the guest says, HAS or LACKS; None if it does not."""
    with tempfile.NamedTemporaryFile() as firmware:
        firmware.write(image())
        firmware.flush()
        try:
            status = subprocess.run(
                [emulator, '-no-user-config', '-nodefaults', '-display',
                 'none', '-machine', 'q35', '-accel', accelerator, '-cpu', cpu,
                 '-bios', firmware.name, '-no-reboot', '-device',
                 f'isa-debug-exit,iobase={PORT:#x},iosize=1'],
                stdin=subprocess.DEVNULL, capture_output=True, check=False,
                timeout=LIMIT).returncode
        except (OSError, subprocess.TimeoutExpired):
            return None
    # The device makes an odd number of it
    return {HAS * 2 + 1: HAS, LACKS * 2 + 1: LACKS}.get(status)


def cpu_has_it() -> bool:
    """Whether the CPU says that it has SVM or VMX."""
    flags = CPUINFO.read_text().partition('\nflags')[2].partition('\n')[0]
    return bool({'svm', 'vmx'} & set(flags.split()))


@cache
def usable() -> bool:
    """A /dev/kvm that can be opened is no proof: a guest must run on it, and
    find SVM or VMX there."""
    return cpu_has_it() and answer('kvm', 'host') == HAS
