"""Nothing uses the network at run time: a guard inside Python would see it, and the commands run where there is none.

Python reports what it does to audit hooks. The guard is one, set before anything else is imported and inherited by
forked workers. It ends the process at once, so that nothing is sent and no ``except`` hides it. What compiled libraries
do by themselves it does not see; a namespace without network stops that, too.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from amass_files import write_sequence
from amass_joints.executors import CAN_FORK

GUARD = '''
import os, sys, traceback

def guard(event, arguments):
    """Let a process talk to its workers through local pipes, and ask the system about itself; nothing else."""
    local_pipe = event == "socket.__new__" and arguments[1] == 1  # AF_UNIX
    system = event == "subprocess.Popen" and arguments[1] in SYSTEM
    if event.startswith(FORBIDDEN) and not local_pipe and not system:
        where = "".join(traceback.format_stack())
        os.write(2, f"GUARD: {event} {arguments}\\n{where}".encode(errors="backslashreplace"))
        os._exit(99)

FORBIDDEN = (
    *("socket.", "urllib.", "http.", "ftplib.", "smtplib.", "poplib.", "imaplib.", "webbrowser."),
    *("subprocess.", "os.exec", "os.posix_spawn", "os.spawn", "os.startfile", "os.system", "pty.spawn"),
)  # other programs, too: the guard does not see what they do
SYSTEM = (  # asked, by what we use:
    ["/sbin/ldconfig", "-p"],  # threadpoolctl before 3.7
)
sys.addaudithook(guard)
'''

PROGRAM = [sys.executable, "-m", "amass_joints"]

NO_NETWORK = ["unshare", "--map-root-user", "--net"]
"""Before a command, on Linux: it runs in a namespace of its own, in which no network device is up."""


def run(command: Sequence[object], **environment: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        env={**os.environ, **{name: str(value) for name, value in environment.items()}},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A ``PYTHONPATH`` that sets the guard in every Python that has it: Python imports ``sitecustomize`` first."""
    directory = tmp_path_factory.mktemp("guard")
    (directory / "sitecustomize.py").write_text(GUARD)
    return os.pathsep.join(filter(None, [str(directory), os.environ.get("PYTHONPATH")]))


@pytest.fixture(scope="module")
def no_network() -> list[str]:
    """What to put before a command for it to run where no network is; nothing if this system does not let us."""
    available = shutil.which("unshare") and run([*NO_NETWORK, "true"]).returncode == 0
    return NO_NETWORK if available else []


IN_A_WORKER = """
from amass_joints.executors import run
def job(item):
    import socket
    try:
        socket.getaddrinfo("localhost", 80)
    except BaseException:
        pass
list(run(job, range(4), 2))
"""


@pytest.mark.parametrize(
    ("code", "event"),
    [
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "socket.getaddrinfo"),
        ("import socket; socket.gethostbyname('localhost')", "socket.gethostbyname"),
        ("import _socket; _socket.socket(_socket.AF_INET)", "socket.__new__"),
        ("import socket; socket.socket(socket.AF_UNIX).connect('nowhere')", "socket.connect"),
        ("import socket; socket.socket(socket.AF_UNIX).bind('')", "socket.bind"),
        ("import socket; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'', 'nowhere')", "socket.sendto"),
        ("from urllib.request import urlopen; urlopen('http://localhost:9')", "urllib.Request"),
        ("import os; os.system('true')", "os.system"),
        ("import subprocess; subprocess.run(['true'])", "subprocess.Popen"),
        pytest.param(
            *(IN_A_WORKER, "socket.getaddrinfo"),
            marks=pytest.mark.skipif(not CAN_FORK, reason="workers are threads on this system"),
        ),
    ],
)
def test_the_guard_sees_what_goes_out(guard: str, code: str, event: str) -> None:
    result = run([sys.executable, "-c", code], PYTHONPATH=guard)
    assert result.returncode != 0
    assert f"GUARD: {event}" in result.stderr


def test_there_is_no_network_where_commands_are_run(no_network: list[str]) -> None:
    if not no_network:
        pytest.skip(f"this system does not let its users have a namespace without network ({' '.join(NO_NETWORK)})")
    connect = "import socket; socket.socket(type=socket.SOCK_DGRAM).connect(('192.0.2.1', 9))"  # which sends nothing
    result = run([*no_network, sys.executable, "-c", connect])
    assert "Network is unreachable" in result.stderr


def test_no_command_uses_the_network(guard: str, no_network: list[str], tmp_path: Path, support_data: Path) -> None:
    """From the first run on, in which the kernel is compiled."""
    kit, data = tmp_path / "unpacked/KIT", tmp_path / "data"
    write_sequence(kit / "3/912_3_01_poses.npz", 60, 1)
    write_sequence(kit / "3/912_3_02_poses.npz", 40, 2)
    shutil.copytree(kit, data / "CMU")
    for name, kind in {"KIT": "zip", "SFU": "gztar", "EKUT": "bztar", "ACCAD": "xztar", "SOMA": "tar"}.items():
        shutil.make_archive(str(data / name), kind, kit)
    files = ["--amass-dir", data, "--joint-regressor", support_data / "J_regressor_h36m.npy", "--workers", 2]
    convert = ["convert", *files, "--out-dir", tmp_path / "out", "--report", tmp_path / "report.json"]
    verify = ["verify", tmp_path / "out", *files]
    joints, seen = tmp_path / "demo/joints", tmp_path / "seen"
    export = ["export", joints, "--format", "videopose3d", "--out", seen, "--cameras", "S1"]
    for command in (["demo", tmp_path / "demo"], convert, verify, export, ["scan", data], ["--version"]):
        result = run([*no_network, *PROGRAM, *command], PYTHONPATH=guard, XDG_CACHE_HOME=tmp_path / "cache")
        assert (result.returncode, result.stderr) == (0, ""), result.stderr
    assert list((tmp_path / "demo/joints").glob("*.npz"))
    assert len(list((tmp_path / "out").glob("*.npz"))) == 6
