"""Where results live: addresses, verified artifacts whose manifest comes last, immutable records."""

from pointlab.storage.address import Storage, open_storage
from pointlab.storage.artifact import (
    FileEntry,
    Manifest,
    fetch,
    publish,
    read_manifest,
    seal,
    whole_artifacts,
)
from pointlab.storage.files import AbsentError
from pointlab.storage.record import Record, no_record, read_record, require_record, write_record

__all__ = [
    "AbsentError",
    "FileEntry",
    "Manifest",
    "Record",
    "Storage",
    "fetch",
    "no_record",
    "open_storage",
    "publish",
    "read_manifest",
    "read_record",
    "require_record",
    "seal",
    "whole_artifacts",
    "write_record",
]
