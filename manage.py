#!/usr/bin/env python
"""The command line: `python manage.py demo` is a good first one."""

import os
import sys
from pathlib import Path


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hospient.settings")
    if sys.argv[1:2] == ["demo"]:
        from hospient import demo

        demo.prepare(Path(__file__).resolve().parent)
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()
