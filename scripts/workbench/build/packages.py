# SPDX-License-Identifier: GPL-2.0-or-later
"""What must be installed on the machine before anything can be built."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..base.steps import Bar, Failure, step
from .apt import Apt, host

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
# Of all releases
PACKAGES = (
    'bc', 'bison', 'bzip2', 'ccache', 'clang', 'flex', 'furo', 'gcc', 'gcovr',
    'git', 'graphviz', 'ipxe-qemu', 'libc6-dev', 'libclang-rt-dev',
    'libelf-dev', 'libvirt-clients', 'libvirt-daemon',
    'libvirt-daemon-driver-qemu', 'llvm', 'make', 'mmdebstrap', 'ninja-build',
    'patch', 'perl', 'pkgconf', 'python3', 'python3-matplotlib',
    'python3-setuptools', 'python3-sphinx', 'python3-sphinx-rtd-theme',
    'python3-venv', 'qemu-system-x86', 'seabios', 'shellcheck', 'swtpm',
    'xz-utils', 'zstd',
    *QEMU_LIBRARIES,
)


@dataclass(frozen=True)
class Release:
    """What a release has otherwise than the others."""
    own: tuple[str, ...] = ()               # more of its packages
    backports: tuple[str, ...] = ()         # of its backports
    # Packages of Debian's that do not depend on the release, and their suites
    debian: Mapping[str, str] = field(default_factory=dict)


# QEMU 10.0 needs meson 1.5; avocado is in none of them
RELEASES = {
    ('debian', '12'): Release(backports=('meson', 'python3-pycotap'),
                              debian={'avocado': 'forky'}),
    ('debian', '13'): Release(own=('meson', 'python3-pycotap', 'virtiofsd'),
                              debian={'avocado': 'forky'}),
    ('ubuntu', '24.04'): Release(
        own=('debian-archive-keyring', 'virtiofsd'),
        debian={'meson': 'trixie', 'python3-pycotap': 'trixie',
                'avocado': 'forky'}),
    ('ubuntu', '26.04'): Release(
        own=('debian-archive-keyring', 'meson', 'python3-pycotap',
             'virtiofsd'),
        debian={'avocado': 'forky'}),
}
# On others these must be there.  QEMU's libraries are asked for by meson.
PROGRAMS = (
    'apt-cache', 'apt-get', 'avocado', 'bc', 'bison', 'bzip2', 'ccache',
    'clang', 'dot', 'dpkg', 'dpkg-deb', 'flex', 'gcc', 'gcovr', 'git',
    'libvirtd', 'llvm-cov', 'make', 'meson', 'mmdebstrap', 'ninja', 'patch',
    'perl', 'pkgconf', 'qemu-system-x86_64', 'shellcheck', 'sphinx-build',
    'swtpm', 'virsh', 'xz', 'zstd',
)


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
    if not shutil.which('dpkg-query'):
        yield host().name
        return
    listing = subprocess.run(
        ['dpkg-query', '--show', '--showformat',
         '${Package}\t${Version}\t${Essential}\t${Provides}\t'
         '${Pre-Depends}, ${Depends}\n'],
        capture_output=True, text=True, check=True).stdout
    versions: dict[str, set[str]] = {}
    depends: dict[str, set[str]] = {}
    providers: dict[str, set[str]] = {}
    known = RELEASES.get((host().distribution, host().version), Release())
    queue = [*PACKAGES, *known.own, *known.backports, *known.debian]
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


def check_programs(system: str) -> None:
    """Failure with what is missing on a system whose packages are not
    known."""
    absent = [name for name in PROGRAMS
              if not shutil.which(name, path=f'{os.defpath}:/usr/sbin:/sbin')]
    if absent:
        raise Failure(
            f'on {system} nothing can be installed from here, and there is no '
            f'{", ".join(absent)}: install that, or use Debian 12 or 13 or '
            'Ubuntu 24.04 or 26.04 (a container will do, see Containerfile)')


def install() -> None:
    """Install what is missing; no network is used if nothing is."""
    system = host()
    known = RELEASES.get((system.distribution, system.version))
    if not known:
        check_programs(system.name)
        return
    suites = [system.codename]
    own = missing((*PACKAGES, *known.own))
    if known.backports:
        backports = f'{system.codename}-backports'
        suites.append(backports)
        own += [f'{name}/{backports}'
                for name in missing(known.backports, '~bpo')]
    debian = missing(tuple(known.debian))

    def install_own(bar: Bar) -> None:
        apt = Apt(*suites)
        apt.update(bar)
        apt.get(bar, 'install', '--yes', '--no-install-recommends', *own,
                log='apt-install', root=True)

    def install_debian(bar: Bar, name: str) -> None:
        apt = Apt(known.debian[name])
        apt.update(bar)
        archives = apt.home / 'archives'
        for old in archives.glob('*.deb'):
            old.unlink()
        apt.get(bar, 'download', name, cwd=archives, log=f'apt-{name}')
        # From a file, so that nothing else of that suite can come along
        debs = [str(deb) for deb in archives.glob('*.deb')]
        if len(debs) != 1:
            raise Failure(f'apt-get download {name} gave '
                          f'{len(debs)} packages, not one: {debs}')
        Apt(*suites).get(
            bar, 'install', '--yes', '--no-install-recommends', *debs,
            log=f'apt-install-{name}', root=True)

    if own:
        step(f'Install {len(own)} packages', install_own)
    if debian and not own:
        step('Fetch package indexes', Apt(*suites).update)
    for name in debian:
        step(f'Install {name} of Debian {known.debian[name]}',
             lambda bar, name=name: install_debian(bar, name))
