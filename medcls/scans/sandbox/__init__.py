"""The sandbox: processes in which decoders and parsers of others look at foreign bytes.

A file that makes one crash, hang or ask for too much memory costs its own refusal and nothing else. Nothing that comes back
is run: answers are JSON, and voxels are plain bytes.
"""

from medcls.scans.sandbox.apart import probe_apart, read_apart

__all__ = ["probe_apart", "read_apart"]
