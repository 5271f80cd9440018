#!/usr/bin/env python3
"""
Make the images that the tests ask for out of programs that are installed here, where none can be pulled.

`python scripts/docker_images.py` imports them into the engine that DOCKER_HOST names, under the very tags of
tests/fixtures/external.py: PostgreSQL and Valkey from the wheels, the other versions from the system where it has them.
Each is a bare root folder with the programs, the libraries that they load and a small entrypoint in the manner of the
official images; good for tests, and for nothing else.
"""

import io
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker

from servers.binaries import PostgresBinaries, find_binaries, find_server_binary
from servers.errors import BinaryNotFoundError
from tests.fixtures.external import POSTGRES_IMAGES, REDIS_IMAGES

IMPORT_SECONDS = 300
USER_ID = 999
DATA = "/var/lib/postgresql/data"
POSTGRES_ENTRYPOINT = """#!/bin/sh
set -eu
: "${POSTGRES_USER:=postgres}"
: "${POSTGRES_DB:=$POSTGRES_USER}"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    umask 077
    printf '%s' "$POSTGRES_PASSWORD" > /tmp/password
    initdb --pgdata "$PGDATA" --username "$POSTGRES_USER" --pwfile /tmp/password --auth=scram-sha-256 \\
        --encoding=UTF8 ${POSTGRES_INITDB_ARGS:-}
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
    [ "$POSTGRES_DB" = postgres ] || echo "CREATE DATABASE \\"$POSTGRES_DB\\"" | postgres --single -D "$PGDATA" postgres
fi
exec "$@" -c listen_addresses='*' -c unix_socket_directories=/tmp
"""
REDIS_ENTRYPOINT = """#!/bin/sh
exec "$@" --bind '*' --protected-mode no --dir /tmp
"""


class RootFolder:
    """A tar file that becomes an image's root folder."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._names: set[str] = set()

    def folder(self, name: str, mode: int = 0o755, user_id: int = 0) -> None:
        """Add an empty folder, and those above it, which an engine would otherwise make for root alone."""
        name = name.strip("/")
        if not name or name in self._names:
            return
        self._names.add(name)
        if "/" in name:
            self.folder(name.rpartition("/")[0])
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, mode, user_id, user_id
        self._archive.addfile(entry)

    def text(self, name: str, content: str, mode: int = 0o644) -> None:
        """Add a file with *content*."""
        self.folder(name.rpartition("/")[0])
        entry = tarfile.TarInfo(name.lstrip("/"))
        entry.size, entry.mode = len(content.encode()), mode
        self._archive.addfile(entry, io.BytesIO(content.encode()))

    def file(self, source: Path, name: str | None = None) -> None:
        """Add a file, links followed, with the libraries that it loads; once, however often it is asked for."""
        name = (name or str(source)).lstrip("/")
        if name in self._names:
            return
        self._names.add(name)
        self.folder(name.rpartition("/")[0])
        entry = self._archive.gettarinfo(source.resolve(), name)
        entry.uid = entry.gid = 0
        with source.open("rb") as content:
            self._archive.addfile(entry, content)
        if ".so" in source.name or entry.mode & 0o100:
            self._libraries(source)

    def tree(self, source: Path, name: str | None = None) -> None:
        """Add all files below *source*; not the just-in-time compiler, which loads a hundred megabytes."""
        for path in sorted(source.rglob("*")):
            if path.is_file() and "llvm" not in path.name and "bitcode" not in path.parts:
                self.file(path, f"{name or source}/{path.relative_to(source)}")

    def _libraries(self, program: Path) -> None:
        listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
        for library in re.findall(r"(/\S+) \(0x", listing):
            # A wheel's own libraries are found beside its programs, where `tree` puts them.
            if ".libs/" not in library:
                self.file(Path(library))


def fill_postgres(root: RootFolder, binaries: PostgresBinaries) -> str:
    """Add PostgreSQL; return the folder of its programs."""
    if "site-packages" in binaries.folder.parts:
        package = binaries.folder.parents[1]
        root.tree(binaries.folder.parent, f"/opt/{package.name}/{binaries.folder.parent.name}")
        root.tree(package.with_name(f"{package.name}.libs"), f"/opt/{package.name}.libs")
        folder = f"/opt/{package.name}/{binaries.folder.parent.name}/bin"
    else:
        # Where the system's programs look for their files is compiled into them.
        root.tree(binaries.folder.parent)
        root.tree(Path(f"/usr/share/postgresql/{binaries.major}"))
        root.tree(Path("/usr/share/zoneinfo"))
        folder = str(binaries.folder)
    root.tree(Path("/usr/lib/locale/C.utf8"))
    root.folder("/var/lib/postgresql", 0o700, USER_ID)
    root.text("/entrypoint", POSTGRES_ENTRYPOINT, 0o755)
    return folder


@contextmanager
def root_folder(archive_path: Path) -> Iterator[RootFolder]:
    """Begin an image's root folder with what every program needs."""
    with tarfile.open(archive_path, "w") as archive:
        root = RootFolder(archive)
        root.folder("/tmp", 0o1777)  # noqa: S108  (of the image)
        root.text("/etc/passwd", f"root:x:0:0::/:/bin/sh\nserver:x:{USER_ID}:{USER_ID}::/tmp:/bin/sh\n")
        root.text("/etc/group", f"root:x:0:\nserver:x:{USER_ID}:\n")
        root.file(Path("/bin/sh"))
        yield root


def import_postgres(client: docker.APIClient, image: str, binaries: PostgresBinaries, archive_path: Path) -> None:
    """Make *image* of *binaries*."""
    with root_folder(archive_path) as root:
        folder = fill_postgres(root, binaries)
    changes = [f"ENV PATH={folder}:/bin", f"ENV PGDATA={DATA}", "EXPOSE 5432/tcp", 'CMD ["postgres"]']
    import_image(client, image, archive_path, changes)


def import_redis(client: docker.APIClient, image: str, program: Path, archive_path: Path) -> None:
    """Make *image* of *program*."""
    name = image.rpartition("/")[2].partition(":")[0] + "-server"
    with root_folder(archive_path) as root:
        root.file(program, f"/bin/{name}")
        root.text("/entrypoint", REDIS_ENTRYPOINT, 0o755)
    import_image(client, image, archive_path, ["ENV PATH=/bin", "EXPOSE 6379/tcp", f'CMD ["{name}"]'])


def import_image(client: docker.APIClient, image: str, archive_path: Path, changes: list[str]) -> None:
    """Hand the root folder to the engine."""
    repository, tag = image.rsplit(":", 1)
    changes = [f"USER {USER_ID}", 'ENTRYPOINT ["/entrypoint"]', *changes]
    client.import_image_from_file(str(archive_path), repository=repository, tag=tag, changes=changes)
    print(f"made {image} ({archive_path.stat().st_size // 1_000_000} MB)")


def main() -> None:
    """Make every image whose program is here; say which is not."""
    client = docker.from_env(timeout=IMPORT_SECONDS).api
    redis = {"valkey": find_server_binary(), "redis": Path(shutil.which("redis-server") or "")}
    with tempfile.TemporaryDirectory() as folder:
        for name, image in POSTGRES_IMAGES.items():
            try:
                binaries = find_binaries(int(name.removeprefix("postgres ")))
            except BinaryNotFoundError as error:
                print(f"did not make {image}: {error}")
                continue
            import_postgres(client, image, binaries, Path(folder, "image.tar"))
        for name, image in REDIS_IMAGES.items():
            if redis[name].is_file():
                import_redis(client, image, redis[name], Path(folder, "image.tar"))
            else:
                print(f"did not make {image}: no redis-server is installed")


if __name__ == "__main__":
    main()
