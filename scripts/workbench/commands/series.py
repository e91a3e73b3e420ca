# SPDX-License-Identifier: GPL-2.0-or-later
"""
Manage the patch series and its git tree, build/qemu.

With --emulator it manages the patches for the QEMU of the emulated machine, and
their tree, build/emulator.

apply   create the tree: QEMU, and one commit for each patch
export  write the tree's commits to patches/; the same commits always give the
        same bytes
check   check that the patches apply exactly, that their export is committed,
        that configs/checkpatch-explained.txt explains all findings of QEMU's
        checkpatch.pl, that each base has the same patches, but for those of
        configs/series-differences.txt, and that nothing is to be carried
bisect  check that each prefix of the series builds and passes its tests, and name
        those that do not; what was done before is not done again
carry   with --base: take what has changed in the series of QEMU 10.0 since the
        last time to that of another QEMU, patch by patch; export it then
rebase  with --onto: make a branch in a git tree of your own, with the series on
        what is checked out there; git resolves again what was resolved before

Exit status: 0 only if the command succeeded.
"""

from pathlib import Path

from ..base.command import new_parser
from ..base.paths import build_dir
from ..base.steps import Failure
from ..build import carried, emulator_build, qemu, rebase, series


def body() -> int:
    parser = new_parser(__doc__, example='scripts/series carry --base 10.2')
    parser.add_argument('command',
                        choices=('apply', 'export', 'check', 'bisect',
                                 'carry', 'rebase'))
    parser.add_argument('--onto', type=Path, metavar='TREE',
                        help='rebase: a git tree of QEMU')
    parser.add_argument('--topic', default='', metavar='NUMBER',
                        help='bisect: only the prefixes that end in this topic '
                        '(default: all)')
    parser.add_argument('--force', action='store_true',
                        help='apply: discard commits that are not exported')
    parser.add_argument('--emulator', action='store_true',
                        help="apply, export: the emulated machine's QEMU")
    parser.add_argument('--since', metavar='COMMIT', default='',
                        help='carry: both were the same in this commit of the '
                        'project (default: when it was carried last)')
    resuming = parser.add_mutually_exclusive_group()
    resuming.add_argument('--continue', action='store_true', dest='resume',
                          help='carry: go on, a conflict is resolved')
    resuming.add_argument('--abort', action='store_true',
                          help='carry: give up, and be as before')
    options = parser.parse_args()
    if options.emulator and options.command not in ('apply', 'export'):
        parser.error('--emulator goes with apply and export only: check looks '
                     'at both, and bisect at the series')
    if options.topic and options.command != 'bisect':
        parser.error('--topic goes with bisect only')
    if (options.command == 'rebase') != bool(options.onto):
        parser.error('rebase and --onto go together')
    build_dir().mkdir(parents=True, exist_ok=True)
    tree = emulator_build.tree() if options.emulator else qemu.tree()

    if options.command == 'apply':
        series.apply(tree, options.force)
    elif options.command == 'check':
        series.check()
    elif options.command == 'bisect':
        series.bisect(options.topic)
    elif options.command == 'carry':
        carried.run(tree, options.since, options.resume, options.abort)
    elif options.command == 'rebase':
        tree.ensure()
        rebase.run(tree, options.onto.resolve())
    else:
        if not tree.state_file.exists():
            raise Failure(f'{tree.path} does not exist: run scripts/series '
                          'apply')
        if not tree.is_clean():
            raise Failure(f'{tree.path} has changes that are not committed: '
                          'commit them first')
        print(f'{series.write_export(tree)} patches in {tree.series}')
    return 0
