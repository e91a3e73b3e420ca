# SPDX-License-Identifier: GPL-2.0-or-later
"""
Command lines for other trees of QEMU, as docs/command-line.rst has them.

They are run as far as the test kernel goes: with an image of the tests as
firmware, with little memory, and with the C-bit of the emulated CPU.
"""

import re
from collections.abc import Iterator, Sequence

from workbench.base import bases
from workbench.base.paths import REPO
from workbench.guest.avocado import GuestTest
from workbench.guest.console import ConsoleMachine
from workbench.guest.guest import PAYLOADS, Guest

PAGE = REPO / 'docs' / 'command-line.rst'
SIZE = '256M'
REQUIRED = {
    'sev-guest': 'id=cgs0,cbitpos=0,reduced-phys-bits=1',
    'sev-snp-guest': 'id=cgs0,cbitpos=0,reduced-phys-bits=1',
}


def tables() -> list[list[list[str]]]:
    """Cells of the rows of the tables in that section, without the heads."""
    text = PAGE.read_text().split('\nCommand lines of other trees\n')[1]
    result = []
    for table in re.findall(r'^\.\. list-table::\n(?:.+\n|\n(?= ))+', text,
                            flags=re.M):
        rows = re.split(r'^   \* - ', table, flags=re.M)[2:]
        result.append([[' '.join(cell.split()) for cell in
                        re.split(r'\n     - ', row)] for row in rows])
    return result


def options(cell: str) -> list[str]:
    """QEMU's arguments in it, but for what this machine has not."""
    arguments: list[str] = []
    for option in re.findall('``(-.*?)``', cell):
        name, _, value = option.partition(' ')
        if name == '-bios':
            value = 'FIRMWARE'
        # All tests have -accel kvm, which QEMU does not take twice
        value = value.replace(',accel=kvm', '')
        value = re.sub('cbitpos=[0-9]+', 'cbitpos=0', value)
        value = re.sub('size=[0-9]+[MG]', f'size={SIZE}', value)
        value = re.sub(r'file=OVMF\w+\.fd', 'file=FIRMWARE', value)
        arguments += [name, value] if value else [name]
    return arguments


class TableTest(GuestTest):

    def firmware(self, arguments: Sequence[str]) -> list[str]:
        path = str(PAYLOADS / f'{self.payload}.bin')
        return [argument.replace('FIRMWARE', path) for argument in arguments]

    def vm(self, arguments: Sequence[str]) -> Guest:
        return self.guest(self.payload, vm_type='ordinary', memory=SIZE,
                          arguments=self.firmware(arguments))

    def starts(self, arguments: Sequence[str]) -> None:
        """QEMU takes these.  The guest does not run."""
        guest = self.vm(arguments)
        ConsoleMachine.launch(guest)
        self.assertEqual(guest.cmd('query-status')['status'], 'prelaunch')
        guest.stop()

    def rows(self, *, tdx: bool) -> Iterator[tuple[str, list[str], list[str]]]:
        """Name, options, and options here, of scripts for one type of VM."""
        scripts, _ = tables()
        for name, cell, instead in scripts:
            if ('tdx-guest' in cell) == tdx:
                old = options(cell)
                yield (name, old, old if 'the same' in instead
                       else options(instead))


class Scripts(TableTest):

    vm_type = 'sev-snp'
    payload = 'convert'     # also where no contents are freed

    def check_refused(self, arguments: Sequence[str],
                      messages: Sequence[str]) -> None:
        said = self.refusal('-accel', 'kvm', '-m', SIZE,
                            *self.firmware(arguments))
        for message in messages:
            if re.search(re.escape(message).replace(r'\.\.\.', '.*'), said):
                return
        self.fail(f'{arguments}: {said}')

    def messages(self) -> list[str]:
        _, refused = tables()
        return [message.strip('`') for _, message, _ in refused]

    def test_scripts(self):
        """A guest runs with what the table has for each script."""
        rows = list(self.rows(tdx=False))
        self.assertGreater(len(rows), 3)
        for name, old, here in rows:
            self.log.info('%s: %s', name, here)
            if here != old:
                self.check_refused(old, self.messages())
            self.passes(self.vm(here))

    def test_tdx(self):
        """QEMU 10.0 has none."""
        if not bases.current().version.startswith('10.0'):
            self.cancel('this QEMU has TDX')
        rows = list(self.rows(tdx=True))
        self.assertGreater(len(rows), 2)
        for _, old, _ in rows:
            self.check_refused(old, self.messages())

    def complete(self, arguments: Sequence[str]) -> list[str]:
        """An SEV-SNP VM with them, each option having all that it needs."""
        vm = ['-object', f'sev-snp-guest,{REQUIRED["sev-snp-guest"]}']
        machine = ['-machine', 'q35']
        if not any('confidential-guest-support' in argument
                   for argument in arguments):
            machine = ['-machine', 'q35,confidential-guest-support=cgs0']
        rest = []
        for argument in arguments:
            kind, _, properties = argument.partition(',')
            properties = properties and f',{properties}'
            if kind in REQUIRED:
                vm = ['-object', f'{kind},{REQUIRED[kind]}{properties}']
                del rest[-1]
            elif kind.startswith('memory-backend-'):
                rest.append(f'{kind},id=ram0,size={SIZE}{properties}')
                machine += ['-machine', 'memory-backend=ram0']
            else:
                rest.append(argument)
        if '-drive' not in arguments:
            rest += ['-bios', 'FIRMWARE']
        return [*vm, *machine, *rest]

    def test_options(self):
        """Each is refused, with that message; what is to be used is not."""
        _, refused = tables()
        self.assertGreater(len(refused), 10)
        for cell, message, instead in refused:
            if 'QEMU 10.2' in instead and cell.startswith('``-object') and \
                    not bases.current().version.startswith('10.0'):
                continue
            self.check_refused(self.complete(options(cell)),
                               [message.strip('`')])
            for choice in instead.split(', or '):
                self.starts(self.complete(options(choice)))


class TdxScripts(TableTest):

    vm_type = 'tdx'
    payload = 'tdx'

    def test_scripts(self):
        """QEMU starts with what the table has for each script."""
        for name, _, here in self.rows(tdx=True):
            self.log.info('%s: %s', name, here)
            self.starts(['-cpu', 'host', *here])
