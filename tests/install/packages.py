#!/usr/bin/env python3
"""Installs the Debian packages into a root of their own and builds and runs README's examples against them.

    packages.py --build BUILD --source SOURCE --models MODELS [--root]

The packages are unpacked into a folder; what they need from Debian is the system's. With --root (as root, with a
network) a Debian 12 is made with debootstrap instead, apt installs the packages there with all that they need, and the
examples are built and run inside. Exits with 77 where cpack, dpkg-deb, or what --root takes is missing.
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

CMAKE_PROJECT = """
cmake_minimum_required(VERSION 3.22)
project(example LANGUAGES C CXX)
set(CMAKE_CXX_STANDARD 20)
find_package(sluice 0.1 REQUIRED)
add_executable(shared_c example.c)
target_link_libraries(shared_c sluice::sluice)
add_executable(shared_cpp example.cpp)
target_link_libraries(shared_cpp sluice::sluice)
add_executable(static_cpp example.cpp)
target_link_libraries(static_cpp sluice::static)
"""
PACKAGES = ["libsluice0", "libsluice-dev", "sluice", "python3-sluice"]


def run(command, **kwargs):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          **kwargs)
    if done.returncode != 0:
        sys.exit(f"{' '.join(str(part) for part in command)}\n{done.stdout}")
    return done.stdout


def make_packages(build, work):
    run(["cpack", "-G", "DEB", "-B", work], cwd=build)
    packages = {run(["dpkg-deb", "-f", path, "Package"]).strip(): path for path in work.glob("*.deb")}
    missing = [name for name in PACKAGES if name not in packages]
    if missing:
        sys.exit(f"no package {', '.join(missing)}, only {', '.join(sorted(packages))}")
    return packages


def examples(source, models, work):
    """README's examples, and the models that they load, in one folder."""
    maker = source / "tests" / "install" / "readme_example.py"
    for language in ("c", "cpp"):
        run([sys.executable, maker, source / "README.md", language, work / f"example.{language}"])
    run([sys.executable, maker, source / "README.md", "python", work / "example.py"])
    (work / "CMakeLists.txt").write_text(CMAKE_PROJECT)
    for model in models.glob("*.onnx"):
        shutil.copy(model, work)


def script(prefix):
    """Builds and runs the examples in the working folder; `prefix` is where the packages' usr is."""
    flags = f"--define-variable=prefix={prefix}"
    return f"""
set -eux
export PKG_CONFIG_PATH={prefix}/lib/pkgconfig
gcc -std=c11 example.c $(pkg-config {flags} --cflags --libs sluice) -o pc_c
g++ -std=c++20 example.cpp $(pkg-config {flags} --cflags --libs sluice) -o pc_cpp
g++ -std=c++20 example.cpp $(pkg-config {flags} --cflags sluice) {prefix}/lib/libsluice.a \\
    $(pkg-config {flags} --static --libs-only-l sluice | sed 's/-lsluice//') -o pc_static
cmake -S . -B cmake -DCMAKE_PREFIX_PATH={prefix} >/dev/null
cmake --build cmake >/dev/null
for program in pc_c pc_cpp pc_static cmake/shared_c cmake/shared_cpp cmake/static_cpp; do ./$program; done
! ldd pc_static | grep libsluice
/usr/bin/python3 example.py
sluice --version
sluice run model.onnx
"""


def unpacked(packages, work):
    root = work / "root"
    for path in packages.values():
        run(["dpkg-deb", "-x", path, root])
    environment = dict(os.environ, LD_LIBRARY_PATH=str(root / "usr/lib"), PATH=f"{root}/usr/bin:{os.environ['PATH']}",
                       PYTHONPATH=str(root / "usr/lib/python3/dist-packages"), PYTHONDONTWRITEBYTECODE="1")
    return run(["bash", "-c", script(root / "usr")], cwd=work / "examples", env=environment)


def in_a_root(packages, work):
    root = work / "root"
    run(["debootstrap", "--variant=minbase", "bookworm", root])
    # The build machine has security updates, whose versions the packages ask for.
    with (root / "etc/apt/sources.list").open("a") as sources:
        sources.write("deb http://deb.debian.org/debian bookworm-updates main\n"
                      "deb http://deb.debian.org/debian-security bookworm-security main\n")
    for path in packages.values():
        shutil.copy(path, root / "tmp")
    shutil.copytree(work / "examples", root / "tmp" / "examples")
    names = " ".join(f"/tmp/{path.name}" for path in packages.values())
    run(["chroot", root, "bash", "-c", f"""
set -eux
apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends {names} gcc g++ cmake make pkg-config
cd /tmp/examples
{script('/usr')}
apt-get remove -qy {' '.join(PACKAGES)}
test -z "$(find /usr -name '*sluice*')"
"""])
    return "installed, used and removed in a root of its own\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--models", type=pathlib.Path, required=True)
    parser.add_argument("--root", action="store_true")
    options = parser.parse_args()
    if not all(shutil.which(program) for program in ("cpack", "dpkg-deb", "dpkg-shlibdeps")):
        sys.exit(77)
    if options.root and (os.geteuid() != 0 or not shutil.which("debootstrap")):
        sys.exit(77)
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        (work / "examples").mkdir()
        packages = make_packages(options.build, work)
        examples(options.source, options.models, work / "examples")
        print((in_a_root if options.root else unpacked)(packages, work))


if __name__ == "__main__":
    main()
