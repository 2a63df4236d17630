#!/usr/bin/env python3
"""Makes a program of the examples under README's "From C", "From C++" or "From Python":

    readme_example.py README c|cpp|python OUTPUT

Lines that include stay on top, those from a line that begins with "static" or "class" to the closing brace in the
first column stay outside of main, the rest becomes its body."""
import re
import sys

readme, language, output = sys.argv[1:]
heading = {"c": "## From C\n", "cpp": "## From C++\n", "python": "## From Python\n"}[language]
text = open(readme, encoding="utf-8").read()
section = text.split("\n" + heading, 1)[1].split("\n## ", 1)[0]
blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", section, re.MULTILINE)
if not blocks:
    sys.exit(f"{readme}: no example under {heading.strip()}")
if language == "python":
    with open(output, "w", encoding="utf-8") as file:
        file.write("".join(line[4:] or "\n" for line in "".join(blocks).splitlines(keepends=True)))
    sys.exit()
outside, inside, global_now = [], [], False
for line in "".join(blocks).splitlines():
    line = line[4:]
    global_now = global_now or line.startswith(("static ", "class "))
    (outside if global_now or line.startswith("#include") else inside).append(line)
    if line.startswith("}") or (line.startswith("static ") and line.endswith(";")):
        global_now = False
with open(output, "w", encoding="utf-8") as file:
    file.write("\n".join(outside) + "\n\nint main(void) {\n" + "\n".join("  " + line for line in inside) +
               "\n  return 0;\n}\n")
