"""The spool by itself: what it keeps, hands out, cuts and refuses."""

import itertools
import os
import stat
import threading

import pytest

from log_events.spool import Spool, SpoolError, SpoolFullError
from log_events.spool_record import MARK, pack_record
from log_events.spool_segment import START, SUFFIX

Frames = list[bytes]


def taken(spool: Spool, most: int = 1000) -> Frames:
    """Deliver everything; return the frames in order."""
    frames: Frames = []
    while len(frames) < most and spool.deliver_next(lambda frame, _events, _llm_logs: frames.append(frame)):
        pass
    return frames


def filled(spool: Spool, frame_bytes: int) -> int:
    """Append frames until the spool is full; return how many it took."""
    for kept in itertools.count():
        try:
            spool.append(b"x" * frame_bytes, 1)
        except SpoolFullError:
            return kept
    raise AssertionError


def segments(folder) -> list:
    return sorted(folder.glob(f"*{SUFFIX}"))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "spool"


@pytest.fixture
def new_spool(folder):
    """A function that makes a spool on the folder; all are closed after the test."""
    made = []

    def make(max_bytes=1 << 30, segment_bytes=1 << 20) -> Spool:
        made.append(Spool(folder, max_bytes, segment_bytes))
        return made[-1]

    yield make
    for spool in made:
        spool.close(1)


def test_frames_come_back_in_order_with_their_numbers_of_events(new_spool):
    spool = new_spool()
    for number in range(5):
        spool.append(b"frame %d" % number, number, number // 2)
    seen = []
    while spool.deliver_next(lambda *frame: seen.append(frame)):
        pass

    assert seen == [(b"frame %d" % number, number, number // 2) for number in range(5)]
    assert spool.held_bytes() == 0


def test_folder_and_files_are_the_users_own(new_spool, folder):
    folder.mkdir(mode=0o777)
    new_spool().append(b"frame", 1)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_a_frame_that_was_not_delivered_stays_the_oldest(new_spool):
    spool = new_spool()
    spool.append(b"first", 1)
    spool.append(b"second", 1)

    def refuse(*_: object) -> None:
        raise ConnectionError("away")

    for _ in range(3):
        with pytest.raises(ConnectionError):
            spool.deliver_next(refuse)
    assert taken(spool) == [b"first", b"second"]


def test_frames_written_while_others_are_delivered_come_after_them(new_spool):
    spool = new_spool()
    spool.append(b"1", 1)
    spool.append(b"2", 1)
    assert taken(spool, most=1) == [b"1"]
    spool.append(b"3", 1)

    assert taken(spool) == [b"2", b"3"]


def test_segments_are_removed_as_they_are_delivered(new_spool, folder):
    spool = new_spool(segment_bytes=1000)
    for number in range(10):
        spool.append(b"%d" % number * 400, 1)
    before = len(segments(folder))
    taken(spool, most=7)

    assert before == 4
    assert len(segments(folder)) == 2


def test_at_the_cap_nothing_is_written_and_room_comes_back_with_delivery(new_spool, folder):
    spool = new_spool(max_bytes=3000, segment_bytes=1000)
    kept = filled(spool, 400)
    with pytest.raises(SpoolFullError, match="holds 3000 bytes"):
        spool.append(b"x" * 400, 1)

    assert 2000 < sum(path.stat().st_size for path in segments(folder)) <= 3000
    assert len(taken(spool)) == kept
    spool.append(b"again", 1)


def test_the_cap_is_for_all_processes_together(new_spool, folder):
    spools = [new_spool(max_bytes=10_000) for _ in range(2)]
    threads = [threading.Thread(target=filled, args=(spool, 300)) for spool in spools]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 9_500 < spools[0].held_bytes() <= 10_000


def test_a_living_process_keeps_its_segment_and_a_closed_one_leaves_it_to_others(new_spool):
    writer, other = new_spool(), new_spool()
    writer.append(b"frame", 1)
    assert taken(other) == []
    writer.close(1)
    other._look_at = 0.0

    assert taken(other) == [b"frame"]


def test_what_was_delivered_of_a_segment_is_not_delivered_by_the_next_process(new_spool):
    first = new_spool()
    for number in range(10):
        first.append(b"%d" % number, 1)
    assert len(taken(first, most=4)) == 4
    first.close(1)

    assert taken(new_spool()) == [b"%d" % number for number in range(4, 10)]


def test_damaged_progress_means_from_the_beginning(new_spool, folder):
    first = new_spool()
    for number in range(3):
        first.append(b"%d" % number, 1)
    taken(first, most=2)
    first.close(1)
    (path,) = segments(folder)
    with path.open("r+b") as file:
        file.seek(10)
        file.write(b"\xff\xff")

    assert taken(new_spool()) == [b"0", b"1", b"2"]


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_tail_is_cut_and_counted_and_what_is_before_it_is_delivered(new_spool, folder, cut):
    writer = new_spool()
    for number in range(3):
        writer.append(b"%d" % number * 100, 1)
    writer.close(1)
    (path,) = segments(folder)
    os.truncate(path, path.stat().st_size - cut)
    reader = new_spool()

    assert taken(reader) == [b"0" * 100, b"1" * 100]
    assert reader.take_cut_bytes() == len(pack_record(b"2" * 100, 1, 0)) - cut
    assert reader.take_cut_bytes() == 0
    assert segments(folder) == []


@pytest.mark.parametrize("place", ["mark", "length", "events", "checksum", "frame"])
def test_damage_in_the_middle_costs_one_frame_only(new_spool, folder, place):
    writer = new_spool()
    for number in range(3):
        writer.append(b"%d" % number * 100, 1)
    writer.close(1)
    (path,) = segments(folder)
    record = len(pack_record(b"0" * 100, 1, 0))
    at = START + record + {"mark": 0, "length": 4, "events": 11, "checksum": 17, "frame": 60}[place]
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)
    reader = new_spool()

    assert taken(reader) == [b"0" * 100, b"2" * 100]
    assert reader.take_cut_bytes() == record


@pytest.mark.parametrize(
    "content",
    [b"", b"HH", bytes(range(256)) * 20, MARK * 1000, b"\0" * 5000],
    ids=["empty", "torn", "bytes", "marks", "zeros"],
)
def test_a_file_that_is_no_segment_is_cut_and_does_not_stop_the_others(new_spool, folder, content):
    spool = new_spool()
    spool.append(b"frame", 1)
    (folder / f"0{SUFFIX}").write_bytes(content)

    assert taken(spool) == [b"frame"]
    assert len(content) - START <= spool.take_cut_bytes() <= len(content)
    assert segments(folder) == []


def test_files_of_another_version_are_left_alone(new_spool, folder):
    spool = new_spool()
    spool.append(b"frame", 1)
    (folder / "1.spool2").write_bytes(b"of tomorrow")

    assert taken(spool) == [b"frame"]
    assert (folder / "1.spool2").read_bytes() == b"of tomorrow"


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    spool = Spool(tmp_path / "file" / "spool", 1000)

    with pytest.raises(SpoolError, match="the spool cannot be written"):
        spool.append(b"frame", 1)


def test_a_link_to_another_folder_is_not_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")

    with pytest.raises(SpoolError, match="not a folder of this process's user"):
        Spool(tmp_path / "link", 1000).append(b"frame", 1)


def test_a_frame_of_which_nothing_is_known_to_be_on_the_disk_is_not_accepted(new_spool, monkeypatch):
    spool = new_spool()
    spool.append(b"before", 1)

    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(SpoolError, match="Input/output error"):
            spool.append(b"unsure", 1)
    spool.append(b"after", 1)

    assert [frame for frame in taken(spool) if frame != b"unsure"] == [b"before", b"after"]


def test_a_forked_child_neither_keeps_its_parents_files_nor_writes_into_them(new_spool, folder):
    spool = new_spool()
    spool.append(b"parent", 1)
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(tell)
        spool.close_in_child()
        child = Spool(folder, 1 << 30)
        child.append(b"child", 1)
        os.read(told, 1)
        os._exit(0)
    os.close(told)
    spool.close(1)
    try:
        assert taken(new_spool()) == [b"parent"]
    finally:
        os.close(tell)
        assert os.waitpid(pid, 0)[1] == 0
    assert taken(new_spool()) == [b"child"]
