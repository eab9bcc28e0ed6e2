#!/usr/bin/env python3
"""header_facts.py FILE FOLDER PREFIX -- facts about headers, to be compared.

FILE is what `cc -E -dD` made of a source that includes headers of FOLDER; only
what comes from there counts. Writes
    PREFIX.names       the functions and variables, one a line
    PREFIX.macros      the macros: name, and number of parameters if any
    PREFIX.attributes  each function and variable with its attributes
    PREFIX.declare     C: the declarations of functions, variables, plain types
    PREFIX.numbers     C: a program that prints constants, sizes and offsets"""

import re
import sys

MARKER = re.compile(r'# \d+ "([^"]*)"')
DEFINE = re.compile(r"#define (\w+)(\(([^)]*)\))?(?: (.*))?$")
ATTRIBUTE = re.compile(r"__attribute__\s*\(\(((?:[^()]|\([^()]*\))*)\)\)")
RECORD = re.compile(r"(?:typedef )?(struct|enum)( \w+)? \{(.*)\} ?(\w*)$")
POINTER = re.compile(r"^[^(]*\( ?\* ?(\w+)\)")
FUNCTION = re.compile(r"(\w+) ?\(")
NUMBER = re.compile(r"(?:\b(?:0x)?[0-9a-fA-F]+\b|sizeof ?\( ?(?:GC_word|void "
                    r"\*) ?\)|[\s()<>|&~*/+-])+$")


def from_folder(path, folder):
    """The declarations, one string each, and the macros, name to a pair."""
    macros, lines, inside = {}, [], False
    with open(path, encoding="utf-8") as source:
        for line in source:
            marker = MARKER.match(line)
            if marker:
                inside = marker.group(1).startswith(folder)
            elif inside and line.startswith("#undef "):
                macros.pop(line.split()[1], None)
            elif inside and line.startswith("#define "):
                name, _, parameters, body = DEFINE.match(line).groups()
                macros[name] = (parameters, body or "")
            elif inside and not line.startswith("#"):
                lines.append(line)
    depth, start, text = 0, 0, re.sub(r"\s+", " ", "".join(lines))
    declarations = []
    for index, character in enumerate(text):
        depth += (character in "({") - (character in ")}")
        if character == ";" and depth == 0:
            declarations.append(text[start:index].strip())
            start = index + 1
    assert depth == 0 and not text[start:].strip(), text[start:]
    return declarations, macros


def name_of(declaration):
    """The function or variable that is declared."""
    plain = ATTRIBUTE.sub("", declaration)
    pointer = POINTER.match(plain)
    if pointer:
        return pointer.group(1)
    function = FUNCTION.search(plain)
    return function.group(1) if function else plain.split()[-1].lstrip("*")


def constants(macros):
    """The macros that are numbers, those made of others included."""
    known = {}
    while True:
        before = len(known)
        for name, (parameters, body) in macros.items():
            spelt = re.sub(r"\w+", lambda word: "1" if word[0] in known
                           else word[0], body)
            if parameters is None and body and NUMBER.match(spelt):
                known[name] = body
        if len(known) == before:
            return sorted(known)


def alias_number(declaration):
    """For a plain type: its size, and whether it is signed."""
    alias = re.match(r"typedef .*?\b(\w+)$", declaration)
    if alias:
        yield (f'  printf("{alias[1]} %zu %d\\n", sizeof({alias[1]}), '
               f"({alias[1]})-1 < ({alias[1]})1);")


def record_numbers(sort, tag, body, alias):
    """For a struct or an enum: its size and what is in it."""
    kind = alias or sort + tag
    yield f'  printf("{kind} %zu\\n", sizeof({kind}));'
    for part in filter(None, map(str.strip, re.split("[,;]", body))):
        if sort == "enum":
            yield f'  printf("{part} %d\\n", (int){part});'
        else:
            field = re.search(r"(\w+)$", part)[1]
            yield (f'  printf("{kind}.{field} %zu %zu\\n", offsetof({kind}, '
                   f"{field}), sizeof((({kind} *)0)->{field}));")


def numbers(declarations, macros):
    yield "int main(void) {"
    for name in constants(macros):
        yield f'  printf("{name} %lld\\n", (long long)({name}));'
    for declaration in declarations:
        record = RECORD.match(declaration)
        yield from (record_numbers(*record.groups()) if record
                    else alias_number(declaration))
    yield "  return 0;\n}"


def attributes(declaration):
    return sorted(re.sub(r"\s", "", attribute)
                  for attribute in ATTRIBUTE.findall(declaration))


path, folder, prefix = sys.argv[1:]
declarations, macros = from_folder(path, folder)
objects = sorted((declaration for declaration in declarations
                  if declaration.startswith("extern ")), key=name_of)
facts = {
    "names": map(name_of, objects),
    "macros": (name + ("" if parameters is None
                       else f" {parameters.count(',') + 1}")
               for name, (parameters, _) in sorted(macros.items())),
    "attributes": (" ".join([name_of(declaration), *attributes(declaration)])
                   for declaration in objects),
    "declare": (ATTRIBUTE.sub("", declaration) + ";"
                for declaration in declarations
                if not RECORD.match(declaration)),
    "numbers": numbers(declarations, macros),
}
for what, lines in facts.items():
    with open(f"{prefix}.{what}", "w", encoding="utf-8") as output:
        print("\n".join(lines), file=output)
