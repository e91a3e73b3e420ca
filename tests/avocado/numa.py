# SPDX-License-Identifier: GPL-2.0-or-later
"""NUMA policies of memory backends: both halves are where they say, or QEMU
does not start.  The machine has two nodes, and QEMU runs in the first."""

from pathlib import Path

from workbench.guest.avocado import GuestTest
from workbench.guest.console import ConsoleMachine
from workbench.guest.guest import Guest
from workbench.guest.memcg import MemoryCgroup
from workbench.guest.vm_types import VM_TYPES

NODES = Path('/sys/devices/system/node/online')
FIRST_CPU = ('taskset', '--cpu-list', '0')
MIB = 1 << 20
SIZE = 128 * MIB
NOISE = 8 * MIB         # QEMU itself


class NumaTest(GuestTest):

    # Otherwise memory that is shared at first has no private half to allocate
    keep = ',discard=none'

    def setUp(self) -> None:
        super().setUp()
        if NODES.read_text().strip() != '0-1':
            self.cancel('this machine has not two NUMA nodes')

    def backend(self, properties: str) -> list[str]:
        return ['-object', f'memory-backend-ram,id=ram0,size={SIZE // MIB}M,'
                f'{properties}']

    def started(self, properties: str) -> tuple[Guest, MemoryCgroup]:
        group = self.cgroup()
        guest = self.guest(
            'halves', memory='128M', machine='q35,memory-backend=ram0',
            reboot=True, wrapper=[*FIRST_CPU, *group.wrapper()],
            parameters={'base': 64 * MIB, 'size': 4 * MIB},
            arguments=self.backend(properties))
        ConsoleMachine.launch(guest)
        return guest, group

    def check(self, group: MemoryCgroup, *expected: int) -> None:
        """How much of private memory, which nothing evicts, is in each node."""
        for node, size in enumerate(expected):
            self.assertAlmostEqual(group.nodes('unevictable')[node], size,
                                   delta=NOISE, msg=f'node {node}')


class Numa(NumaTest):

    def test_bind(self):
        _, group = self.started('host-nodes=1,policy=bind,private-prealloc=on'
                                f'{self.keep}')
        self.check(group, 0, SIZE)

    def test_preferred(self):
        _, group = self.started('host-nodes=1,policy=preferred,'
                                f'private-prealloc=on{self.keep}')
        self.check(group, 0, SIZE)

    def test_interleave(self):
        _, group = self.started('host-nodes=0-1,policy=interleave,'
                                f'private-prealloc=on{self.keep}')
        self.check(group, SIZE // 2, SIZE // 2)

    def test_no_policy(self):
        """It is where QEMU runs."""
        _, group = self.started(f'private-prealloc=on{self.keep}')
        self.check(group, SIZE, 0)

    def test_refused(self):
        """Private pages that vCPUs allocate are where these run."""
        vm_type = VM_TYPES[self.vm_type]
        for policy in ('host-nodes=1,policy=bind',
                       'host-nodes=1,policy=preferred',
                       'host-nodes=0-1,policy=interleave',
                       'host-nodes=1,policy=bind,private-prealloc=on,'
                       f'private-prealloc-async=on{self.keep}'):
            said = self.refusal(
                '-accel', 'kvm', *vm_type.arguments, '-machine',
                f'q35,memory-backend=ram0{vm_type.machine}', '-m', '128M',
                *self.backend(policy))
            self.assertRegex(said, 'memory-backend-ram: policy=.* is not '
                             'possible for private memory that the guest '
                             'allocates; use private-prealloc=on')

    def test_all_nodes(self):
        """There is nowhere else to allocate."""
        self.started('host-nodes=0-1,policy=bind')


class NumaReset(NumaTest):

    def test_reset(self):
        """What is allocated after a reset is in the same place."""
        guest, group = self.started('host-nodes=1,policy=bind,'
                                    'private-prealloc=on,discard=none')
        guest.cmd('system_reset')
        guest.event_wait('RESET')
        self.check(group, 0, SIZE)


class SnpNuma(Numa):
    vm_type = 'sev-snp'
    keep = ''

    def test_prealloc(self):
        """The half that is allocated is the private one."""
        _, group = self.started('host-nodes=1,policy=bind,prealloc=on')
        self.check(group, 0, SIZE)
