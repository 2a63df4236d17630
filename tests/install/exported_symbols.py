#!/usr/bin/env python3
"""Compares what libsluice.so exports with exported_symbols.txt; --write writes that file instead.

Weak functions are left out: which inline functions a compiler emits is its own affair."""
import pathlib
import subprocess
import sys

LIST = pathlib.Path(__file__).with_name("exported_symbols.txt")
VERSION = "@@SLUICE_0"


def exported(library):
    text = subprocess.run(["nm", "-DC", "--defined-only", library], check=True, capture_output=True, text=True).stdout
    names = set()
    for line in text.splitlines():
        _, kind, name = line.split(" ", 2)
        if kind in "Aa":  # the version itself
            continue
        if not name.endswith(VERSION):
            sys.exit(f"{name} has another version than {VERSION}")
        name = name[: -len(VERSION)]
        if not name.removeprefix("typeinfo for ").removeprefix("typeinfo name for ").removeprefix("vtable for ") \
                .startswith(("sluice::", "sluice_")) and kind not in "Ww":
            sys.exit(f"{name} is no function or class of Sluice's")
        if kind not in "Ww":
            names.add(name)
        elif "sluice::" not in name:
            sys.exit(f"{name} is exported, and is of no class of Sluice's")
    return names


def main():
    got = exported(sys.argv[1])
    if sys.argv[2:] == ["--write"]:
        LIST.write_text("".join(name + "\n" for name in sorted(got)))
        return
    want = set(LIST.read_text().splitlines())
    for name in sorted(got - want):
        print("exported and not listed:", name)
    for name in sorted(want - got):
        print("listed and not exported:", name)
    if got != want:
        sys.exit(1)
    print(len(got), "symbols")


main()
