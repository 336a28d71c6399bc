"""Zip and tar archives as folders of scans: members are read in place, by virtual paths, and never unpacked as files.

``Path("study.zip") / "inner/IM0001"`` names a member. :func:`open_file`, :func:`read_file`, :func:`file_stat`,
:func:`exists` and :func:`is_regular` take such paths and plain ones alike, at no extra cost for plain ones.
:func:`open_unpacked` and its like also see through a file that is packed by itself.
"""

from medcls.scans.archive.entries import Member, Problem
from medcls.scans.archive.opening import (
    archive_of,
    exists,
    file_stat,
    is_archive,
    is_regular,
    members,
    open_file,
    read_file,
)
from medcls.scans.archive.packed import is_packed, open_unpacked, read_unpacked, unpacked_name, unpacked_size

__all__ = [
    "Member",
    "Problem",
    "archive_of",
    "exists",
    "file_stat",
    "is_archive",
    "is_packed",
    "is_regular",
    "members",
    "open_file",
    "open_unpacked",
    "read_file",
    "read_unpacked",
    "unpacked_name",
    "unpacked_size",
]
