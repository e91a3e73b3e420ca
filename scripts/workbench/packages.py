# SPDX-License-Identifier: GPL-2.0-or-later
"""What must be installed on the machine before anything can be built."""

import re
import subprocess
from collections.abc import Iterator

from .apt import Apt, codename
from .steps import Bar, Failure, step

# Of this release
PACKAGES = (
    'bc', 'bison', 'bzip2', 'ccache', 'clang', 'flex', 'furo', 'gcc', 'gcovr',
    'git', 'graphviz', 'ipxe-qemu', 'libc6-dev', 'libclang-rt-dev',
    'libelf-dev', 'libfdt-dev', 'libglib2.0-dev', 'libnuma-dev',
    'libvirt-clients', 'libvirt-daemon', 'libvirt-daemon-driver-qemu', 'llvm',
    'make', 'mmdebstrap', 'ninja-build', 'patch', 'perl', 'pkg-config',
    'python3', 'python3-matplotlib', 'python3-setuptools', 'python3-sphinx',
    'python3-sphinx-rtd-theme', 'python3-venv', 'qemu-system-x86', 'seabios',
    'shellcheck', 'xz-utils', 'zstd',
)
# QEMU 10.0 needs newer ones than this release has
BACKPORTS = ('meson', 'python3-pycotap')
# In no suite of this release
AVOCADO = 'avocado'
AVOCADO_SUITE = 'forky'


def missing(names: tuple[str, ...], suffix: str = '') -> list[str]:
    """Those of `names` that are not installed, or not from `suffix`."""
    listing = subprocess.run(
        ['dpkg-query', '--show', '--showformat',
         '${db:Status-Status} ${Package} ${Version}\n', *names],
        capture_output=True, text=True, check=False).stdout
    there = set()
    for line in listing.splitlines():
        status, package, version = (line.split(' ') + [''])[:3]
        if status == 'installed' and suffix in version:
            there.add(package)
    return [name for name in names if name not in there]


def with_dependencies() -> Iterator[str]:
    """All that is installed of what is needed and of what that depends on, with
    versions: what a result on this machine may come from."""
    listing = subprocess.run(
        ['dpkg-query', '--show', '--showformat',
         '${Package}\t${Version}\t${Essential}\t${Provides}\t'
         '${Pre-Depends}, ${Depends}\n'],
        capture_output=True, text=True, check=True).stdout
    versions: dict[str, set[str]] = {}
    depends: dict[str, set[str]] = {}
    providers: dict[str, set[str]] = {}
    queue = [*PACKAGES, *BACKPORTS, AVOCADO]
    for line in listing.splitlines():
        name, version, essential, provides, needs = line.split('\t')
        versions.setdefault(name, set()).add(version)
        depends.setdefault(name, set()).update(
            re.findall(r'(?:^|[,|]) *([a-z0-9][a-z0-9.+-]*)', needs))
        for other in re.findall(r'(?:^|,) *([a-z0-9][a-z0-9.+-]*)', provides):
            providers.setdefault(other, set()).add(name)
        if essential == 'yes':
            queue.append(name)
    seen: set[str] = set()
    while queue:
        name = queue.pop()
        if name not in seen:
            seen.add(name)
            queue += depends.get(name, set()) | providers.get(name, set())
    for name in sorted(seen & versions.keys()):
        yield f'{name} {" ".join(sorted(versions[name]))}'


def install() -> None:
    """Install what is missing; no network is used if nothing is."""
    release = codename()
    own = missing(PACKAGES)
    own += [f'{name}/{release}-backports'
            for name in missing(BACKPORTS, '~bpo')]
    avocado = missing((AVOCADO,))

    def install_own(bar: Bar) -> None:
        apt = Apt(release, f'{release}-backports')
        apt.update(bar)
        apt.get(bar, 'install', '--yes', '--no-install-recommends', *own,
                log='apt-install', root=True)

    def install_avocado(bar: Bar) -> None:
        apt = Apt(AVOCADO_SUITE)
        apt.update(bar)
        archives = apt.home / 'archives'
        for old in archives.glob('*.deb'):
            old.unlink()
        apt.get(bar, 'download', AVOCADO, cwd=archives, log='apt-avocado')
        # From a file, so that nothing else of that suite can come along
        debs = [str(deb) for deb in archives.glob('*.deb')]
        if len(debs) != 1:
            raise Failure(f'apt-get download {AVOCADO} gave '
                          f'{len(debs)} packages, not one: {debs}')
        Apt(release, f'{release}-backports').get(
            bar, 'install', '--yes', '--no-install-recommends', *debs,
            log='apt-install-avocado', root=True)

    if own:
        step(f'Install {len(own)} packages', install_own)
    if avocado:
        if not own:
            step('Fetch package indexes',
                 Apt(release, f'{release}-backports').update)
        step(f'Install {AVOCADO} of Debian {AVOCADO_SUITE}', install_avocado)
