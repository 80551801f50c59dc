"""Holds the promise that functions declared `nogil` touch no Python: reads the C that Cython made.

Cython refuses most of it by itself, but not all: a division that may raise, an exception that is
looked for after a call, `with gil`, `raise` or `assert` all compile, and take the GIL.

    python -m tests.tools.nogil_check SOURCES GENERATED     prints violations; exit code 1 if any
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

# Identifiers of the Python API and of Cython's helpers, called or not: macros need no parentheses.
PYTHON_API = re.compile(r"\b_?(?:Py[A-Z_]\w*|__Pyx\w*|__pyx_gilstate\w*)")
# What touches nothing: a typedef of an integer, and the no-ops that bracket a nogil function.
HARMLESS = {
    "Py_ssize_t",
    "__Pyx_RefNannyDeclarations",
    "__Pyx_RefNannySetupContextNogil",
    "__Pyx_RefNannyFinishContextNogil",
}
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')
HEADER = re.compile(r"^( *)(?:cdef|cpdef)\s+(?!class\b|struct\b|extern\b|enum\b)(.*)$")
CLASS = re.compile(r"^( *)cdef\s+class\s+(\w+)")
EXTERN = re.compile(r"^( *)cdef\s+extern\b")
NAME = re.compile(r"(\w+)\s*\((?!\s*\*)")
C_FUNCTION = re.compile(r"^static [^;{}\n]*?\b(__pyx_f_\w+)\([^;{}]*\) ?\{\n", re.MULTILINE)
HINT = re.compile(r"performance hint: .*")


@dataclass(frozen=True)
class Function:
    """A function declared nogil in a Cython source."""

    source: str  # file name and line, for the message
    module: str
    owner: str  # the cdef class, or nothing
    name: str
    has_body: bool
    inline: bool

    @property
    def c_name(self):
        """What Cython calls it in C."""
        parts = ["fastlog_ext", *self.module.split("."), *([self.owner] if self.owner else [])]
        return "__pyx_f_" + "".join(f"{len(part)}{part}_" for part in parts) + self.name


def nogil_functions(path):
    """The functions that a .pyx or .pxd declares nogil."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = []
    extern_indent = class_indent = None
    class_name = ""
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        indent = len(line) - len(line.lstrip())
        if extern_indent is not None and indent > extern_indent:
            continue
        extern_indent = None
        if class_indent is not None and indent <= class_indent:
            class_indent, class_name = None, ""
        if match := EXTERN.match(line):
            extern_indent = len(match[1])
        elif match := CLASS.match(line):
            class_indent, class_name = len(match[1]), match[2]
        elif match := HEADER.match(line):
            function = declared(lines, number, match[2])
            if function is not None:
                name, has_body = function
                inline = bool(re.search(r"\binline\b", match[2].split("(")[0]))
                where = f"{path.name}:{number}"
                found.append(Function(where, path.stem, class_name, name, has_body, inline))
    return found


def declared(lines, number, first):
    """(name, has a body) of the nogil function whose signature starts at line `number`, or None."""
    signature = first.split("#")[0]
    following = number
    while signature.count("(") > signature.count(")") and following < len(lines):
        signature += " " + lines[following].split("#")[0].strip()
        following += 1
    name = NAME.search(signature)
    if name is None or "=" in signature[: name.start()]:
        return None
    tail = signature[signature.rfind(")") + 1 :]
    if not re.search(r"\bnogil\b", tail):
        return None
    return name[1], ":" in tail


def c_functions(text):
    """(name, body) of each function defined in generated C: they start and end in column 0."""
    text = STRING.sub('""', COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), text))
    for match in C_FUNCTION.finditer(text):
        end = text.find("\n}", match.end())
        yield match[1], text[match.end() : end if end >= 0 else len(text)]


def violations(body):
    """The names of the Python API in a function's body, in order, each once."""
    return [name for name in dict.fromkeys(PYTHON_API.findall(body)) if name not in HARMLESS]


def check_tree(sources, generated):
    """A line for each nogil function of `sources` whose C in `generated` uses the Python API."""
    functions = {}
    for path in sorted([*sources.glob("*.pxd"), *sources.glob("*.pyx")]):
        for function in nogil_functions(path):
            functions[function.c_name] = function
    problems, seen, untranslated = [], set(), set()
    for module in sorted(path.stem for path in sources.glob("*.pyx")):
        c_file = generated / f"{module}.c"
        if not c_file.exists():
            untranslated.add(module)
            problems.append(f"{module}.pyx: its C is not at {c_file}")
            continue
        for name, body in c_functions(c_file.read_text(encoding="utf-8")):
            function = functions.get(name)
            if function is None:
                continue
            seen.add(name)
            if used := violations(body):
                problems.append(f"{function.source}: {function.name} uses {', '.join(used)}")
    for name, function in functions.items():
        expected = function.has_body and not function.inline and name not in seen
        if expected and function.module not in untranslated:
            problems.append(f"{function.source}: {function.name} is not found in the generated C")
    return list(dict.fromkeys(problems))


def performance_hints(output):
    """Cython's hints in what a build printed: each is a look for an exception, under the GIL."""
    return list(dict.fromkeys(HINT.findall(output)))


def main():
    """Checks the folder of sources given first against the folder of C given second."""
    problems = check_tree(Path(sys.argv[1]), Path(sys.argv[2]))
    print("\n".join(problems) or "no function that is declared nogil uses the Python API")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
