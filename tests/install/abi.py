#!/usr/bin/env python3
"""Compares the ABI of libsluice.so with that of the last release.

    abi.py [--headers DIR] LIBRARY BASELINE          fails where programs linked with the release would break
    abi.py [--headers DIR] LIBRARY BASELINE --write  makes the baseline: at each release

Additions are fine; functions that are gone and types that have changed are not. Needs abidiff (Debian's
abigail-tools).
"""
import argparse
import lzma
import pathlib
import subprocess
import sys
import tempfile


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library")
    parser.add_argument("baseline")
    parser.add_argument("--headers", required=True)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        run(options, str(pathlib.Path(work) / "description.abi"))


def run(options, description):
    if options.write:
        subprocess.run(["abidw", "--headers-dir", options.headers, "--drop-private-types", "--no-corpus-path",
                        "--no-comp-dir-path", "--no-show-locs", "--out-file", description, options.library],
                       check=True)
        pathlib.Path(options.baseline).write_bytes(lzma.compress(pathlib.Path(description).read_bytes()))
        return
    pathlib.Path(description).write_bytes(lzma.decompress(pathlib.Path(options.baseline).read_bytes()))
    done = subprocess.run(["abidiff", "--headers-dir2", options.headers, "--drop-private-types", "--no-added-syms",
                           "--no-unreferenced-symbols", "--leaf-changes-only", description, options.library],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"{done.stdout}\nThe ABI differs from {options.baseline}'s (abidiff's status {done.returncode}).")
    print("No function is gone, no type has changed.")


if __name__ == "__main__":
    main()
