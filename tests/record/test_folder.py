"""Whose files are whose in the folder that the record lies in."""

import pytest

from pytest_cnnaudit.record import foreign_files, remove_report, write_json

NAMES = ("index.html", "record.json", "summary.md")


def test_only_what_the_record_names_is_removed(tmp_path):
    for name in ("index.html", "mine.html"):
        (tmp_path / name).write_text("")
    outside = tmp_path.parent / f"{tmp_path.name}.txt"
    outside.write_text("")
    files = ["index.html", "record.json", f"../{outside.name}"]
    write_json(tmp_path / "record.json", {"policy_sha256": "0", "files": files})
    assert foreign_files(tmp_path, NAMES) == []
    remove_report(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.html"]
    assert outside.exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": ["index.html"]}', '{"policy_sha256": "0", "files": 3}'])
def test_without_a_record_of_ours_every_file_is_foreign(tmp_path, text):
    (tmp_path / "record.json").write_text(text)
    (tmp_path / "index.html").write_text("")
    assert foreign_files(tmp_path, NAMES) == ["index.html", "record.json"]
    remove_report(tmp_path)
    assert (tmp_path / "index.html").exists()
