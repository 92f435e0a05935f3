"""terminal-svg.py COLUMNS: what a terminal shows of standard input, as an SVG on standard output.

The picture has its own dark background, so that it can be read on pages of either kind, and asks for no font from anywhere.
"""

import io
import sys

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

THEME = TerminalTheme(
    background=(30, 34, 42),
    foreground=(220, 223, 228),
    normal=[
        (30, 34, 42), (224, 108, 117), (152, 195, 121), (229, 192, 123),
        (97, 175, 239), (198, 120, 221), (86, 182, 194), (220, 223, 228),
    ],
    bright=[
        (130, 137, 151), (224, 108, 117), (152, 195, 121), (229, 192, 123),
        (97, 175, 239), (198, 120, 221), (86, 182, 194), (255, 255, 255),
    ],
)

FORMAT = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>libvirt-nss on a terminal</title>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: {char_height}px; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
"""

columns = int(sys.argv[1])
console = Console(
    record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="truecolor", highlight=False,
)
for line in sys.stdin.read().splitlines():
    console.print(Text.from_ansi(line), soft_wrap=False)
sys.stdout.write(console.export_svg(title="", theme=THEME, code_format=FORMAT, unique_id="terminal"))
