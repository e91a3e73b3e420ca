# SPDX-License-Identifier: GPL-2.0-or-later
"""
Packages through apt, of this Debian release and of others.

The mirror is whatever the machine's own apt configuration names: other suites
are taken from the same place.  They are put into a private list, with private
indexes, so that the system's own lists stay as they are.
"""

import os
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from ..base.paths import cache_dir
from ..base.steps import Bar, Failure, Progress, run_logged

SYSTEM_ETC = Path('/etc/apt')


@dataclass(frozen=True)
class Source:
    """One place with packages: what a deb822 stanza or a `deb` line says."""
    uri: str
    suite: str
    components: str
    options: tuple[tuple[str, str], ...] = ()   # deb822 field and value

    def stanza(self) -> str:
        lines = ['Types: deb deb-src', f'URIs: {self.uri}',
                 f'Suites: {self.suite}', f'Components: {self.components}']
        lines += [f'{field}: {value}' for field, value in self.options]
        return '\n'.join(lines) + '\n'


# Options of the one-line format, as the fields that mean the same in deb822
ONE_LINE_OPTIONS = {'signed-by': 'Signed-By', 'trusted': 'Trusted',
                    'arch': 'Architectures', 'check-valid-until':
                    'Check-Valid-Until'}


def parse_one_line(text: str) -> list[Source]:
    """Sources in a file in the format of sources.list."""
    found = []
    pattern = r'deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s+(\S.*)'
    for line in text.splitlines():
        match = re.match(pattern, line.split('#')[0].strip())
        if not match:
            continue
        options = []
        for word in (match[1] or '').split():
            name, _, value = word.partition('=')
            if name in ONE_LINE_OPTIONS:
                options.append((ONE_LINE_OPTIONS[name],
                                value.replace(',', ' ')))
        found.append(Source(match[2], match[3], match[4].strip(),
                            tuple(options)))
    return found


def parse_deb822(text: str) -> list[Source]:
    """Sources in a file in the deb822 format."""
    found = []
    kept = set(ONE_LINE_OPTIONS.values())
    text = re.sub(r'^#.*\n?', '', text, flags=re.M)
    for stanza in re.split(r'\n\s*\n', text):
        fields = {name.lower(): (name, value.strip()) for name, value in
                  re.findall(r'^([\w-]+):((?:.*\n?)(?:[ \t].*\n?)*)', stanza,
                             flags=re.M)}
        if 'uris' not in fields or 'suites' not in fields:
            continue
        if fields.get('enabled', ('', 'yes'))[1].lower() in ('no', 'false'):
            continue
        if 'deb' not in fields.get('types', ('', 'deb'))[1].split():
            continue
        options = tuple((field, fields[field.lower()][1]) for field in
                        sorted(kept) if field.lower() in fields)
        for uri in fields['uris'][1].split():
            for suite in fields['suites'][1].split():
                found.append(Source(uri, suite,
                                    fields.get('components', ('', ''))[1],
                                    options))
    return found


def system_sources(etc: Path = SYSTEM_ETC) -> list[Source]:
    """All that the machine's own configuration names."""
    found = []
    for path in [etc / 'sources.list', *sorted(etc.glob('sources.list.d/*'))]:
        if not path.is_file():
            continue
        if path.suffix == '.list':
            found += parse_one_line(path.read_text())
        elif path.suffix == '.sources':
            found += parse_deb822(path.read_text())
    return found


KEYRING = (('Signed-By', '/usr/share/keyrings/debian-archive-keyring.gpg'),)
# For a machine that has another distribution
DEBIAN = 'http://deb.debian.org/debian'


# Debian's unstable suite, which has neither -updates nor -security
ALONE = 'sid'


@dataclass(frozen=True)
class Host:
    """The distribution that this machine has."""
    distribution: str       # 'debian'
    version: str            # '12'; '' for one that has none
    codename: str
    name: str               # for people


def host(file: Path = Path('/etc/os-release')) -> Host:
    text = file.read_text() if file.exists() else ''
    said = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', text, flags=re.M))
    return Host(said.get('ID', ''), said.get('VERSION_ID', ''),
                said.get('VERSION_CODENAME', ''),
                said.get('PRETTY_NAME', 'this system'))


def derive(sources: list[Source], machine: Host, suite: str) -> list[Source]:
    """
    The sources that give `suite`.

    Suites of Debian are taken from where a Debian machine has its own from.
    With a release's name come its -updates and -security if the machine has
    its own; sid, or a suite such as bookworm-backports, comes alone.
    """
    codename = machine.codename
    if machine.distribution != 'debian' and \
            not (codename and suite.startswith(codename)):
        codename = 'stable'
        sources = [Source(DEBIAN + part, codename + name, 'main', KEYRING)
                   for part, name in (('', ''), ('', '-updates'),
                                      ('-security', '-security'))]
    own = [source for source in sources if source.suite == codename and
           'main' in source.components.split()]
    if not own:
        raise Failure(f"no entry for '{codename}' in {SYSTEM_ETC}: add the "
                      "release's own entry to sources.list")
    components = 'main universe' if codename == machine.codename and \
        machine.distribution == 'ubuntu' else 'main'
    found = [replace(source, suite=suite, components=components)
             for source in own[:1]]
    if '-' not in suite and suite != ALONE:
        for part in ('-updates', '-security'):
            found += [replace(source, suite=suite + part,
                              components=components)
                      for source in sources if source.suite == codename + part
                      ][:1]
    return found


def as_root() -> list[str]:
    """How to run a command as root."""
    if os.geteuid() == 0:
        return []
    sudo = ['sudo', '--non-interactive']
    try:
        subprocess.run([*sudo, 'true'], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        raise Failure('packages have to be installed: run this command as '
                      'root, or allow sudo without a password') from None
    return sudo


def apt_progress() -> Progress:
    """How far apt-get install is: each package is unpacked, then set up."""
    packages = done = 0

    def progress(line: str) -> float | None:
        nonlocal packages, done
        if match := re.match(r'(\d+) upgraded, (\d+) newly installed', line):
            packages = int(match[1]) + int(match[2])
        elif re.match(r'(Unpacking|Setting up) ', line):
            done += 1
        return min(done / (2 * packages), 1) if packages else None

    return progress


class Apt:
    """apt-get with the given suites and indexes of its own."""

    def __init__(self, *suites: str) -> None:
        self.home = cache_dir() / 'apt' / '+'.join(suites)
        self.suites = suites

    def options(self) -> list[str]:
        home = self.home
        return ['-o', f'Dir::Etc::sourcelist={home}/this.sources',
                '-o', 'Dir::Etc::sourceparts=-',
                '-o', f'Dir::State::Lists={home}/lists',
                '-o', f'Dir::Cache={home}',
                '-o', 'APT::Sandbox::User=root',
                '-o', 'Acquire::Retries=3', '-o', 'Dpkg::Use-Pty=0',
                '-o', 'DPkg::Lock::Timeout=120']

    def get(self, bar: Bar, *arguments: str, log: str,
            root: bool = False, cwd: Path | None = None) -> None:
        environment = ['env', 'DEBIAN_FRONTEND=noninteractive']
        prefix = as_root() if root else []
        run_logged([*prefix, *environment, 'apt-get', *self.options(),
                    *arguments], bar, log=log, progress=apt_progress(),
                   cwd=cwd)

    def update(self, bar: Bar) -> None:
        """Fetch the indexes of the suites."""
        sources = system_sources()
        stanzas = [source.stanza() for suite in self.suites
                   for source in derive(sources, host(), suite)]
        (self.home / 'lists' / 'partial').mkdir(parents=True, exist_ok=True)
        (self.home / 'archives' / 'partial').mkdir(parents=True, exist_ok=True)
        (self.home / 'this.sources').write_text('\n'.join(stanzas))
        try:
            self.get(bar, 'update', '-o', 'APT::Update::Error-Mode=any',
                     log=f'apt-update-{"+".join(self.suites)}')
        except Failure as failure:
            raise Failure('cannot fetch package indexes of '
                          f'{", ".join(self.suites)}: check the network and '
                          f'the mirror in {SYSTEM_ETC} ({failure})') from None

    def names(self, prefix: str) -> list[str]:
        """Packages with this before a version in their names, best first."""
        found = subprocess.run(
            ['apt-cache', *self.options(), 'pkgnames', prefix], check=True,
            capture_output=True, text=True).stdout.split()
        return sorted(found, reverse=True, key=lambda name: VersionKey(
            name.removeprefix(prefix)))

    def versions(self, package: str, source: bool) -> list[str]:
        """Versions of a package that can be had, best first."""
        command = ['apt-cache', *self.options()]
        if source:
            command += ['--only-source', 'showsrc', package]
            pattern = r'^Version: (\S+)'
        else:
            command += ['madison', package]
            pattern = r'^ *\S+ \| *(\S+) \|'
        text = subprocess.run(command, check=True, capture_output=True,
                              text=True).stdout
        found = set(re.findall(pattern, text, flags=re.M))
        return sorted(found, key=VersionKey, reverse=True)


class VersionKey:
    """Order versions as dpkg does."""

    def __init__(self, version: str) -> None:
        self.version = version

    def __lt__(self, other: 'VersionKey') -> bool:
        return not subprocess.run(['dpkg', '--compare-versions', self.version,
                                   'lt', other.version],
                                  check=False).returncode
