"""How ids are written in an address, where everything is text."""


def reference(text: str) -> int | str:
    """Read an id: as in a body, a text is the vendor's; `id:12` is Hospient's own id 12."""
    own = text.removeprefix("id:")
    return int(own) if own != text and own.isascii() and own.isdigit() else text


class TextConverter:
    """Any text a vendor's id or a room number can be."""

    regex = r"[^/\x00-\x1f\x7f]{1,192}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return str(value)


class ReferenceConverter(TextConverter):
    """An id, as `reference` reads it."""

    def to_python(self, value: str) -> int | str:
        return reference(value)
