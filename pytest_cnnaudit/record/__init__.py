"""What was found, kept on disk: a part for each test while it runs, and the record of the whole run.

PYTEST_DONT_REWRITE
"""

from pytest_cnnaudit.record.files import write_json, write_text
from pytest_cnnaudit.record.folder import foreign_files, remove_report
from pytest_cnnaudit.record.page_names import page_name
from pytest_cnnaudit.record.parts import drop_parts, read_parts
from pytest_cnnaudit.record.record import is_complete, make_record, now
from pytest_cnnaudit.record.recorder import Course, Failure, Recorder

__all__ = [
    "Course",
    "Failure",
    "Recorder",
    "drop_parts",
    "foreign_files",
    "is_complete",
    "make_record",
    "now",
    "page_name",
    "read_parts",
    "remove_report",
    "write_json",
    "write_text",
]
