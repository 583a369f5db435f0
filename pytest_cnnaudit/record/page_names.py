"""File names for tests, safe on every file system and free of collisions.

PYTEST_DONT_REWRITE
"""

import hashlib
import re
import unicodedata

NAME_BYTES = 80
HASH_DIGITS = 8


def page_name(test: str) -> str:
    """Give `<slug>-<hash8>` for a node id: ASCII, lower case, at most 80 bytes, without extension.

    The slug is for people and keeps the end of a long id, where the test's own name stands. The hash of the
    whole id tells `a/b` from `a_b` and `A` from `a`, and keeps Windows' reserved names (`con`, `nul`) away.
    """
    digest = hashlib.sha256(test.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_DIGITS]
    plain = unicodedata.normalize("NFKD", test).encode("ascii", "ignore").decode("ascii").lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    slug = slug[-(NAME_BYTES - HASH_DIGITS - 1) :].lstrip("-") or "test"
    return f"{slug}-{digest}"
