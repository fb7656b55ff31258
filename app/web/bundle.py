"""Many files as one, made when the server starts: sixty small ones take a browser longer to fetch than to run, and
compress worse. The sources stay plain modules and style sheets, so only the forms that they use are understood, one
statement a line or more; anything else is refused.
"""

import re
from collections.abc import Mapping
from posixpath import dirname, join, normpath, relpath

_CSS_IMPORT = re.compile(r"^@import '([^']+)';\n", re.MULTILINE)
_IMPORT = re.compile(r"^import (?:([^;'\"]+?) from )?'([^']+)';\n", re.MULTILINE)
_NAMED = re.compile(r"\{([^{}]*)\}")
_NAMESPACE = re.compile(r"\* as ([\w$]+)")
_EXPORT = re.compile(r"^export (?=(?:const|class|function|async function) ([\w$]+))", re.MULTILINE)
_LAZY = re.compile(r"\bimport\('([^']+)'\)")
_OTHER = re.compile(r"^(?:import|export)\b(?!\().*|^@import.*|\bimport\.meta\b", re.MULTILINE)


class UnbundlableError(ValueError):
    """A file says something that this does not understand."""


def style_sheet(entry: str, sources: Mapping[str, str]) -> str:
    """`entry` with what it imports in place of the imports."""
    folder = dirname(entry)
    return _plain(entry, _CSS_IMPORT.sub(lambda found: sources[_path(folder, found[1])], sources[entry]))


def module(entry: str, sources: Mapping[str, str]) -> str:
    """`entry` after all modules of its folder that it needs, each in a function of its own. What comes from other
    folders stays an import, and what is imported when it is needed is still fetched then."""
    bundle = _Bundle(entry, sources)
    bundle.add(entry)
    return "".join([*bundle.outside, *bundle.parts])


class _Bundle:
    def __init__(self, entry: str, sources: Mapping[str, str]) -> None:
        self._folder = dirname(entry)
        self._sources = sources
        self._names: dict[str, str] = {}  # of the modules that are in, or are being put in
        self.outside: dict[str, None] = {}  # import statements, each once
        self.parts: list[str] = []

    def add(self, name: str) -> str:
        if name in self._names:
            return self._names[name]
        scope = self._names[name] = f"$module{len(self._names)}"
        folder, source = dirname(name), self._sources[name]
        head = "".join(self._imported(folder, *found.groups()) for found in _IMPORT.finditer(source))
        exports = ", ".join(_EXPORT.findall(source))
        body = _EXPORT.sub("", _IMPORT.sub("", source))
        body = _LAZY.sub(lambda found: f"import('{self._from_here(_path(folder, found[1]))}')", _plain(name, body))
        self.parts.append(f"// {name}\nconst {scope} = (() => {{\n{head}{body}\nreturn {{ {exports} }};\n}})();\n")
        return scope

    def _imported(self, folder: str, names: str | None, path: str) -> str:
        target = _path(folder, path)
        if not target.startswith(f"{self._folder}/"):
            statement = f"import {names} from" if names else "import"
            self.outside[f"{statement} '{self._from_here(target)}';\n"] = None
            return ""
        scope = self.add(target)
        if names is None:
            return ""
        if found := _NAMESPACE.fullmatch(names):
            return f"const {found[1]} = {scope};\n"
        if found := _NAMED.fullmatch(names):
            return f"const {{{found[1].replace(' as ', ': ')}}} = {scope};\n"
        raise UnbundlableError(f"import {names} from '{path}'")

    def _from_here(self, path: str) -> str:
        way = relpath(path, self._folder)
        return way if way.startswith("../") else f"./{way}"


def _path(folder: str, path: str) -> str:
    return normpath(join(folder, path))


def _plain(name: str, text: str) -> str:
    if found := _OTHER.search(text):
        raise UnbundlableError(f"{name}: {found[0]}")
    return text
