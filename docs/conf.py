# SPDX-License-Identifier: GPL-2.0-or-later
"""How Sphinx builds the documentation; scripts/build docs runs it."""

project = 'qemu-memfd-private'
extensions = ['sphinx.ext.graphviz']
graphviz_output_format = 'svg'
highlight_language = 'none'
html_theme = 'furo'
html_title = project
html_copy_source = False
html_show_sphinx = False
