# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's own tests of private memory, built once per content."""

import shutil
from pathlib import Path

from ..base.paths import cache_dir, digest, made_whole
from ..base.steps import Bar, run_logged, step
from .ccache import environment
from .kernel import compiler, unpacked
from .sources import linux_package

# Of tools/testing/selftests/kvm, those on memory and on the types of VM
COMMON = ('guest_memfd_test', 'pre_fault_memory_test',
          'private_mem_conversions_test', 'private_mem_kvm_exits_test',
          'set_memory_region_test')
# By kernel: one of sources.KERNELS
TESTS = {'lts': COMMON, 'new': (*COMMON, 'vm_types_test')}
# What of the source they are made from.  The library for VFIO, which newer ones
# are linked with, has headers of drivers.
NEEDED = ('tools', 'scripts', 'include', 'usr', 'arch/x86', 'drivers/dma/ioat',
          'drivers/dma/idxd', 'drivers/net/ethernet/intel/igb')


def _build(package: Path, tests: tuple[str, ...], target: Path,
           bar: Bar) -> None:
    needed = ['*/Makefile', '*/Kbuild', *(f'*/{part}/*' for part in NEEDED)]
    with made_whole(target) as scratch, \
            unpacked(package, target.parent, bar, *needed) as tree:
        run_logged(['make', 'headers'], bar, cwd=tree, log='selftests-headers',
                   env=environment(tree))
        source = tree / 'tools/testing/selftests/kvm'
        made = tree.parent / 'made'
        # The directory for x86 has one name or another
        programs = {path.stem: made / path.relative_to(source).with_suffix('')
                    for path in source.rglob('*.c') if path.stem in tests}
        run_logged(['make', '--directory', source, f'OUTPUT={made}',
                    'CC=ccache gcc', *map(str, programs.values())], bar,
                   log='selftests-make', env=environment(tree))
        for name in tests:
            shutil.copy(programs[name], scratch / name)


def selftests(kernel: str) -> Path:
    """The directory with the tests of a kernel, of its own source."""
    package = linux_package(kernel)
    target = cache_dir() / 'selftests' / digest(
        [package.name, compiler(), Path(__file__)])
    if not target.is_dir():
        step(f'Build selftests from {package.name.split("_")[1]}',
             lambda bar: _build(package, TESTS[kernel], target, bar))
    return target
