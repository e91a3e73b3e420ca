# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory that is read-only is plugged, or is all that there is, on real KVM."""

from workbench.avocado import GuestTest

MIB, GIB = 1 << 20, 1 << 30
WORD = 0x0ddba11
DIMM = 4 * GIB


class Readonly(GuestTest):

    def backend(self, size=16 * MIB):
        path = self.directory / 'file'
        with path.open('wb') as file:
            file.write(WORD.to_bytes(8, 'little'))
            file.truncate(size)
        return (f'memory-backend-file,id=file,mem-path={path},size={size},'
                'share=on,readonly=on')

    def test_nvdimm_hotplug(self):
        guest = self.guest('readonly', machine='q35,nvdimm=on',
                           memory='128M,slots=1,maxmem=8G',
                           arguments=['-object', self.backend()],
                           parameters={'base': DIMM, 'word': WORD})
        guest.launch()
        guest.wait_for_line('# step ready')
        guest.cmd('device_add', driver='nvdimm', memdev='file', unarmed=True,
                  addr=DIMM)
        guest.send('\n')
        self.check_report(guest.finish())

    def test_main_memory(self):
        """Of no use to a guest, but no reason for QEMU to end."""
        guest = self.guest('readonly', machine='q35,memory-backend=file',
                           memory='16M', reboot=True,
                           arguments=['-object', self.backend()])
        guest.launch()
        self.assertEqual(guest.cmd('query-private-memory')['blocks'], [])
