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
        now, then = pathlib.Path(work) / "now.abi", pathlib.Path(work) / "then.abi"
        # Types of the public headers alone.
        subprocess.run(["abidw", "--headers-dir", options.headers, "--drop-private-types", "--no-corpus-path",
                        "--no-comp-dir-path", "--no-show-locs", "--out-file", now, options.library], check=True)
        if options.write:
            pathlib.Path(options.baseline).write_bytes(lzma.compress(now.read_bytes()))
            return
        then.write_bytes(lzma.decompress(pathlib.Path(options.baseline).read_bytes()))
        done = subprocess.run(["abidiff", "--no-added-syms", then, now], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"{done.stdout}\nThe ABI differs from {options.baseline}'s (abidiff's status {done.returncode}).")
    print("No function is gone, no type has changed.")


if __name__ == "__main__":
    main()
