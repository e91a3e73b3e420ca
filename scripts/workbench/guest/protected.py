# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of VMs whose guests are protected from QEMU, whatever protects them."""

from qemu.qmp import ExecuteError

from .avocado import GuestTest
from .guest import HALVES_STEPS, Guest

MIB = 1 << 20
HOLE = 40 << 30         # that of the payloads


class ProtectedState(GuestTest):
    """What there is, and what there is not, of such a VM that runs."""

    payload = ''        # that of the type of VM
    not_saved = ''      # what "savevm" says

    def at_step(self, name: str, *arguments: str, **options) -> Guest:
        """A guest that waits; part of its memory may be shared."""
        guest = self.guest('halves', arguments=arguments, parameters={
            'base': 64 * MIB, 'size': 4 * MIB}, **options)
        guest.launch()
        seen = 0
        for step in HALVES_STEPS:
            seen = guest.wait_for_line(f'# step {step}', seen).end()
            if step == name:
                return guest
            guest.send('\n')
        raise ValueError(name)

    def test_monitor(self):
        """Private memory is not shown, nor are registers; no VM is saved."""
        guest = self.at_step('mixed')
        private, shared = 64 * MIB + 4096, 64 * MIB

        def says(command: str) -> str:
            return guest.cmd('human-monitor-command', command_line=command)
        self.assertIn(f'{shared:016x}: 0x{shared:016x}',
                      says(f'xp/1xg {shared:#x}'))
        self.assertIn('Memory is private', says(f'xp/1xg {private:#x}'))
        self.assertIn("The guest's registers are protected",
                      says('info registers'))
        self.assertIn(self.not_saved, says('savevm one'))
        guest.cmd('dump-guest-memory', paging=False,
                  protocol=f'file:{self.directory}/dump')
        # The dump has stopped it for a while
        guest.event_wait('STOP')
        guest.send('\n')
        guest.wait_for_line('# step back')
        guest.send('\n')
        self.check_report(guest.finish())
        self.assertIn("dump: The guest's registers are protected",
                      guest.get_log())

    def test_hole(self):
        """A private access to what is no memory is not tried for ever."""
        guest = self.guest(self.payload, parameters={'end': 'hole'})
        guest.launch()
        fault = guest.event_wait('PRIVATE_MEMORY_FAULT', timeout=120)
        self.assertEqual(fault['data']['gpa'], HOLE)
        self.assertIsNotNone(guest.event_wait('STOP', timeout=60))
        self.assertEqual(guest.cmd('query-status')['status'],
                         'internal-error')

    def test_reset(self):
        """It is refused, QEMU ends the VM, and memory is what it was."""
        guest = self.at_step('mixed', '-no-shutdown', reboot=True)
        before = guest.cmd('query-private-memory')
        guest.cmd('system_reset')
        guest.event_wait('SHUTDOWN')
        self.assertEqual(guest.cmd('query-private-memory'), before)
        self.assertEqual(guest.cmd('query-status')['status'], 'shutdown')
        with self.assertRaisesRegex(ExecuteError, 'reset|Resetting'):
            guest.cmd('cont')
        guest.stop()
        self.assertIn('host-qmp-system-reset: a VM with protected CPUs cannot '
                      'be reset; stopping it, start it again', guest.get_log())
