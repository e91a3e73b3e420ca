# SPDX-License-Identifier: GPL-2.0-or-later
"""Compiling the same file twice, in whatever directory, costs nothing."""

import os
from pathlib import Path


def environment(tree: Path) -> dict[str, str]:
    """
    Environment in which ccache finds the results of other directories.

    It takes the headers that a file depends on from the compiler, which names
    them anyway; else it would have each file preprocessed once more.
    """
    return {**os.environ, 'CCACHE_BASEDIR': str(tree), 'CCACHE_NOHASHDIR': '1',
            'CCACHE_DEPEND': '1',
            'CCACHE_SLOPPINESS': 'time_macros,include_file_mtime,'
                                 'include_file_ctime',
            'KBUILD_BUILD_TIMESTAMP': '@0', 'KBUILD_BUILD_USER': 'user',
            'KBUILD_BUILD_HOST': 'host'}
