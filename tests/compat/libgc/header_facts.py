#!/usr/bin/env python3
"""header_facts.py WHAT FILE FOLDER -- facts about headers, for a comparison.

FILE is what `cc -E -dD` made of a source that includes headers of FOLDER; only
what comes from there counts. WHAT is
    names       the functions and variables, one a line
    macros      the macros: name, and number of parameters if it has some
    attributes  each function and variable with its attributes
    declare     C: the declarations of functions, variables and plain types
    numbers     C: a program that prints constants, sizes and offsets"""

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


def print_numbers(declarations, macros):
    print("int main(void) {")
    for name in constants(macros):
        print(f'  printf("{name} %lld\\n", (long long)({name}));')
    for declaration in declarations:
        record = RECORD.match(declaration)
        if not record:
            alias = re.match(r"typedef .*?\b(\w+)$", declaration)
            if alias:
                print(f'  printf("{alias[1]} %zu %d\\n", sizeof({alias[1]}), '
                      f'({alias[1]})-1 < ({alias[1]})1);')
            continue
        sort, tag, body, alias = record.groups()
        kind = alias or sort + tag
        print(f'  printf("{kind} %zu\\n", sizeof({kind}));')
        for part in re.split("[,;]", body):
            part = part.strip()
            if part and sort == "enum":
                print(f'  printf("{part} %d\\n", (int){part});')
            elif part:
                field = re.search(r"(\w+)$", part)[1]
                print(f'  printf("{kind}.{field} %zu %zu\\n", offsetof({kind}, '
                      f'{field}), sizeof((({kind} *)0)->{field}));')
    print("  return 0;\n}")


what, path, folder = sys.argv[1:]
declarations, macros = from_folder(path, folder)
objects = [declaration for declaration in declarations
           if declaration.startswith("extern ")]
if what == "names":
    print("\n".join(sorted(map(name_of, objects))))
elif what == "macros":
    for name, (parameters, _) in sorted(macros.items()):
        arity = "" if parameters is None else parameters.count(",") + 1
        print(name, arity)
elif what == "attributes":
    for declaration in sorted(objects, key=name_of):
        print(name_of(declaration), *sorted(
            re.sub(r"\s", "", attribute)
            for attribute in ATTRIBUTE.findall(declaration)))
elif what == "declare":
    for declaration in declarations:
        if not RECORD.match(declaration):
            print(ATTRIBUTE.sub("", declaration) + ";")
elif what == "numbers":
    print_numbers(declarations, macros)
else:
    sys.exit(__doc__)
