"""The pages of `sluice inspect --html` in headless Chromium. Exit status 77 without Chromium, npm or the page itself."""
import argparse
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SKIPPED = 77


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def install(modules):
    """playwright-core, without the browsers that it could fetch."""
    if not (shutil.which("node") and shutil.which("npm")):
        skip("Node.js with npm is missing")
    lock = (HERE / "package-lock.json").read_text()
    installed = modules / "installed"
    if installed.exists() and installed.read_text() == lock:
        return
    modules.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, modules)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", "--fetch-retries=1"]
    if subprocess.run(command, cwd=modules).returncode != 0:
        skip("npm cannot install playwright-core")
    installed.write_text(lock)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sluice", required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    chromium = shutil.which("chromium")
    if not chromium:
        skip("Chromium is missing")
    try:
        import models
    except ImportError as error:
        skip(error)
    work = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    install(work / "modules")

    models.large(work / "large.onnx")
    models.hostile(work / "hostile.onnx")
    models.small(work / "one.onnx")
    models.small(work / "other.onnx", alpha=0.2, scale=1.5, extra=True)

    def sluice(*args):
        return subprocess.run([arguments.sluice, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    for name, extra in (("large", ["--runs", 2]), ("hostile", []), ("one", ["--against", work / "other.onnx"])):
        done = sluice("inspect", work / f"{name}.onnx", "--html", work / f"{name}.html", *extra)
        if "built without its page" in done.stderr:
            skip(done.stderr.strip())
        if done.returncode != 0:
            sys.exit(done.stderr)
    # Times from a file give the same boxes a time.
    for kind in ("profile", "json"):
        sluice("bench", work / "one.onnx", "--seconds", 0.05, f"--{kind}", work / f"one.{kind}")
        done = sluice("inspect", work / "one.onnx", "--html", work / f"{kind}.html", "--profile", work / f"one.{kind}")
        if done.returncode != 0:
            sys.exit(done.stderr)
    return subprocess.run(["node", HERE / "inspect_page.mjs", chromium, work / "modules", work]).returncode


if __name__ == "__main__":
    sys.exit(main())
