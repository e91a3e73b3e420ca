# SPDX-License-Identifier: GPL-2.0-or-later
"""The part of scripts/demo that needs KVM: it runs a guest with secrets, and
looks for the secrets on the host."""

import argparse
import sys
import tempfile
from pathlib import Path

from ..base.paths import build_dir
from ..base.steps import Failure, main
from ..trace.trace import Conversion, conversions
from .guest import Guest, has_intent
from .isolation import STEPS, Look, observe
from .vm_types import VM_TYPES

# The words for them, and the types
TYPES = {'sw-protected': 'sw-protected', 'sev-snp': 'sev-snp-c-bit',
         'tdx': 'tdx'}


def table(rows: list[list[str]]) -> str:
    """Columns aligned; the first row is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ['  '.join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return '\n'.join([lines[0], '  '.join('-' * width for width in widths),
                      *lines[1:]])


def state(private: bool) -> str:
    return 'private' if private else 'shared'


def conversion_rows(done: list[Conversion],
                    starts_private: bool) -> list[list[str]]:
    """One row for each conversion.  Requests that change nothing are left out:
    the guest begins with one for each page, to be sure that it is shared."""
    done = [conversion for conversion in done if conversion.changed]
    private: dict[int, bool] = {}       # pages that were converted
    rows = [['exit', 'private flag', 'range', 'from', 'to', 'time']]
    for conversion in done:
        flag = '' if conversion.flags is None else \
            str(int(bool(conversion.flags & 8)))
        last = conversion.start + conversion.size - 1
        milliseconds = 1000 * (conversion.time - done[0].time)
        rows.append([conversion.exit, flag,
                     f'{conversion.start:#x}-{last:#x}',
                     state(private.get(conversion.start, starts_private)),
                     state(conversion.to_private),
                     f'+{milliseconds:.1f} ms'])
        private[conversion.start] = conversion.to_private
    return rows


def look_rows(looks: list[Look]) -> list[list[str]]:
    rows = [['step', 'page', 'state', 'secret in page', 'anywhere', '']]
    for look in looks:
        rows.append([look.step, f'{look.gpa:#x}', state(not look.shared),
                     'refused' if look.refused else
                     'seen' if look.in_page else 'not seen',
                     'seen' if look.in_memory else 'not seen',
                     'as it must be' if look.held() else 'WRONG'])
    return rows


def check_exits(done: list[Conversion]) -> list[str]:
    """The exits that the demo must show and did not."""
    shown = {(conversion.exit, conversion.flags, conversion.to_private)
             for conversion in done}
    wanted = {
        ('KVM_EXIT_HYPERCALL', None, True): 'a hypercall to private',
        ('KVM_EXIT_HYPERCALL', None, False): 'a hypercall to shared',
        ('KVM_EXIT_MEMORY_FAULT', 8, True): 'a private access to shared',
        ('KVM_EXIT_MEMORY_FAULT', 0, False): 'a shared access to private',
    }
    return [f'no exit for {text}' for key, text in wanted.items()
            if key not in shown]


def body() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--type', choices=TYPES, required=True)
    word = parser.parse_args().type
    vm_type = TYPES[word]
    if not VM_TYPES[vm_type].offered():
        raise Failure(f'KVM of this machine offers no VM of type {word}')
    if not VM_TYPES[vm_type].has_two_addresses and not has_intent():
        raise Failure('the kernel of this machine cannot provoke implicit '
                      'conversions, which need the test kernel: run '
                      'scripts/demo --emulate')
    with tempfile.TemporaryDirectory() as directory:
        guest = Guest('isolation', directory=Path(directory), memory='64M',
                      vm_type=vm_type)
        try:
            guest.launch()
            looks = list(observe(guest))
            report = guest.finish()
            trace = guest.trace()
        finally:
            guest.shutdown()

    done = list(conversions(trace))
    (build_dir() / 'logs' / 'demo.trace').write_text(trace)
    print('\nConversions that the guest caused:\n')
    print(table(conversion_rows(done, word != 'sw-protected')))
    print("\nThe host looks for the guest's secrets, with QMP pmemsave and in "
          "all of QEMU's memory:\n")
    print(table(look_rows(looks)))

    wrong = check_exits(done) + report.failures()
    wrong += [f'{look.step}: the host does not see what it must see, or sees '
              'more' for look in looks
              if not look.held()]
    if [look.step for look in looks] != list(STEPS):
        wrong.append('steps are missing')
    print()
    for line in wrong:
        print(f'FAILED: {line}')
    if not wrong:
        print('Passed: the host sees the secrets in shared pages, and not '
              'those in private pages.')
        if word != 'sw-protected':
            print('The test kernel stands in for the CPU and its firmware: '
                  'nothing is encrypted.')
    sys.stdout.flush()
    return 1 if wrong else 0


if __name__ == '__main__':
    main(body)
