# SPDX-License-Identifier: GPL-2.0-or-later
"""
The guest tests of tests/guest/guests.cfg.

A class for each type of VM, named after it, which has a method for each section
that runs on it: [mixed] is SwProtected.test_mixed.
"""

import re
import subprocess
from pathlib import Path
from string import Template

from workbench.base.paths import REPO
from workbench.guest.avocado import GuestTest
from workbench.guest.guest import PASSED
from workbench.guest.guests import PEAK, sections
from workbench.guest.vm_types import VM_TYPES
from workbench.machine import nested
from workbench.trace.replay import from_trace, run_file
from workbench.trace.trace import events

REFUSED = 'guest_memfd_manager_access_refused'
HUGE_PAGES = Path('/sys/kernel/mm/transparent_hugepage')
EVENT_LIMIT = 60        # seconds
MIB = 1 << 20


def iommu_faults():
    """How many the IOMMU has logged so far."""
    log = subprocess.run(['dmesg'], check=True, capture_output=True,
                         text=True).stdout
    return len(re.findall(r'DMAR: \[DMA (Read|Write)', log))


class SectionTest(GuestTest):
    """A section's guest, and what has to be true of it."""

    def run_section(self, section):
        values = {'configs': REPO / 'configs'}
        for need in section.needs:
            getattr(self, 'needs_' + need.replace('-', '_'))()
        if 'device' in section.needs:
            values['device'] = self.device
        if section.file:
            values['file'] = self.directory / 'file'
            content = section.file[1].to_bytes(8, 'little') * \
                (section.file[0] // 8)
            values['file'].write_bytes(content)
        group = self.cgroup() if section.used else None
        guest = self.guest(
            section.payload, trace=section.trace,
            memory=section.memory, cpus=section.cpus,
            machine=section.machine + ',memory-backend=ram0' *
            (len(section.backends) == 1),
            parameters=dict(section.parameters),
            wrapper=group.wrapper() if group else (),
            arguments=[Template(argument).substitute(values)
                       for argument in self.arguments(section)])
        faults = iommu_faults() if section.iommu_faults is not None else 0

        guest.launch()
        usage = self.steps(guest, section, group)
        for wanted in section.events:
            try:
                found = guest.event_wait(wanted.name, EVENT_LIMIT)['data']
            except TimeoutError:
                self.fail(f'no event {wanted.name} in {EVENT_LIMIT} s')
            self.assertEqual({key: found.get(key) for key in wanted.data},
                             wanted.data, found)
        if section.ends:
            report = guest.finish(section.limit)
            self.check_report(report)
            self.assertEqual(guest.exitcode(), PASSED, guest.get_log())
        else:
            for line in section.lines:
                guest.wait_for_line(f'^(# )?{line}')
            self.assertNotIn('not ok', guest.serial())
            guest.shutdown(hard=True)

        seen = 0
        for line in section.lines:
            match = re.compile(rf'^(# )?({line})$', re.M).search(
                guest.serial(), seen)
            self.assertTrue(match, f'there is no line {line} (in this order)')
            seen = match.end()
        if group:
            usage[PEAK] = group.peak()
            group.remove()
            self.check_usage(section, usage)
        if section.file:
            self.assertTrue(values['file'].read_bytes() == content,
                            'the file has changed')
        if section.iommu_faults is not None:
            self.assertEqual(iommu_faults() > faults, section.iommu_faults,
                             'whether the IOMMU has stopped something')
        self.check_trace(section, guest)

    def needs_decode_assists(self):
        """The CPU says what an instruction is that KVM is to emulate."""
        if 'decodeassists' not in nested.CPUINFO.read_text().split():
            self.cancel('this CPU has no decode assists')

    def needs_device(self):
        """There is one, for one test at a time."""
        self.device = self.take_device()

    def needs_transparent_huge_pages(self):
        """
        Have the kernel use them where it is asked to, as distributions do, but
        not for QEMU's heap (in a throw-away machine).
        """
        if not HUGE_PAGES.exists():
            self.cancel('this kernel has no transparent huge pages')
        for name, value in (('enabled', 'madvise'),
                            ('shmem_enabled', 'advise')):
            if (HUGE_PAGES / name).exists():
                (HUGE_PAGES / name).write_text(value)

    def arguments(self, section):
        """What is left for the command line."""
        for number, backend in enumerate(section.backends):
            kind, _, options = backend.partition(',')
            yield from ('-object', f'{kind},id=ram{number},{options}')
            if len(section.backends) > 1:
                yield from ('-numa', f'node,memdev=ram{number}')
        if section.refused_accesses is not None:
            yield from ('-trace', REFUSED)
        yield from section.arguments

    def steps(self, guest, section, group):
        """Let the guest go from step to step; how much is in use at each."""
        usage = {}
        seen = 0
        for step in section.steps:
            seen = guest.wait_for_line(rf'^# step {step}( .*)?', seen).end()
            if group:
                usage[step] = group.statistics(*section.counted)
            guest.send('\n')
        return usage

    def check_usage(self, section, usage):
        self.log.info('used, MiB: %s', {step: value // MIB
                                        for step, value in usage.items()})
        for bound in section.used:
            steps = (bound.step,)
            if bound.step == '*':
                steps = section.steps[section.steps.index(bound.since) + 1:]
            for step in steps:
                used = usage[step] - usage.get(bound.since, 0)
                if bound.least is not None:
                    self.assertGreater(used, bound.least, step)
                if bound.most is not None:
                    self.assertLess(used, bound.most, step)

    def check_trace(self, section, guest):
        if section.exits or section.sizes:
            done = self.conversions(guest)
        if section.exits:
            state = {True: 'private', False: 'shared'}
            kinds = {
                ('hypercall' if one.flags is None else f'fault-{one.flags:#x}')
                + f':{state[one.to_private]}' for one in done}
            threads = {event.thread for event in events(guest.trace())}
            if section.cpus > 1 and threads == {''}:
                # Which exit was for which conversion is not known
                self.assertLessEqual(section.exits, kinds)
            else:
                self.assertEqual(kinds, section.exits)
        if section.sizes:
            self.assertEqual({one.size for one in done}, section.sizes)
        if section.refused_accesses is not None:
            self.assertEqual([event.text for event in events(guest.trace())
                              if event.name == REFUSED],
                             list(section.refused_accesses))
        # Of others a trace does not say how their memory starts
        if section.replay and self.vm_type == 'sw-protected':
            text, run = from_trace(guest.trace())
            self.assertFalse(run.moved)
            self.assertGreater(len(run.steps), 0)
            file = self.directory / 'replay'
            file.write_text(text)
            self.assertEqual(run_file(file), '')


def method(section):
    """A test method."""
    return lambda test: test.run_section(section)


def class_of(vm_type):
    """A class of all tests for a type of VM."""
    name = vm_type.title().replace('-', '')
    methods = {section.method: method(section)
               for section in sections()
               if not section.run_by and section.runs_on(vm_type)}
    return type(name, (SectionTest,),
                {'__module__': __name__, 'vm_type': vm_type, **methods})


globals().update({cls.__name__: cls for cls in map(class_of, VM_TYPES)})
