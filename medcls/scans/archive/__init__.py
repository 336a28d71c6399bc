"""Zip and tar archives as folders of scans: members are read in place, by virtual paths, and never unpacked as files.

``Path("study.zip") / "inner/IM0001"`` names a member. :func:`open_file`, :func:`read_file`, :func:`file_stat` and
:func:`exists` take such paths and plain ones alike, at no extra cost for plain ones.
"""

from medcls.scans.archive.entries import Member, Problem
from medcls.scans.archive.opening import (
    archive_of,
    exists,
    file_stat,
    is_archive,
    members,
    open_file,
    read_file,
)

__all__ = ["Member", "Problem", "archive_of", "exists", "file_stat", "is_archive", "members", "open_file", "read_file"]
