"""Which edits of a user's code count, and which do not, over many shapes of code."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.ml.code.code_graph import used_code
from mlcicd_assets.ml.fingerprint import FingerprintError

ONE_FILE = '''
"""Contract and features in one file."""
import polars as pl
import pandera.polars as pa

LIMIT = 5
UNUSED = 6
NAMES = ["a"]


class Contract(pa.DataFrameModel):
    a: int = pa.Field(ge=0, isin=NAMES)


def helper(value):
    """Doc."""
    return value * LIMIT  # five


def features(frame: "pl.LazyFrame"):
    return helper(frame), NAMES


def other():
    return UNUSED
'''


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def code(folder: Path, reference: str = "features.py:features") -> dict[str, str]:
    file, name = reference.split(":")
    return used_code([(folder / file, name)])


def changes(folder: Path, file: str, old: str, new: str) -> bool:
    """Whether an edit changes what `features` is made of."""
    before = code(folder)
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    return code(folder) != before


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ("return helper(frame)", "return helper(helper(frame))", True),
        ("value * LIMIT", "value + LIMIT", True),
        ("LIMIT = 5", "LIMIT = 7", True),
        ('NAMES = ["a"]', 'NAMES = ["b"]', True),
        ("import polars as pl", "import polars_fork as pl", True),
        ("UNUSED = 6", "UNUSED = 7", False),
        ("return UNUSED", "return 3", False),
        ("pa.Field(ge=0", "pa.Field(ge=1", False),
        ("# five", "# six", False),
        ('"""Doc."""', '"""Another."""', False),
        ("value * LIMIT", "(\n        value\n        * LIMIT)", False),
        ("def other", "def another", False),
        ('"""Contract and', '"""Contracts and', False),
    ],
)
def test_only_what_the_function_uses_counts(tmp_path: Path, old: str, new: str, counts: bool) -> None:
    write(tmp_path, {"features.py": ONE_FILE})

    assert changes(tmp_path, "features.py", old, new) is counts


def test_parts_are_named_by_file_and_definition(tmp_path: Path) -> None:
    folder = write(tmp_path / "sales", {"features.py": ONE_FILE})

    assert set(code(folder)) == {
        f"sales/features.py:{name}" for name in ("features", "helper", "LIMIT", "NAMES", "pl")
    }


# What features.py says before and within the function, an edit anywhere, and whether it counts.
SHAPES = {
    "decorator": ("def twice(f): return f\n", "@twice\ndef features(x): return x", "return f", True),
    "decorator with a constant": (
        "K = 1\ndef by(k): return lambda f: f\n",
        "@by(K)\ndef features(x): return x",
        "K = 1",
        True,
    ),
    "default": ("K = 1\n", "def features(x, k=K): return x", "K = 1", True),
    "annotation": ("class T: size = 1\n", "def features(x: T): return x", "size = 1", True),
    "quoted annotation": ("class T: size = 1\n", "def features(x: 'list[T]'): return x", "size = 1", True),
    "base class": (
        "class A: size = 1\nclass B(A): pass\n",
        "def features(x): return B()",
        "size = 1",
        True,
    ),
    "subclass that registers itself": (
        "class A: pass\nclass B(A): size = 1\n",
        "def features(x): return A.__subclasses__()",
        "size = 1",
        True,
    ),
    "list filled later": ("L = []\nL.append(1)\n", "def features(x): return L", "append(1)", True),
    "list filled in a loop": (
        "L = []\nfor i in range(3):\n    L.append(i)\n",
        "def features(x): return L",
        "range(3)",
        True,
    ),
    "item assigned": ("D = {}\nD['a'] = 1\n", "def features(x): return D", "= 1", True),
    "item of another dict": ("D = {}\nE = {}\nE['a'] = 1\n", "def features(x): return D", "= 1", False),
    "attribute assigned": ("class C: pass\nC.a = 1\n", "def features(x): return C.a", "a = 1", True),
    "augmented": ("N = 0\nN += 1\n", "def features(x): return N", "+= 1", True),
    "deleted": ("D = {1: 2}\ndel D[1]\n", "def features(x): return D", "del D[1]", True),
    "filled by its own function": (
        "L = []\ndef fill(l):\n    l.append(1)\nDONE = fill(L)\n",
        "def features(x): return L",
        "append(1)",
        True,
    ),
    "global": (
        "S = 0\ndef setup():\n    global S\n    S = 1\nsetup()\n",
        "def features(x): return S",
        "    S = 1",
        True,
    ),
    "registry by decorator": (
        "R = []\ndef reg(f):\n    R.append(f)\n    return f\n@reg\ndef one(x): return 1\n",
        "def features(x): return [r(x) for r in R]",
        "return 1",
        True,
    ),
    "registry by a method": (
        "import lib\nR = lib.Registry()\n@R.add\ndef one(x): return 1\n",
        "def features(x): return R.all(x)",
        "return 1",
        True,
    ),
    "conditional": (
        "import sys\nif sys.platform == 'x':\n    K = 1\nelse:\n    K = 2\n",
        "def features(x): return K",
        "K = 2",
        True,
    ),
    "fallback import": (
        "try:\n    import fast\nexcept ImportError:\n    fast = 1\n",
        "def features(x): return fast",
        "fast = 1",
        True,
    ),
    "unused conditional": (
        "if True:\n    K = 1\n",
        "def features(x): return x",
        "K = 1",
        False,
    ),
    "a call that only acts": ("import lib\nlib.configure(1)\n", "def features(x): return x", "(1)", True),
    "an option that is set": ("import lib\nlib.option = 1\n", "def features(x): return x", "= 1", True),
    "main": (
        "def features(x): return x\n",
        "if __name__ == '__main__':\n    print(1)",
        "print(1)",
        False,
    ),
    "lambda": ("def h(x): return 1\nf = lambda x: h(x)\n", "def features(x): return f(x)", "return 1", True),
    "assigned function": ("def h(x): return 1\n", "features = h", "return 1", True),
    "partial": (
        "from functools import partial\ndef h(k, x): return 1\n",
        "features = partial(h, 2)",
        "return 1",
        True,
    ),
    "comprehension": ("K = 1\n", "def features(x): return [K for _ in x]", "K = 1", True),
    "tuple": ("A, B = 1, 2\n", "def features(x): return B", "1, 2", True),
    "walrus": ("if (K := 1): pass\n", "def features(x): return K", "K := 1", True),
    "recursion": (
        "def even(n): return odd(n - 1)\ndef odd(n): return even(n - 1)\n",
        "def features(x): return even(x)",
        "even(n - 1)",
        True,
    ),
    "by a literal name": ("def h(x): return 1\n", "def features(x): return globals()['h'](x)", "1", True),
    "by a made name": ("def h(x): return 1\n", "def features(x): return globals()['h' + x]()", "1", True),
    "eval": ("def h(x): return 1\n", "def features(x): return eval(x)", "return 1", True),
    "nested function": ("K = 1\n", "def features(x):\n    def g(): return K\n    return g()", "K = 1", True),
    "async": ("K = 1\n", "async def features(x): return K", "K = 1", True),
    "match": ("K = 1\n", "def features(x):\n    match x:\n        case 1: return K", "K = 1", True),
    "f-string": ("K = 1\n", "def features(x): return f'{K}'", "K = 1", True),
    "with": (
        "import lib\nwith lib.open() as f:\n    K = f.read(1)\n",
        "def features(x): return K",
        "read(1)",
        True,
    ),
    "an unused class body": (
        "import lib\nclass C:\n    a = lib.f(1)\n",
        "def features(x): return lib",
        "f(1)",
        False,
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_of_one_file(tmp_path: Path, shape: str) -> None:
    before, function, edited, counts = SHAPES[shape]
    write(tmp_path, {"features.py": before + function + "\n"})
    changed = re.sub(r"(\d|f$|D$)", lambda found: {"f": "g", "D": "E"}.get(found[0], "9"), edited)
    if changed == edited:
        changed = edited + " + 9" if "del" not in edited else "del D[2]"

    assert changes(tmp_path, "features.py", edited, changed) is counts


IMPORTS = {
    "from a file": ("from shared import h", "h(x)"),
    "from a file, renamed": ("from shared import h as g", "g(x)"),
    "a file": ("import shared", "shared.h(x)"),
    "a file, renamed": ("import shared as s", "s.h(x)"),
    "relative": ("from .shared import h", "h(x)"),
    "relative module": ("from . import shared", "shared.h(x)"),
    "star": ("from shared import *", "h(x)"),
    "within the function": ("", "__import_h__"),
    "a module passed around": ("import shared", "run(shared)"),
    "by the package": ("from project.sales.shared import h", "h(x)"),
    "by the package, module": ("from project.sales import shared", "shared.h(x)"),
    "by the whole path": ("import project.sales.shared", "project.sales.shared.h(x)"),
    "by what the package offers": ("from project.sales import offered", "offered(x)"),
}


@pytest.mark.parametrize("way", IMPORTS)
@pytest.mark.parametrize("edited", ["return 1", "K = 2"])
def test_a_helper_in_another_file_counts_however_it_is_imported(
    tmp_path: Path, way: str, edited: str
) -> None:
    statement, use = IMPORTS[way]
    body = f"    return {use}" if use != "__import_h__" else "    from shared import h\n    return h(x)"
    folder = write(
        tmp_path / "project" / "sales",
        {
            "__init__.py": "from project.sales.shared import h as offered\n",
            "../__init__.py": "",
            "shared.py": "K = 2\ndef h(x):\n    return 1 + K\ndef unused(x): return 5\n",
            "features.py": f"{statement}\ndef features(x):\n{body}\n",
        },
    )

    assert changes(folder, "shared.py", edited, edited.replace("1", "9").replace("2", "9"))


@pytest.mark.parametrize("way", [way for way in IMPORTS if way != "a module passed around"])
def test_what_another_file_offers_besides_does_not_count(tmp_path: Path, way: str) -> None:
    statement, use = IMPORTS[way]
    body = f"    return {use}" if use != "__import_h__" else "    from shared import h\n    return h(x)"
    folder = write(
        tmp_path / "project" / "sales",
        {
            "__init__.py": "from project.sales.shared import h as offered\n",
            "../__init__.py": "",
            "shared.py": "K = 2\ndef h(x):\n    return 1 + K\ndef unused(x): return 5\n",
            "features.py": f"{statement}\ndef features(x):\n{body}\n",
        },
    )

    assert not changes(folder, "shared.py", "return 5", "return 6")


def test_what_a_file_does_on_import_counts(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "shared.py": "import lib\nlib.configure(1)\ndef h(x): return x\n",
            "features.py": "from shared import h\ndef features(x): return h(x)\n",
        },
    )

    assert changes(tmp_path, "shared.py", "configure(1)", "configure(2)")


def test_files_that_import_each_other_are_followed_once(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "a.py": "from b import g\ndef f(x): return g(x)\n",
            "b.py": "from a import f\ndef g(x): return f(x) + 1\n",
            "features.py": "from a import f\ndef features(x): return f(x)\n",
        },
    )

    assert changes(tmp_path, "b.py", "+ 1", "+ 2")


def test_a_table_that_the_code_reads_by_its_name_counts(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "codes.csv": "a,1\n",
            "features.py": "from pathlib import Path\n"
            "def features(x): return Path(__file__).with_name('codes.csv').read_text()\n",
        },
    )

    assert changes(tmp_path, "codes.csv", "1", "2")


def test_a_name_that_is_not_there_counts_the_whole_file(tmp_path: Path) -> None:
    write(tmp_path, {"features.py": "def __getattr__(name): return 1\nx = 2\n"})

    assert changes(tmp_path, "features.py", "return 1", "return 2")
    write(tmp_path, {"features.py": "x = 2\n"})
    assert changes(tmp_path, "features.py", "x = 2", "x = 3")


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"features.py": "x = 1\ndef f(:\n"}, r"features\.py, line 2: syntax error"),
        ({}, r"features\.py: cannot be read"),
        ({"features.py": "import shared\nfeatures = shared.h\n", "shared.py": "("}, r"shared\.py, line 1"),
    ],
)
def test_code_that_cannot_be_read_is_named(tmp_path: Path, files: dict[str, str], told: str) -> None:
    write(tmp_path, files)

    with pytest.raises(FingerprintError, match=told):
        code(tmp_path)


@given(
    calls=st.lists(st.sets(st.integers(0, 7), max_size=3), min_size=8, max_size=8),
    edited=st.integers(0, 7),
)
def test_a_function_counts_exactly_when_it_is_reached(
    tmp_path_factory: pytest.TempPathFactory, calls: list[set[int]], edited: int
) -> None:
    # given eight functions in two files, calling each other at random; features calls the first
    folder = tmp_path_factory.mktemp("project")
    texts = {"features.py": "import other\ndef features(x): return f0(x)\n", "other.py": "import features\n"}
    for number, called in enumerate(calls):
        file = "features.py" if number % 2 == 0 else "other.py"
        names = [
            f"f{n}(x)" if n % 2 == number % 2 else f"{'other' if n % 2 else 'features'}.f{n}(x)"
            for n in sorted(called)
        ]
        texts[file] += f"def f{number}(x): return [{number}, {', '.join(names)}]\n"
    write(folder, texts)
    reached, ahead = set(), {0}
    while ahead:
        reached |= ahead
        ahead = set().union(*(calls[number] for number in ahead)) - reached

    file = "features.py" if edited % 2 == 0 else "other.py"

    assert changes(folder, file, f"return [{edited},", f"return [{edited} + 9,") is (edited in reached)
