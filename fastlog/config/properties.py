"""Java's properties files, read by the rules of java.util.Properties.load."""

_BLANK = " \t\f"
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


class Malformed(ValueError):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def parse(content: bytes):
    """Yields (line number, key, value) in file order. The encoding is Latin-1, as Java has it."""
    for number, line in _logical_lines(content.decode("latin-1")):
        end = _key_end(line)
        rest = line[end:].lstrip(_BLANK)
        if rest[:1] in ("=", ":"):
            rest = rest[1:].lstrip(_BLANK)
        yield number, _unescape(number, line[:end]), _unescape(number, rest)


def _logical_lines(text: str):
    """Joins lines that end in an odd number of backslashes; drops blank lines and comments.

    (A lone backslash that ends the file makes Java define a setting with an empty name; not here.)
    """
    pending, started = "", 0
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    for number, line in enumerate(text.split("\n"), 1):
        line = line.lstrip(_BLANK)
        if not pending:
            if not line or line[0] in "#!":
                continue
            started = number
        backslashes = len(line) - len(line.rstrip("\\"))
        if backslashes % 2:
            pending += line[:-1]
            continue
        yield started, pending + line
        pending = ""
    if pending:
        yield started, pending


def _key_end(line: str) -> int:
    escaped = False
    for i, c in enumerate(line):
        if not escaped and c in "=: \t\f":
            return i
        escaped = c == "\\" and not escaped
    return len(line)


def _unescape(number: int, text: str) -> str:
    if "\\" not in text:
        return text
    out, i = [], 0
    while i < len(text):
        c = text[i]
        i += 1
        if c == "\\" and i < len(text):
            c = text[i]
            i += 1
            if c == "u":
                digits = text[i : i + 4]
                try:
                    if len(digits) != 4 or not digits.isalnum():
                        raise ValueError
                    c = chr(int(digits, 16))
                except ValueError:
                    raise Malformed(number, f"malformed \\u escape: \\u{digits}") from None
                i += 4
            else:
                c = _ESCAPES.get(c, c)
        elif c == "\\":
            continue  # a lone backslash at the very end stands for nothing
        out.append(c)
    # two escapes may be the halves of one character beyond the basic plane
    return "".join(out).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
