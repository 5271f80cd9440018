"""
The errors of servers/, as a tree.

ServerError
├── BinaryNotFoundError
├── FolderInUseError
└── ServerStartError
"""


class ServerError(Exception):
    """Root of all errors of this package.  Never raised directly."""


class BinaryNotFoundError(ServerError):
    """No server program is installed; the message names the package that brings one."""


class FolderInUseError(ServerError):
    """Another process works on the same folder; nothing was touched."""


class ServerStartError(ServerError):
    """A server did not come up; its data are untouched and the message ends with its last log lines."""
