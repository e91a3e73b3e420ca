# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands in the documentation that need a KVM with private memory do and
print what it says."""

import avocado
from workbench.docs.doccommands import find_blocks, run_page


class Docs(avocado.Test):

    timeout = 500

    def test_commands(self):
        """Each page in a shell of its own."""
        wrong = []
        for blocks in find_blocks(('kvm',)).values():
            wrong += run_page(blocks, self.log.info)
        self.assertFalse(wrong, '\n'.join(wrong))
