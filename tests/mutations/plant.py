"""A pytest plugin that plants one mutation: it stands in memory alone, and no file is ever changed.

`MUTATED` names the module's file, `MUTATION` a file with the source that is run in its place.
"""

import os
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType

_real = SourceFileLoader.get_code


def _get_code(self: SourceFileLoader, fullname: str) -> CodeType | None:
    if os.path.realpath(self.path) == os.environ["MUTATED"]:
        return compile(Path(os.environ["MUTATION"]).read_text(), self.path, "exec")
    return _real(self, fullname)


SourceFileLoader.get_code = _get_code  # type: ignore[method-assign]
