#!/usr/bin/env python3
"""Prints a header with its plain comments as Doxygen's: // in lines of their own becomes ///, // behind code ///<, and
/* before a declaration /**."""
import re
import sys

for line in open(sys.argv[1], encoding="utf-8"):
    own = re.match(r"(\s*)//(?!/)(.*)", line, re.DOTALL)
    behind = re.match(r"(.*\S.*?\s)//(?!/)(.*)", line, re.DOTALL)
    if own:
        line = f"{own[1]}///{own[2]}"
    elif behind and '"' not in behind[1]:
        line = f"{behind[1]}///<{behind[2]}"
    elif re.match(r"\s*/\*[^*-]", line):
        line = line.replace("/*", "/**", 1)
    elif (trailing := re.match(r"(.*\S.*?\s)/\*([^*].*\*/\s*)$", line)):
        line = f"{trailing[1]}/**<{trailing[2]}"
    # Doxygen takes <Name> and \ and @ in comments for commands.
    sys.stdout.write(line)
