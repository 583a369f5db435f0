"""Model files changed on purpose."""

import zipfile


def rewritten(source, target, change):
    """A copy of an archive whose members went through `change(name, content)`; None drops one."""
    with zipfile.ZipFile(source) as given, zipfile.ZipFile(target, "w") as made:
        for name in given.namelist():
            content = change(name, given.read(name))
            if content is not None:
                made.writestr(name, content)
    return target


def change_of(member, change):
    """Changes the member whose name ends like this."""
    return lambda name, content: change(content) if name.endswith(member) else content
