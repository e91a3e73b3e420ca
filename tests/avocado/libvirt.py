# SPDX-License-Identifier: GPL-2.0-or-later
"""
Debian's own libvirt runs VMs with private memory: software-protected ones with
the libvirt of this machine, SEV-SNP with that of Debian 13, TDX with that of
Debian 14.

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
from workbench.guest.avocado import take_alone
from workbench.guest.guest import PAYLOADS, has_intent, has_mapped_guest_memfd

CONFIGS = REPO / 'configs' / 'libvirt'
MIB = 1 << 20
FIRMWARE = ('/usr/share/seabios/bios-256k.bin', '/usr/share/ovmf/OVMF.fd')
# The block that is the guest's memory, by domain
MEMORY = {'sw-protected': 'ram1', 'launch-security': 'pc.ram',
          'tdx': 'pc.ram'}
NR_HUGEPAGES = Path('/proc/sys/vm/nr_hugepages')
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


def capabilities():
    """What libvirt says that a domain of this QEMU can be."""
    return ElementTree.fromstring(virsh(
        'domcapabilities', '--emulatorbin', str(libvirt.EMULATOR),
        '--machine', 'q35'))


def security_types():
    """The types of <launchSecurity> in it."""
    return [value.text for value in capabilities().findall(
        'features/launchSecurity/enum[@name="sectype"]/value')]


def wait_until(condition, what):
    deadline = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.1)


class Domain:
    """One of ours under another name, with a payload."""

    def __init__(self, name, payload, which, memory=256):
        self.name = name
        self.serial = libvirt.LOGS / f'{self.name}-serial.log'
        self.log = libvirt.LOGS / f'{self.name}.log'
        self.pid_file = Path(f'/run/libvirt/qemu/{self.name}.pid')
        self.memory = MEMORY.get(which)
        xml = (CONFIGS / f'{which}.xml').read_text()
        for firmware in FIRMWARE:
            xml = xml.replace(firmware, str(PAYLOADS / f'{payload}.bin'))
        self.xml = xml.replace(f'{which}<', f'{self.name}<') \
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


class DomainTest(avocado.Test):

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

    def define(self, payload, which='sw-protected', changes=(), suffix=''):
        """`changes` are pairs of what the XML has, and what to have instead."""
        # Tests run at the same time
        name = self._testMethodName.replace('_', '-') + suffix
        domain = Domain(f'{name}-{payload}', payload, which)
        for old, new in changes:
            self.assertIn(old, domain.xml)
            domain.xml = domain.xml.replace(old, new)
        self._domains.append(domain)
        path = Path(self.workdir) / f'{domain.name}.xml'
        path.write_text(domain.xml)
        virsh('define', '--validate', str(path))
        return domain

    def memory(self, domain):
        """What QEMU says of the memory that the guest has."""
        block, = (block for block in
                  domain.qmp('query-private-memory')['blocks']
                  if block['id'] == domain.memory)
        return block

    def wait_until_busy(self, domain):
        """The payload of that name converts memory from now on."""
        wait_until(lambda: '# busy' in domain.serial.read_text(), 'busy')

    def wait_until_off(self, domain):
        wait_until(lambda: domain.virsh('domstate').strip() == 'shut off',
                   'shut off')

    def check_conversions(self, domain):
        """It goes on."""
        first = self.memory(domain)
        self.assertIn(f'event {FAILED_EVENT} ', domain.virsh(
            'qemu-monitor-event', '--event', FAILED_EVENT, '--timeout', '60'))
        later = self.memory(domain)
        for direction in ('to-private', 'to-shared'):
            self.assertGreater(
                later['conversions']['explicit'][direction]['count'],
                first['conversions']['explicit'][direction]['count'])


class Libvirt(DomainTest):

    def test_capabilities(self):
        """libvirt has asked this QEMU, and knows what it needs to."""
        found = capabilities()
        self.assertEqual(found.findtext('domain'), 'kvm')
        version = bases.current().version
        self.assertEqual(found.findtext('machine'),
                         f'pc-q35-{version}')
        self.assertIn(f'Running hypervisor: QEMU {version}.', virsh('version'))

    def test_life(self):
        """All that is done to a VM, while it converts at full rate."""
        domain = self.define('busy')
        domain.virsh('start')
        self.wait_until_busy(domain)
        self.assertEqual(domain.virsh('domstate').strip(), 'running')
        first = self.memory(domain)
        self.assertEqual(first['size'], 256 * MIB)
        self.assertEqual(first['private'] + first['shared'], 256 * MIB)
        self.assertIn(first['private'], (4 * MIB, 4 * MIB - (64 << 10)))

        self.check_conversions(domain)

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


class LaunchSecurity(DomainTest):
    """Domains of SEV-SNP with nothing in them that is not libvirt's own."""

    vm_type = 'sev-snp'

    def test_capabilities(self):
        """libvirt has asked QEMU, and QEMU the host."""
        features = capabilities().find('features')
        self.assertEqual(features.find('sev').get('supported'), 'yes')
        self.assertEqual(features.findtext('sev/reducedPhysBits'), '1')
        self.assertIn('sev-snp', security_types())

    def start(self, *changes):
        domain = self.define('busy', 'launch-security', changes)
        domain.virsh('start')
        self.wait_until_busy(domain)
        return domain

    def test_life(self):
        domain = self.start()
        self.assertRegex(domain.virsh('dominfo'), r'State: +running')
        self.assertRegex(domain.virsh('dommemstat'), r'^rss [1-9]')
        memory = self.memory(domain)
        self.assertEqual(memory['size'], 256 * MIB)
        self.assertEqual(memory['initial'], 'private')
        self.assertGreaterEqual(memory['private'], 255 * MIB)
        self.check_conversions(domain)

        # What nobody can do with such a VM
        for command, message in (
                (('managedsave',), 'has a private half, which cannot be'),
                (('setmem', '128M'), 'without the balloon device'),
                (('domlaunchsecinfo',), 'measurement is not available')):
            with self.assertRaises(subprocess.CalledProcessError) as failed:
                domain.virsh(*command)
            self.assertIn(message, failed.exception.output)
        self.assertEqual(domain.virsh('domstate').strip(), 'running')

        # Memory and registers of a measured guest cannot be those of its start
        try:
            domain.virsh('reset')
        except subprocess.CalledProcessError as failed:
            # libvirt may end QEMU before QEMU has answered
            self.assertIn('Unable to read from monitor', failed.output)
        self.wait_until_off(domain)
        self.assertIn('a VM with protected CPUs cannot be reset',
                      domain.log.read_text())
        domain.virsh('start')
        self.assertEqual(domain.virsh('domstate').strip(), 'running')
        domain.virsh('destroy')
        domain.virsh('undefine')

    def test_on_reboot(self):
        """
        A guest that resets itself is shut off, whatever <on_reboot> says: with
        "restart" QEMU says why.
        """
        for action in ('restart', 'destroy'):
            with self.subTest(action):
                domain = self.define(
                    'snp', 'launch-security', [(
                        '  <features>',
                        "<sysinfo type='fwcfg'><entry name='opt/guest/end'>"
                        f'reset</entry></sysinfo><on_reboot>{action}'
                        '</on_reboot><features>')], suffix=f'-{action}')
                domain.virsh('start')
                self.wait_until_off(domain)
                self.assertIn('(shutdown)',
                              domain.virsh('domstate', '--reason'))
                self.assertEqual(
                    'guest-reset: a VM with protected CPUs cannot be reset; '
                    'stopping it, start it again' in domain.log.read_text(),
                    action == 'restart')
                domain.virsh('undefine')

    def check_backing(self, element, discard, before='<vcpu>'):
        """The guest runs on such memory, and QEMU frees this of it."""
        domain = self.start((before, element + before))
        block = self.memory(domain)
        self.assertEqual(block['discard'], discard)
        self.check_conversions(domain)
        freed = self.memory(domain)['freed']
        self.assertEqual(freed['shared'] > 0, discard == 'both')
        self.assertGreater(freed['private'], 0)
        return domain

    def test_memfd(self):
        domain = self.check_backing(
            "<memoryBacking><source type='memfd'/><access mode='shared'/>"
            '</memoryBacking>', 'both')
        # For which libvirt has no element
        for value in ('none', 'both'):
            domain.virsh('qemu-monitor-command', '--hmp',
                         f'qom-set /objects/pc.ram discard {value}')
            self.assertEqual(self.memory(domain)['discard'], value)

    def test_shared_file(self):
        """The file could be another program's, too."""
        self.check_backing(
            "<memoryBacking><source type='file'/><access mode='shared'/>"
            '</memoryBacking>', 'private')

    def test_locked(self):
        self.check_backing('<memoryBacking><locked/></memoryBacking>', 'both')

    def test_hugepages(self):
        """libvirt allocates them at start, and QEMU keeps them."""
        with take_alone('huge-pages'):
            NR_HUGEPAGES.write_text('140')
            try:
                domain = self.check_backing(
                    '<memoryBacking><hugepages/></memoryBacking>', 'private')
                domain.virsh('destroy')
            finally:
                NR_HUGEPAGES.write_text('0')

    def bound(self, element=''):
        """A domain whose memory has to be in the second NUMA node."""
        return self.define('busy', 'launch-security', [
            ('<vcpu>', "<numatune><memory mode='strict' nodeset='0-1'/>"
             "<memnode cellid='0' mode='strict' nodeset='1'/></numatune>"
             f'{element}<vcpu>'),
            ("<cpu mode='host-passthrough'/>",
             "<cpu mode='host-passthrough'><numa><cell id='0' cpus='0' "
             "memory='256' unit='MiB'/></numa></cpu>")])

    def test_numatune(self):
        """Private memory is bound as it is allocated, so at start."""
        domain = self.bound(
            "<memoryBacking><allocation mode='immediate'/></memoryBacking>")
        domain.virsh('start')
        self.wait_until_busy(domain)
        # numa.py looks at where that is
        domain.memory = 'ram-node0'
        self.assertGreater(self.memory(domain)['private-allocated'],
                           250 * MIB)
        self.check_conversions(domain)

    def test_numatune_refused(self):
        """Otherwise QEMU says that it would not be."""
        domain = self.bound()
        with self.assertRaises(subprocess.CalledProcessError) as failed:
            domain.virsh('start')
        self.assertIn('policy=bind is not possible for private memory',
                      failed.exception.output)
        domain.virsh('undefine')

    def test_cells(self):
        """Each NUMA cell is memory of its own."""
        domain = self.start((
            "<cpu mode='host-passthrough'/>",
            "<cpu mode='host-passthrough'><numa>"
            "<cell id='0' cpus='0' memory='128' unit='MiB'/>"
            "<cell id='1' memory='128' unit='MiB' memAccess='shared'/>"
            '</numa></cpu>'))
        sizes = {block['id']: (block['size'], block['discard']) for block in
                 domain.qmp('query-private-memory')['blocks']}
        # libvirt makes the second one a file
        for name, discard in (('ram-node0', 'both'), ('ram-node1', 'private')):
            self.assertEqual(sizes[name], (128 * MIB, discard), name)


class Tdx(DomainTest):
    """A domain of TDX, all of which is libvirt's own."""

    vm_type = 'tdx'

    def test_capabilities(self):
        self.assertIn('tdx', security_types())

    def wait_for_step(self, domain, name):
        wait_until(lambda: f'# step {name}\n' in domain.serial.read_text(),
                   name)

    def test_life(self):
        """It converts memory, is not saved, and begins anew after a reset."""
        domain = self.define('halves', 'tdx', [
            ('  <features>', "<sysinfo type='fwcfg'><entry "
             "name='opt/guest/size'>4M</entry></sysinfo><features>"),
            # The payload accepts a page when it has a #VE
            ('<policy>0x10000000<', '<policy>0x0<')])
        domain.virsh('start')
        self.assertEqual(self.memory(domain)['initial'], 'private')
        # QEMU looks for somebody there from time to time
        with open(domain.virsh('ttyconsole').strip(), 'wb', 0) as terminal:
            for name, shared in (('start', 0), ('first', 0), ('shared', 4),
                                 ('private', 0), ('mixed', 2), ('back', 4)):
                self.wait_for_step(domain, name)
                self.assertEqual(self.memory(domain)['shared'], shared * MIB,
                                 name)
                terminal.write(b'\n' * (name != 'back'))

        with self.assertRaises(subprocess.CalledProcessError) as failed:
            domain.virsh('managedsave')
        self.assertIn('has a private half, which cannot be',
                      failed.exception.output)
        self.assertEqual(domain.virsh('domstate').strip(), 'running')

        # libvirt starts another QEMU
        before = domain.pid_file.read_text()
        domain.virsh('reset')
        wait_until(lambda: domain.pid_file.exists() and
                   domain.pid_file.read_text() != before, 'another QEMU')
        self.wait_for_step(domain, 'start')
        self.assertEqual(domain.virsh('domstate').strip(), 'running')
        self.assertEqual(self.memory(domain)['shared'], 0)
        domain.virsh('destroy')
        domain.virsh('undefine')
