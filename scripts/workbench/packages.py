# SPDX-License-Identifier: GPL-2.0-or-later
"""What must be installed on the machine before anything can be built."""

import subprocess

from .apt import Apt, codename
from .steps import Bar, Failure, step

# Libraries that QEMU is configured with (configs/qemu.options)
QEMU_LIBRARIES = (
    'libaio-dev', 'libbpf-dev', 'libcap-ng-dev', 'libcapstone-dev',
    'libfdt-dev', 'libfuse3-dev', 'libglib2.0-dev', 'libgnutls28-dev',
    'libjpeg-dev', 'libncurses-dev', 'libnuma-dev', 'libpixman-1-dev',
    'libpng-dev', 'libsasl2-dev', 'libseccomp-dev', 'libslirp-dev',
    'libspice-protocol-dev', 'libspice-server-dev', 'liburing-dev',
    'libusb-1.0-0-dev', 'libusbredirparser-dev', 'libvdeplug-dev',
    'libzstd-dev', 'nettle-dev', 'zlib1g-dev',
)
# Of this release
PACKAGES = (
    'bc', 'bison', 'bzip2', 'ccache', 'clang', 'flex', 'furo', 'gcc', 'gcovr',
    'git', 'graphviz', 'ipxe-qemu', 'libc6-dev', 'libclang-rt-dev',
    'libelf-dev', 'libvirt-clients', 'libvirt-daemon',
    'libvirt-daemon-driver-qemu', 'llvm', 'make', 'mmdebstrap', 'ninja-build',
    'patch', 'perl', 'pkg-config', 'python3', 'python3-matplotlib',
    'python3-setuptools', 'python3-sphinx', 'python3-sphinx-rtd-theme',
    'python3-venv', 'qemu-system-x86', 'seabios', 'shellcheck', 'swtpm',
    'xz-utils', 'zstd',
    *QEMU_LIBRARIES,
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
            raise Failure(f'{AVOCADO}: expected one package, got {debs}')
        Apt(release, f'{release}-backports').get(
            bar, 'install', '--yes', '--no-install-recommends', *debs,
            log='apt-install-avocado', root=True)

    if own:
        step(f'Install {len(own)} packages', install_own)
    if avocado:
        if not own:
            step('Package indexes', Apt(release, f'{release}-backports').update)
        step(f'Install {AVOCADO} of Debian {AVOCADO_SUITE}', install_avocado)
