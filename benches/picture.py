#!/usr/bin/env python3
"""Makes picture.svg: pmove at work in a real terminal.

Runs the release binary inside tmux, in a directory on one file system with `out` on another, captures the
screen while the live line is there and once more at the end, and draws both captures. What the picture shows
was printed by the programs that ran; nothing of it is typed in here but the commands.

    cargo build --release && benches/picture.py [--pmove FILE] [--from DIR] [--to DIR] [--output FILE]

Needs Python 3.9, tmux, bash and GNU coreutils, and some 600 MB in both DIRs, for a few seconds.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.sax.saxutils import escape

COLUMNS, ROWS = 100, 14
FILES, SIZE = 40_000, 14_000
PROMPT = "$ "
LIVE = re.compile(r"^(?:copying|making durable)  ([\d,]+) (?:files )?of ([\d,]+)")

# The sixteen colours of a terminal, as they look on BACKGROUND.
COLOURS = "21262d f47067 57ab5a c69026 539bf5 b083f0 39c5cf adbac7 545d68 ff938a 6bc46d daaa3f 6cb6ff dcbdfb 56d4dd cdd9e5"
COLOURS = ["#" + colour for colour in COLOURS.split()]
BACKGROUND, FOREGROUND, TITLE = "#1c2128", "#cdd9e5", "#768390"
FONT, ADVANCE, LEADING, MARGIN, BAR = 14, 8.43, 20, 16, 32


class Terminal:
    """A shell in a tmux of its own, which nobody's configuration changes."""

    def __init__(self, directory, pmove):
        self.tmux = ["tmux", "-S", str(directory / ".tmux"), "-f", "/dev/null"]
        path = f"{pmove.parent}:{os.environ.get('PATH', '/usr/bin:/bin')}"
        environment = {"PATH": path, "HOME": str(directory), "LC_ALL": "C.UTF-8", "PS1": r"\[\e[1;32m\]$\[\e[0m\] "}
        assignments = [f"{name}={value}" for name, value in environment.items()]
        # tmux itself sets TERM for what runs in it.
        shell = shlex.join(["env", "-u", "PROMPT_COMMAND", *assignments, "bash", "--noprofile", "--norc"])
        size = ["-x", str(COLUMNS), "-y", str(ROWS)]
        self.run("new-session", "-d", *size, "-c", str(directory), shell)
        self.until_idle()

    def run(self, *arguments):
        done = subprocess.run([*self.tmux, *arguments], check=True, capture_output=True, encoding="utf-8")
        return done.stdout

    def screen(self):
        """What is on the screen, colours included, without the empty lines at its end."""
        return self.run("capture-pane", "-e", "-p").rstrip("\n").split("\n")

    def is_idle(self):
        return plain(self.screen()[-1]).rstrip() == PROMPT.rstrip()

    def until_idle(self, seconds=120):
        deadline = time.monotonic() + seconds
        while not self.is_idle():
            if time.monotonic() > deadline:
                sys.exit("picture.py: the terminal does not come to rest:\n" + "\n".join(self.screen()))
            time.sleep(0.05)

    def send(self, command):
        self.run("send-keys", "-l", command)
        self.run("send-keys", "Enter")
        # Until the shell has read the line, its old prompt would pass for the new one.
        time.sleep(0.2)

    def type(self, command):
        self.send(command)
        self.until_idle()

    def clear(self):
        self.run("send-keys", "C-l")
        time.sleep(0.3)

    def close(self):
        subprocess.run([*self.tmux, "kill-server"], check=False, capture_output=True)


def plain(line):
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


def make_sources(directory):
    """The files to move, and a few that cannot be."""
    inside = directory / "in"
    inside.mkdir()
    for number in range(FILES):
        (inside / f"{number:05}.csv").write_bytes(os.urandom(16) * (SIZE // 16))
    for name in ["mon/report.csv", "tue/report.csv", "tue/notes.txt"]:
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{name}\n")


def watch(terminal):
    """The screen at the moment when the live line was nearest to two thirds of the way."""
    best, best_distance, frames = None, 2.0, 0
    time.sleep(0.3)
    while not terminal.is_idle():
        screen = terminal.screen()
        if live := LIVE.match(plain(screen[-1])):
            frames += 1
            done, known = (int(number.replace(",", "")) for number in live.groups())
            distance = abs(done / max(known, 1) - 2 / 3)
            # An unfinished listing says less: no total, no ETA.
            distance += 0 if "ETA" in screen[-1] and screen[-1].startswith("copying") else 1
            if distance < best_distance:
                best, best_distance = screen, distance
        time.sleep(0.05)
    print(f"picture.py: {frames} screens with the live line", file=sys.stderr)
    if best is None:
        sys.exit("picture.py: the move was over before the live line appeared; try slower file systems")
    return best


def record(source, target, pmove):
    """Two screens: while files are moved, and after some could not be."""
    terminal = Terminal(source, pmove)
    try:
        # For a reader who sees only the picture: these are two file systems.
        terminal.type("df --output=fstype,target in/ out/")
        terminal.type("ls in/ | wc -l")
        terminal.send("pmove 'in/*.csv' out/")
        at_work = watch(terminal)
        terminal.clear()
        terminal.type("ls in/ | wc -l; ls out/ | wc -l")
        terminal.type("pmove mon/report.csv tue/report.csv tue/nots.txt tue/notes.txt out/")
        terminal.type("echo $?")
        terminal.type("ls tue/")
        return at_work, terminal.screen()
    finally:
        terminal.close()


def spans(line):
    """A line cut where its looks change: text, colour, boldness."""
    colour, bold = FOREGROUND, False
    for piece in re.split(r"(\x1b\[[0-9;]*m)", line):
        if not piece.startswith("\x1b["):
            if piece:
                yield piece, colour, bold
            continue
        for code in (int(code or 0) for code in piece[2:-1].split(";")):
            if code in (0, 39):
                colour = FOREGROUND
            if code in (0, 22):
                bold = False
            elif code == 1:
                bold = True
            elif 30 <= code <= 37 or 90 <= code <= 97:
                colour = COLOURS[code - 30 if code < 90 else code - 82]


def clean(text):
    """Text for XML, with nothing in it that a viewer could take for a command."""
    return escape("".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text))


def window(title, lines, top):
    """A terminal window as SVG, and its height."""
    width = 2 * MARGIN + COLUMNS * ADVANCE
    height = BAR + len(lines) * LEADING + MARGIN
    parts = [
        f'<rect x="0" y="{top}" width="{width:.0f}" height="{height}" rx="8" fill="{BACKGROUND}"/>',
        f'<text x="{width / 2:.0f}" y="{top + 21}" text-anchor="middle" fill="{TITLE}" font-size="12">{clean(title)}</text>',
    ]
    for row, line in enumerate(lines):
        column = 0
        for text, colour, bold in spans(line):
            if text.strip():
                x, y = MARGIN + column * ADVANCE, top + BAR + FONT + row * LEADING
                looks = f'fill="{colour}"' + (' font-weight="bold"' if bold else "")
                parts.append(f'<text x="{x:.1f}" y="{y}" {looks}>{clean(text.rstrip())}</text>')
            column += len(text)
    return parts, height


def draw(windows):
    """All windows, one below the other."""
    parts, top = [], 0
    for title, lines in windows:
        drawn, height = window(title, lines, top)
        parts += drawn
        top += height + 12
    width, height = 2 * MARGIN + COLUMNS * ADVANCE, top - 12
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}"'
        ' font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, Liberation Mono, monospace"'
        f' font-size="{FONT}" xml:space="preserve" role="img" aria-label="pmove moving files in a terminal">'
    )
    return "\n".join([head, *parts, "</svg>", ""])


def options():
    repository = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--pmove", type=Path, default=repository / "target/release/pmove", help="the program to show")
    parser.add_argument("--from", dest="source", type=Path, default="/dev/shm", help="a directory to move from")
    parser.add_argument("--to", dest="target", type=Path, default="/var/tmp", help="one on another file system")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".svg"))
    return parser.parse_args()


def main():
    chosen = options()
    pmove = chosen.pmove.resolve()
    if not os.access(pmove, os.X_OK):
        sys.exit(f"picture.py: {pmove} is not there: cargo build --release")
    if chosen.source.stat().st_dev == chosen.target.stat().st_dev:
        sys.exit(f"picture.py: {chosen.source} and {chosen.target} are on one file system")
    source = Path(tempfile.mkdtemp(prefix="pmove-picture-", dir=chosen.source))
    target = Path(tempfile.mkdtemp(prefix="pmove-picture-", dir=chosen.target))
    try:
        (source / "out").symlink_to(target)
        make_sources(source)
        os.sync()
        at_work, at_the_end = record(source, target, pmove)
    finally:
        shutil.rmtree(source)
        shutil.rmtree(target)
    titles = [f"{FILES:,} files to another file system", "all of them moved; then a run in which something fails"]
    picture = draw(zip(titles, (at_work, at_the_end)))
    chosen.output.write_text(picture, encoding="utf-8")
    print(f"picture.py: {chosen.output}", file=sys.stderr)


if __name__ == "__main__":
    main()
