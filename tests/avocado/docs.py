# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands in the documentation that need a KVM with private memory do and
print what it says."""

import avocado
from workbench.doccommands import Shell, find_blocks
from workbench.steps import Failure


class Docs(avocado.Test):

    timeout = 500

    def test_commands(self):
        """Each page in a shell of its own."""
        wrong = []
        for blocks in find_blocks(('kvm',)).values():
            shell = Shell(self.log.info)
            try:
                for block in blocks:
                    shell.run(block)
            except Failure as failure:
                wrong.append(str(failure))
            finally:
                shell.close()
        self.assertFalse(wrong, '\n'.join(wrong))
