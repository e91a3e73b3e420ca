# SPDX-License-Identifier: GPL-2.0-or-later
"""
Debian's own libvirt runs VMs with private memory.

docs/libvirt.rst is the rest of it: its commands are run by docs.py.
"""

import json
import logging
import subprocess
import time
from pathlib import Path
from xml.etree import ElementTree

import avocado
from workbench.base import bases
from workbench.base.paths import REPO
from workbench.base.steps import Failure
from workbench.guest import libvirt
from workbench.guest.guest import PAYLOADS, has_intent, has_mapped_guest_memfd

CONFIGS = REPO / 'configs' / 'libvirt'
MIB = 1 << 20
FIRMWARE = '/usr/share/seabios/bios-256k.bin'
FAULT_EVENT = 'PRIVATE_MEMORY_FAULT'
FAILED_EVENT = 'PRIVATE_MEMORY_CONVERSION_FAILED'
LIMIT = 120
LOG = logging.getLogger('avocado.test.virsh')


def virsh(*command):
    """What virsh prints; CalledProcessError if it fails."""
    result = subprocess.run(['virsh', '--quiet', *command], check=False,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, timeout=LIMIT)
    LOG.info('virsh %s\n%s', ' '.join(command), result.stdout)
    result.check_returncode()
    return result.stdout


def wait_until(condition, what):
    deadline = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.1)


class Domain:
    """One of ours under another name, with a payload."""

    def __init__(self, payload, which, memory=256):
        self.name = f'guest-{payload}'
        self.serial = libvirt.LOGS / f'{self.name}-serial.log'
        self.xml = (CONFIGS / f'{which}.xml').read_text() \
            .replace(FIRMWARE, str(PAYLOADS / f'{payload}.bin')) \
            .replace(f'{which}<', f'{self.name}<') \
            .replace(f'{which}-serial', f'{self.name}-serial') \
            .replace('1024', str(memory))

    def virsh(self, command, *arguments):
        return virsh(command, self.name, *arguments)

    def qmp(self, command):
        answer = self.virsh('qemu-monitor-command',
                            json.dumps({'execute': command}))
        return json.loads(answer)['return']

    def listener(self, output, event):
        """A client of libvirt that prints events; a regular expression."""
        return subprocess.Popen(
            ['virsh', 'qemu-monitor-event', self.name, '--loop', '--regex',
             '--event', event], stdin=subprocess.DEVNULL, stdout=output)


class Libvirt(avocado.Test):

    timeout = 300

    def setUp(self):
        self._processes = []
        self._domains = []
        try:
            libvirt.start()
        except Failure as failure:
            self.cancel(str(failure))

    def tearDown(self):
        for process in self._processes:
            process.kill()
            process.wait()
        for domain in self._domains:
            subprocess.run(['virsh', 'destroy', domain.name], check=False,
                           capture_output=True)
            if domain.serial.exists():
                self.log.info('serial:\n%s', domain.serial.read_text())

    def define(self, payload, which='sw-protected'):
        domain = Domain(payload, which)
        self._domains.append(domain)
        path = Path(self.workdir) / f'{domain.name}.xml'
        path.write_text(domain.xml)
        virsh('define', '--validate', str(path))
        return domain

    def memory(self, domain):
        """What QEMU says of the memory that the guest has."""
        block, = (block for block in
                  domain.qmp('query-private-memory')['blocks']
                  if block['id'] == 'ram1')
        return block

    def test_capabilities(self):
        """libvirt has asked this QEMU, and knows what it needs to."""
        text = virsh('domcapabilities', '--emulatorbin',
                     str(libvirt.EMULATOR), '--machine', 'q35')
        capabilities = ElementTree.fromstring(text)
        self.assertEqual(capabilities.findtext('domain'), 'kvm')
        version = bases.current().version
        self.assertEqual(capabilities.findtext('machine'),
                         f'pc-q35-{version}')
        self.assertIn(f'Running hypervisor: QEMU {version}.', virsh('version'))

    def test_life(self):
        """All that is done to a VM, while it converts at full rate."""
        domain = self.define('busy')
        domain.virsh('start')
        wait_until(lambda: '# busy' in domain.serial.read_text(), 'busy')
        self.assertEqual(domain.virsh('domstate').strip(), 'running')
        first = self.memory(domain)
        self.assertEqual(first['size'], 256 * MIB)
        self.assertEqual(first['private'] + first['shared'], 256 * MIB)
        self.assertIn(first['private'], (4 * MIB, 4 * MIB - (64 << 10)))

        self.assertIn(f'event {FAILED_EVENT} ', domain.virsh(
            'qemu-monitor-event', '--event', FAILED_EVENT, '--timeout', '60'))
        later = self.memory(domain)
        for direction in ('to-private', 'to-shared'):
            self.assertGreater(
                later['conversions']['explicit'][direction]['count'],
                first['conversions']['explicit'][direction]['count'])

        domain.virsh('reset')
        wait_until(lambda: domain.serial.read_text().count('# busy') == 2,
                   'busy again')
        after = self.memory(domain)
        self.assertGreater(
            after['conversions']['reset']['to-shared']['bytes'], 0)

        domain.virsh('destroy')
        domain.virsh('undefine')
        self.assertNotIn(domain.name, virsh('list', '--all', '--name').split())

    def test_fault(self):
        """An access that cannot succeed stops the VM; libvirt's client and
        libvirt itself see it, and a reset makes the VM run again."""
        if not has_intent():
            self.cancel('implicit conversions cannot be provoked here')
        domain = self.define('faults')
        domain.virsh('start', '--paused')
        events = Path(self.workdir) / 'events'

        def seen(event):
            return f'event {event} ' in events.read_text()

        with events.open('w') as output:
            self._processes.append(
                domain.listener(output, f'^(RESET|{FAULT_EVENT})$'))

        def listening():
            domain.virsh('reset')
            return seen('RESET')

        # The event comes once: the listener has to be there
        wait_until(listening, 'the listener is there')
        domain.virsh('resume')
        wait_until(lambda: domain.virsh('domstate').strip() == 'paused',
                   'libvirt knows that it stopped')
        # After a reset it touches something else that cannot be private.  On
        # a busy machine libvirt's client was seen to miss the first event.
        domain.virsh('reset')
        domain.virsh('resume')
        wait_until(lambda: '# touching mmio' in domain.serial.read_text(),
                   'runs again')
        wait_until(lambda: seen(FAULT_EVENT), FAULT_EVENT)
        self.assertRegex(events.read_text(), f'"gpa":({512 * MIB}|{0xfed00000}),')

    def test_guest_memfd(self):
        """An ordinary VM, and what libvirt does with nothing but those."""
        if not has_mapped_guest_memfd():
            self.cancel('this kernel cannot map a guest_memfd')
        domain = self.define('migrate', 'guest-memfd')
        domain.virsh('start')
        wait_until(lambda: '# writing' in domain.serial.read_text(), 'writing')
        self.assertEqual(domain.qmp('query-private-memory')['blocks'], [])
        domain.virsh('managedsave')
        self.assertEqual(domain.virsh('domstate').strip(), 'shut off')
        domain.virsh('start')
        self.assertEqual(domain.virsh('domstate').strip(), 'running')
        domain.virsh('destroy')
        domain.virsh('undefine')

    def test_snp(self):
        """libvirt takes the domain, and QEMU all but its VM type: the
        emulated machine has no SEV-SNP."""
        path = Path(self.workdir) / 'guest-snp.xml'
        path.write_text((CONFIGS / 'sev-snp.xml').read_text()
                        .replace('sev-snp<', 'guest-snp<'))
        virsh('define', '--validate', str(path))
        with self.assertRaises(subprocess.CalledProcessError) as failed:
            virsh('start', 'guest-snp')
        self.assertIn('SEV-SNP not supported by KVM', failed.exception.output)
        virsh('undefine', 'guest-snp')
