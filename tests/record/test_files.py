"""A file is whole or not there."""

import json
import os

import pytest

from pytest_cnnaudit.record import write_json, write_text


def test_a_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / "below" / "value.json"
    write_json(path, {"letter": "猫", "lone": "\ud800"})
    assert json.loads(path.read_text("utf-8"))["letter"] == "猫"
    assert list(path.parent.iterdir()) == [path]


def test_a_lone_surrogate_is_escaped_and_a_line_ends_as_it_is_written(tmp_path):
    assert write_text(tmp_path / "page.html", "test[\ud800]\n").read_bytes() == b"test[\\ud800]\n"


def test_what_can_not_be_put_in_place_leaves_nothing_behind_and_the_old_file_as_it_was(tmp_path, monkeypatch):
    path = write_text(tmp_path / "record.json", "old")

    def full(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "replace", full)
    monkeypatch.setattr(type(path), "replace", full)
    with pytest.raises(OSError, match="the disk is full"):
        write_text(path, "new")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "old"
