# SPDX-License-Identifier: GPL-2.0-or-later
"""
Memory that is read-only, on real KVM.

KVM has no private memory that is read-only: such memory has no private half,
whatever it is used for.
"""

from workbench.avocado import GuestTest

MIB, GIB = 1 << 20, 1 << 30
WORD = 0x0ddba11
NODE, DIMM, BAR = 128 * MIB, 4 * GIB, 0xe0000000


class Readonly(GuestTest):

    def backend(self, size=16 * MIB):
        path = self.directory / 'file'
        with path.open('wb') as file:
            file.write(WORD.to_bytes(8, 'little'))
            file.truncate(size)
        return (f'memory-backend-file,id=file,mem-path={path},size={size},'
                'share=on,readonly=on')

    def check(self, *arguments, base=DIMM, plug=None, memory='128M', **more):
        guest = self.guest('readonly', machine='q35,nvdimm=on', memory=memory,
                           arguments=['-object', self.backend(), *arguments],
                           parameters={'base': base, 'word': WORD} | more)
        guest.launch()
        guest.wait_for_line('# step ready')
        if plug:
            guest.cmd('device_add', **plug)
        guest.send('\n')
        self.check_report(guest.finish())

    def check_device(self, device):
        self.check('-device', device, memory='128M,slots=1,maxmem=8G')

    def test_nvdimm(self):
        self.check_device(f'nvdimm,memdev=file,unarmed=on,addr={DIMM}')

    def test_nvdimm_hotplug(self):
        self.check(memory='128M,slots=1,maxmem=8G', plug={
            'driver': 'nvdimm', 'memdev': 'file', 'unarmed': True,
            'addr': DIMM})

    def test_pc_dimm(self):
        self.check_device(f'pc-dimm,memdev=file,addr={DIMM}')

    def test_virtio_pmem(self):
        self.check_device(f'virtio-pmem-pci,memdev=file,memaddr={DIMM}')

    def test_numa_node(self):
        self.check('-object', 'memory-backend-ram,id=ram,size=128M',
                   '-numa', 'node,memdev=ram', '-numa', 'node,memdev=file',
                   base=NODE, memory='144M')

    def test_ivshmem(self):
        """The guest maps it by itself."""
        self.check('-device', 'ivshmem-plain,memdev=file', base=BAR, device=1)

    def test_main_memory(self):
        """Of no use to a guest, but no reason for QEMU to end."""
        guest = self.guest('readonly', machine='q35,memory-backend=file',
                           memory='16M', reboot=True,
                           arguments=['-object', self.backend()])
        guest.launch()
        self.assertEqual(guest.cmd('query-private-memory')['blocks'], [])
