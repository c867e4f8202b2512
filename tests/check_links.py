"""Every link and every path of our Markdown files leads somewhere: relative files, and headings inside a file."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+\s+(.*)$", re.MULTILINE)


def anchor(heading):
    """As the usual renderers make it: lower case, blanks become dashes, punctuation goes."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def wrongs():
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.split():
        page = ROOT / name
        # What stands in a code block is no link.
        text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for target in LINK.findall(text):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, place = target.partition("#")
            found = (page.parent / file).resolve() if file else page
            if not found.exists():
                yield f"{name}: {target} does not exist"
            elif place and found.suffix == ".md" and place not in map(anchor, HEADING.findall(found.read_text())):
                yield f"{name}: {target} has no such heading"


found = list(wrongs())
print("\n".join(found))
sys.exit(1 if found else 0)
