# SPDX-License-Identifier: GPL-2.0-or-later
"""Other suites come from the mirror that the machine's own apt names."""

import tempfile
import unittest
from dataclasses import replace
from pathlib import Path
from unittest import mock

from workbench.base.steps import Failure
from workbench.build import chroot, packages, sources
from workbench.build.apt import (Host, Source, derive, host, parse_deb822,
                                 parse_one_line, system_sources)

DEBIAN = Host('debian', '12', 'bookworm', 'Debian')
DEB822 = '''\
# a comment
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/some.gpg

Types: deb
Enabled: no
URIs: http://other.example/debian
Suites: bookworm

Types: deb-src
URIs: http://source.example/debian
Suites: bookworm
Components: main
'''

ONE_LINE = '''\
# deb http://commented.example/debian bookworm main
deb [arch=amd64 signed-by=/key.gpg] http://a.example/debian bookworm main non-free # why
deb-src http://a.example/debian bookworm main
deb http://s.example/debian-security bookworm-security main
'''


class Parse(unittest.TestCase):

    def test_deb822(self):
        key = (('Signed-By', '/usr/share/keyrings/some.gpg'),)
        self.assertEqual(parse_deb822(DEB822), [
            Source('http://mirror.example/debian', suite, 'main contrib', key)
            for suite in ('bookworm', 'bookworm-updates')])

    def test_one_line(self):
        self.assertEqual(parse_one_line(ONE_LINE), [
            Source('http://a.example/debian', 'bookworm', 'main non-free',
                   (('Architectures', 'amd64'), ('Signed-By', '/key.gpg'))),
            Source('http://s.example/debian-security', 'bookworm-security',
                   'main')])

    def test_files(self):
        with tempfile.TemporaryDirectory() as directory:
            etc = Path(directory)
            (etc / 'sources.list.d').mkdir()
            (etc / 'sources.list').write_text(ONE_LINE)
            (etc / 'sources.list.d' / 'x.sources').write_text(DEB822)
            (etc / 'sources.list.d' / 'x.sources.save').write_text(DEB822)
            self.assertEqual(len(system_sources(etc)), 4)


class Cached(unittest.TestCase):

    def test_newest(self):
        with tempfile.TemporaryDirectory() as directory, \
                mock.patch.object(sources, 'cache_dir',
                                  return_value=Path(directory)):
            for version in ('6.12.118-1', '6.12.94-1'):
                package = Path(directory) / 'sources' / f'linux-lts_{version}'
                package.mkdir(parents=True)
                (package / 'linux.deb').touch()
            self.assertEqual(sources.linux_package('lts').parent.name,
                             'linux-lts_6.12.118-1')


class Derive(unittest.TestCase):

    def test_release_with_its_security(self):
        found = derive(parse_one_line(ONE_LINE), DEBIAN, 'trixie')
        self.assertEqual([(source.uri, source.suite, source.components)
                          for source in found], [
            ('http://a.example/debian', 'trixie', 'main'),
            ('http://s.example/debian-security', 'trixie-security', 'main')])
        self.assertIn(('Signed-By', '/key.gpg'), found[0].options)

    def test_backports_alone(self):
        found = derive(parse_one_line(ONE_LINE), DEBIAN,
                       'bookworm-backports')
        self.assertEqual([source.suite for source in found],
                         ['bookworm-backports'])

    def test_nothing_to_derive_from(self):
        with self.assertRaises(Failure):
            derive(parse_one_line(ONE_LINE),
                   replace(DEBIAN, codename='trixie'), 'forky')

    def test_debian_elsewhere(self):
        """On Ubuntu Debian's suites come from Debian, and its own from its
        own mirror."""
        ubuntu = Host('ubuntu', '24.04', 'noble', 'Ubuntu')
        sources = [Source('http://u.example/ubuntu', 'noble', 'main universe')]
        self.assertEqual(
            [(source.uri, source.suite) for source in
             derive(sources, ubuntu, 'trixie')],
            [('http://deb.debian.org/debian', 'trixie'),
             ('http://deb.debian.org/debian', 'trixie-updates'),
             ('http://deb.debian.org/debian-security', 'trixie-security')])
        self.assertEqual(
            [(source.uri, source.components) for source in
             derive(sources, ubuntu, 'noble')],
            [('http://u.example/ubuntu', 'main universe')])
        # Whatever else the machine has
        derive([], Host('arch', '', '', 'Arch Linux'), 'trixie')


class Systems(unittest.TestCase):

    def test_host(self):
        with tempfile.NamedTemporaryFile('w') as file:
            file.write('PRETTY_NAME="Ubuntu 24.04.1 LTS"\nID=ubuntu\n'
                       'VERSION_ID="24.04"\nVERSION_CODENAME=noble\n')
            file.flush()
            self.assertEqual(host(Path(file.name)), Host(
                'ubuntu', '24.04', 'noble', 'Ubuntu 24.04.1 LTS'))
        self.assertEqual(host(Path('/nonexistent')).name, 'this system')

    def test_another_system(self):
        """What is missing is said before anything else is done, in a line."""
        with mock.patch.object(packages, 'host', return_value=Host(
                'arch', '', '', 'Arch Linux')), \
                mock.patch.object(packages, 'PROGRAMS',
                                  ('sh', 'no-such-program', 'nor-this')), \
                self.assertRaisesRegex(
                    Failure, r'^on Arch Linux .*no no-such-program, nor-this: '
                    '[^\n]*$'):
            packages.install()

    def test_another_root(self):
        """Apt for a root of its own is told how to use the mirror, no more."""
        options = ['Acquire::http::Proxy "http://proxy.example:3128";',
                   'Acquire::Check-Valid-Until "false";']
        with mock.patch.object(chroot.subprocess, 'run') as run:
            run.return_value.stdout = '\n'.join([
                'Acquire "";', *options, 'Acquire::Languages "none";',
                'APT::Install-Recommends "1";'])
            self.assertEqual(chroot.mirror_options(), options)

    def test_each_release_has_all(self):
        """Of what releases differ in, each has each."""
        expected = {'meson', 'python3-pycotap', 'avocado'}
        for name, release in packages.RELEASES.items():
            with self.subTest(name):
                self.assertLessEqual(expected, {
                    *release.own, *release.backports, *release.debian})


if __name__ == '__main__':
    unittest.main()
