"""
Becomes another program that dies with the process that started it.

Run as a file by `servers.child`, never imported: `python -I -S launcher.py PARENT_PID SIGNAL IDENTITY COMMAND...`.
SIGNAL is what the program gets when its parent dies, however it dies (0: nothing).  IDENTITY is `self` (stay who we
are), `unshare` (uid 1000 in a user namespace of its own, for root only) or `UID:GID`.
"""

import ctypes
import os
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
PARENT_DIED = 75


def enter_user_namespace() -> None:
    """Become uid and gid 1000 in a new user namespace; outside of it files still belong to who we were."""
    uid, gid = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "this system does not let us make a user namespace")
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"1000 {uid} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"1000 {gid} 1", encoding="ascii")


def take_identity(identity: str) -> None:
    """Give up root as *identity* says."""
    if identity == "unshare":
        enter_user_namespace()
    elif identity != "self":
        uid, gid = (int(part) for part in identity.split(":"))
        os.setgroups([gid])
        os.setgid(gid)
        os.setuid(uid)


def die_with_parent(parent_pid: int, signal_number: int) -> None:
    """Ask the kernel for *signal_number* at the parent's death; elsewhere than on Linux this does nothing."""
    if not signal_number or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal_number)
    # The parent may have died before the kernel knew of our wish.
    if os.getppid() != parent_pid:
        sys.exit(PARENT_DIED)


def main() -> None:
    """Take the identity, tie the life to the parent's, become the command."""
    parent_pid, signal_number, identity, *command = sys.argv[1:]
    take_identity(identity)
    # After the change of identity: the kernel forgets the wish when a process changes its credentials.
    die_with_parent(int(parent_pid), int(signal_number))
    os.execvp(command[0], command)  # noqa: S606  (that is this file's purpose)


if __name__ == "__main__":
    main()
