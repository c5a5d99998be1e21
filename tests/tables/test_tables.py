"""Files and frames in, checked columns out: what is read, and what is said about what cannot be.

One file, because what is read from files is compared with what is taken from frames of the same values.
"""

import datetime
import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import glmm_zoo
from glmm_zoo.errors import InputError
from glmm_zoo.formulas.grammar import parse_formula
from glmm_zoo.formulas.predictor import check_columns
from glmm_zoo.tables.columns import merge_tables, stack_tables
from glmm_zoo.tables.files import ReadOptions, read_table
from glmm_zoo.tables.frames import take_columns

CSV = "y,x,g,ok\n1.5,1,b,TRUE\n2.5,2,a,FALSE\n3.5,3,b,TRUE\n"
FRAME = pd.DataFrame({"y": [1.5, 2.5, 3.5], "x": [1, 2, 3], "g": ["b", "a", "b"], "ok": [True, False, True]})


@pytest.fixture
def write(tmp_path):
    def write(content, name="t.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def values(table):
    return {n: (c.kind, c.values.tolist(), c.levels) for n, c in table.columns.items()}


def parquet(frame):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pandas(frame), sink)
    return sink.getvalue().to_pybytes()


# ------------------------------------------------------------------------------------------------------- it is read

WHOLE = {
    "y": ("number", [1.5, 2.5, 3.5], ()),
    "x": ("number", [1, 2, 3], ()),
    "g": ("text", [1, 0, 1], ("a", "b")),
    "ok": ("logical", [True, False, True], ()),
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", CSV.encode()),
        ("t.CSV", CSV.encode()),
        ("t.tsv", CSV.replace(",", "\t").encode()),
        ("t.tab", CSV.replace(",", "\t").encode()),
        ("t.parquet", parquet(FRAME)),
    ],
)
def test_every_format_gives_the_same_table(write, name, content, zipped):
    path = write(gzip.compress(content, mtime=0), name + ".gz") if zipped else write(content, name)
    table = take_columns(read_table(path), list(WHOLE))
    assert values(table) == WHOLE
    assert table.sha256() == take_columns(FRAME, list(WHOLE)).sha256()


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (b"\xef\xbb\xbf" + CSV.encode(), {}),
        (CSV.replace("\n", "\r\n").encode(), {}),
        (CSV.replace("\n", "\r").encode(), {}),  # old Mac Excel
        (CSV.rstrip("\n").encode(), {}),
        (CSV.replace("\n", "\n\n").encode(), {}),
        (b"\n" + CSV.encode(), {}),
        (CSV.encode("utf-16"), {"encoding": "utf-16"}),
        (CSV.replace(",", ";").replace(".", ",").encode(), {"sep": ";", "decimal": ","}),
        (CSV.replace(",", "|").encode(), {"sep": "|"}),
        (b"# made by me\n" + CSV.encode() + b"# end\n", {"comment": "#"}),
        (CSV.replace(",", " , ").encode(), {"strip": True}),
        (b'"y","x","g","ok"\n"1.5","1","b","true"\n2.5,2,a,false\n3.5,"3",b,True\n', {}),
    ],
)
def test_dialects(write, content, options):
    assert values(take_columns(read_table(write(content), ReadOptions(**options)), list(WHOLE))) == WHOLE


def test_latin_1_with_the_encoding_named(write):
    table = take_columns(read_table(write("g\nfür\nà\n".encode("latin-1")), ReadOptions(encoding="latin-1")), ["g"])
    assert table["g"].levels == ("für", "à")


@pytest.mark.parametrize("first", ["", '""', "Unnamed: 0"])
def test_row_names_are_ignored_and_that_is_said(write, first):
    table = take_columns(read_table(write(f"{first},y\n1,10\n2,20\n")), ["y"])
    assert table["y"].values.tolist() == [10, 20]
    assert "row names" in table.notes[0]


@pytest.mark.parametrize(
    ("cells", "kind", "levels"),
    [
        (["007", "010"], "text", ("007", "010")),
        (["0", "10"], "number", ()),
        (["0.5", "-0.25"], "number", ()),
        (["9223372036854775807", "1"], "number", ()),
        (["99999999999999999999", "1"], "text", ("1", "99999999999999999999")),  # as an id
        (["1e3", "+5"], "number", ()),
        (["T", "F"], "text", ("F", "T")),
        (["10", "9", "b"], "text", ("10", "9", "b")),
    ],
)
def test_kinds_of_cells(write, cells, kind, levels):
    column = take_columns(read_table(write("y,v\n" + "".join(f"1,{c}\n" for c in cells))), ["v"])["v"]
    assert (column.kind, column.levels) == (kind, levels)


def test_leading_zeros_are_noted_only_where_the_column_is_used(write):
    raw = read_table(write("y,id\n1,007\n2,008\n"))
    assert "leading zeros" in take_columns(raw, ["id"]).notes[0]
    assert take_columns(raw, ["y"]).notes == ()


def test_further_missing_codes(write):
    raw = read_table(write("x\n1\n.\n-99\n"), ReadOptions(na=(".", "-99")))
    assert take_columns(raw, ["x"], "drop")["x"].values.tolist() == [1]


# -------------------------------------------------------------------------------------------------- it is not read

GZ = gzip.compress(CSV.encode() * 50, mtime=0)


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        ("", "t.csv", "t.csv is empty"),
        (" \n\n", "t.csv", "t.csv is empty"),
        (gzip.compress(b"", mtime=0), "t.csv.gz", "is empty"),
        ("y,x\n", "t.csv", "t.csv has a header but no rows"),
        ("y,x", "t.csv", "t.csv has a header but no rows"),
        ("y\nf\xfc\n".encode("latin-1"), "t.csv", r"not UTF-8 \(line 2, byte 0xfc\).*--encoding latin-1"),
        (CSV.encode("utf-16"), "t.csv", "looks like UTF-16; use --encoding utf-16"),
        (CSV.encode("utf-16-le"), "t.csv", "NUL"),
        ("y,x\n1,a\0b\n", "t.csv", r"NUL character \(line 2\)"),
        ("y;x\n1,5;2,5\n", "t.csv", "only one column found; the file seems to use ';'. Use --sep ';' --decimal ','"),
        ("y\tx\n1\t2\n", "t.csv", "only one column found.*--sep tab"),
        ("y,x\n1,2\n", "t.tsv", "only one column found.*--sep ','"),
        ("y,x\n1,2\n1,2,3\n", "t.csv", "line 3 has 3 fields, the header has 2: '1,2,3'"),
        ("y,x\n1,2\n1\n", "t.csv", "line 3 has 1 field, the header has 2"),
        ('y,x\n"1,2\n3,4\n', "t.csv", "unclosed quote starting at line 2"),
        ('y,x\n1,2\n3,"4\n5,6\n', "t.csv", "unclosed quote starting at line 3"),
        ("y,x,x\n1,2,3\n", "t.csv", "column 'x' appears twice"),
        ("y,,x\n1,2,3\n", "t.csv", "column 2 has no name"),
        ("# from SAS\ny,x\n1,2\n", "t.csv", "first line starts with '#'; use --comment '#'"),
        ("PK", "t.xlsx", "export it as CSV"),
        (b"PAR1xxxx", "t.parquet", "not a whole Parquet file"),
        (parquet(FRAME)[:-9], "t.parquet", "not a whole Parquet file"),
        (CSV, "t.csv.gz", "cannot be read"),
        (GZ[:-9], "t.csv.gz", "cannot be read"),
        (GZ[:20] + b"\xff\xff\xff\xff" + GZ[24:], "t.csv.gz", "cannot be read"),
    ],
)
def test_bad_files(write, content, name, words):
    with pytest.raises(InputError, match=words):
        read_table(write(content, name))


@pytest.mark.parametrize("options", [{"sep": ";;"}, {"encoding": "klingon"}])
def test_bad_read_options(write, options):
    with pytest.raises(InputError, match=next(iter(options))):
        read_table(write(CSV), ReadOptions(**options))


@pytest.mark.parametrize("decimal", ["", ",,"])
def test_bad_decimal_mark(write, decimal):
    """In a process of its own, with little memory: replacing the empty text by '.' never ends."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (4 << 30,) * 2)\n"
        "from glmm_zoo.tables.files import ReadOptions, read_table\nfrom glmm_zoo.errors import InputError\n"
        f"try: read_table({str(write(CSV))!r}, ReadOptions(decimal={decimal!r}))\n"
        "except InputError as err: assert 'decimal' in str(err)\nelse: raise SystemExit('accepted')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_paths(tmp_path, write):
    write(CSV, "visits.csv")
    for path, words in (
        (tmp_path, "data: .* is a folder"),
        (tmp_path / "visit.csv", "does not exist; did you mean 'visits.csv'"),
        (tmp_path / "no" / "t.csv", "does not exist"),
    ):
        with pytest.raises(InputError, match=words):
            read_table(path)


# --------------------------------------------------------------------------------------------------- what is in it


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["1", "2", "3", "."], r"column 'x' should be numeric; 1 value is not \('.', row 4\).*--na '.'"),
        (["0", "1", "0", "1", "."], r"column 'x' should be numeric; 1 value is not \('.', row 5\)"),
        (["1", "2", "3", '"1,234"', '"5,678"'], "column 'x' should be numeric; 2 values are not .*'1,234', rows 4, 5"),
        (["1", "2", "3", "5%"], r"column 'x' should be numeric; 1 value is not \('5%', row 4\)"),
        (["1%", "2%", "5%", "7%"], "column 'x' should be numeric"),
        (['"1,234"', '"2,345"', '"5,678"'], "column 'x' should be numeric"),
        (["1", "2", "99999999999999999999"], "column 'x' has values too large"),
    ],
)
def test_text_that_was_meant_as_numbers(write, cells, words):
    """D5 16, 17, 19: never taken for a factor."""
    formula = parse_formula("y ~ x")
    raw = read_table(write("y,x\n" + "".join(f"{i},{c}\n" for i, c in enumerate(cells))))
    problems: list[str] = []
    check_columns(formula, take_columns(raw, formula.columns), problems)
    with pytest.raises(InputError, match=words):
        raise InputError(*problems)


@pytest.mark.parametrize(
    "levels", [["0-9", "10-19", "20+"], ["5mg", "10mg"], ["a1", "a2", "a3"], ["01", "02"], ["I", "II"]]
)
def test_factors_with_digits_stay_factors(levels):
    formula = parse_formula("y ~ x")
    problems: list[str] = []
    check_columns(formula, take_columns(pd.DataFrame({"y": range(len(levels)), "x": levels}), ["y", "x"]), problems)
    assert not problems


@pytest.mark.parametrize("text", ["1", "007", "99999999999999999999"])
def test_text_of_digits_is_no_number(text):
    with pytest.raises(InputError, match="column 'x'"):
        take_columns(pd.DataFrame({"x": [text, "2"]}), ["x"])["x"].numbers("the formula")


def test_numbers_of_other_kinds():
    table = take_columns(
        pd.DataFrame({"ok": [True, False], "g": ["a", "b"], "d": pd.to_datetime(["2020-01-01"] * 2)}), ["ok", "g", "d"]
    )
    assert table["ok"].numbers("x").tolist() == [1.0, 0.0]
    with pytest.raises(InputError, match=r"column 'g' is text \(a, b\) and the response needs numbers"):
        table["g"].numbers("the response")
    with pytest.raises(InputError, match="column 'd' holds dates"):
        table["d"].numbers("the response")


@pytest.mark.parametrize(
    ("frame", "needed", "words"),
    [
        ({"visits": [1], "age": [2]}, ["vists"], "no column 'vists'; did you mean 'visits'"),
        ({"z": [1]}, ["zz"], "columns: z"),
        ({" y ": [1]}, ["y"], r"no column 'y'; did you mean ' y '\? \(use --strip\)"),
        ({"x": [1.0, np.inf, -np.inf]}, ["x"], r"column 'x' has 2 infinite values \(rows 2, 3\)"),
        ({"g": ["a", "b\x07"]}, ["g"], "column 'g' row 2 has a control character"),
        ({"g": ["a\n", "b"]}, ["g"], "column 'g' row 1 has a control character"),
        ({"g": ["a", "b\0"]}, ["g"], "column 'g' row 2 has a control character"),
        ({"x": [1.0, None, 3.0, None]}, ["x"], r"column 'x' has 2 missing values \(rows 2, 4\).*--missing drop"),
        ({"g": ["a", None]}, ["g"], r"column 'g' has 1 missing value \(row 2\)"),
        ({"x": []}, ["x"], "no rows"),
        ({"x": [1, "a"]}, ["x"], "mixes values of different types"),
        ({"x": [b"a", b"b"]}, ["x"], "column 'x' holds binary"),
        ({"x": [[1], [2]]}, ["x"], "column 'x' holds list"),
        ({"x": [1 + 2j]}, ["x"], "column.* 'x'|column x|complex"),
        ({"x": [2**70, 1]}, ["x"], "too large"),
        ({"x": np.array([2**63, 1], "uint64")}, ["x"], "column 'x' has values too large"),
        ({"x": pd.arrays.SparseArray([1, 0])}, ["x"], "[Ss]parse|column 'x'"),
    ],
)
def test_bad_columns(frame, needed, words):
    with pytest.raises(InputError, match=words):
        take_columns(pd.DataFrame(frame), needed)


@pytest.mark.parametrize("data", [{"x": [1]}, np.ones(3), None, "t.csv", pd.Series([1], name="x")])
def test_no_frame(data):
    with pytest.raises(InputError, match="data must be a data frame"):
        take_columns(data, ["x"])


def test_all_problems_are_told_at_once(write):
    with pytest.raises(InputError) as err:
        read_table(write("y,,x,x\n1,2,3,4\n"))
    assert len(err.value.problems) == 2
    with pytest.raises(InputError) as err:
        take_columns(pd.DataFrame({"a": [1, None], "b": [np.inf, 1], "g": ["\x01", "b"]}), ["a", "b", "g"])
    assert len(err.value.problems) == 3


@pytest.mark.parametrize("frame", [pl.DataFrame, pa.table, pd.DataFrame])
def test_nan_is_missing_in_every_frame(frame):
    data = frame({"x": [1.0, float("nan"), 3.0]})
    with pytest.raises(InputError, match=r"column 'x' has 1 missing value \(row 2\)"):
        take_columns(data, ["x"])
    assert take_columns(data, ["x"], "drop")["x"].values.tolist() == [1, 3]


def test_only_the_columns_needed_are_looked_at():
    frame = pd.DataFrame({"x": [1], "bad": [np.inf], 3: [1], "lists": [[1]]})
    assert list(take_columns(frame, ["x", "x"]).columns) == ["x"]


def test_dropping_rows():
    frame = pd.DataFrame({"x": [1, 2, None, 4], "g": ["a", None, None, "b"]}, index=[9, 9, 9, 9])
    table = take_columns(frame, ["x", "g"], "drop")
    assert (table.rows, table.dropped, table.row_numbers.tolist()) == (2, 2, [0, 3])
    assert table.notes == ("dropped 2 of 4 rows with a missing value (x 1, g 2)",)
    assert table["x"].values.tolist() == [1, 4]
    assert table.at(np.array([False, True])) == "row 4"  # of the source
    with pytest.raises(InputError, match="every row"):
        take_columns(frame.iloc[1:3], ["x", "g"], "drop")
    with pytest.raises(InputError, match="'error' or 'drop'"):
        take_columns(frame, ["x"], "impute")


# ---------------------------------------------------------------------------------------------------- any data frame

CATEGORY = pd.Categorical(FRAME.g, ["b", "a", "never"])


@pytest.mark.parametrize(
    "frame",
    [
        FRAME,
        FRAME.convert_dtypes(),
        FRAME.convert_dtypes(dtype_backend="pyarrow"),
        FRAME.astype({"x": "float32", "g": object, "ok": object}),
        FRAME.astype({"x": "int8"}).set_index(pd.Index([5, 5, 2])),
        FRAME.assign(g=CATEGORY),
        pl.from_pandas(FRAME),
        pl.from_pandas(FRAME).with_columns(pl.col("g").cast(pl.Categorical)),
        pl.from_pandas(FRAME).with_columns(pl.col("g").cast(pl.Enum(["b", "a", "never"]))),
        pa.Table.from_pandas(FRAME),
        pa.concat_tables([pa.Table.from_pandas(FRAME)[:1], pa.Table.from_pandas(FRAME)[1:]]),
        pa.Table.from_pandas(FRAME.assign(g=CATEGORY)),
        pa.Table.from_pandas(FRAME).cast(pa.schema([("y", pa.float32()), ("x", pa.int16()), ("g", pa.large_string()), ("ok", pa.bool_())])),
        pa.RecordBatch.from_pandas(FRAME),
    ],
    ids=["pandas", "nullable", "arrow-backed", "object", "int8", "Categorical", "polars", "pl.Categorical", "pl.Enum", "pyarrow", "chunked", "dictionary", "narrow", "RecordBatch"],
)  # fmt: skip
def test_every_frame_equals_the_file(write, frame):
    kept = frame.copy() if isinstance(frame, pd.DataFrame) else frame
    table, file = take_columns(frame, list(WHOLE)), take_columns(read_table(write(CSV)), list(WHOLE))
    assert table.sha256() == file.sha256()
    for name, column in table.columns.items():
        assert column.kind == file[name].kind
        codes, levels = column.codes_and_levels()
        assert [levels[i] for i in codes] == [
            file[name].codes_and_levels()[1][i] for i in file[name].codes_and_levels()[0]
        ]
    if isinstance(frame, pd.DataFrame):
        pd.testing.assert_frame_equal(frame, kept)


def test_sha256_sees_every_change():
    changed = [
        FRAME,
        FRAME.rename(columns={"x": "z"}),
        FRAME.assign(x=[1, 2, 4]),
        FRAME.assign(x=["1", "2", "3"]),
        FRAME.assign(g=["b", "b", "b"]),
        FRAME.iloc[::-1],
        FRAME.iloc[:2],
    ]
    assert len({take_columns(f, list(f.columns)).sha256() for f in changed}) == len(changed)
    assert take_columns(FRAME, ["x", "y"]).sha256() == take_columns(FRAME, ["y", "x"]).sha256()


@pytest.mark.parametrize(
    ("column", "levels", "codes"),
    [
        (["b", "a", "b"], ("a", "b"), [1, 0, 1]),
        (pd.Categorical(["b", "a", "b"], ["b", "a", "z"]), ("b", "a"), [0, 1, 0]),
        (pd.Categorical([3, 1, 10]), ("1", "3", "10"), [1, 0, 2]),
        ([10, 9, 10], ("9", "10"), [1, 0, 1]),
        ([10.0, 9.0, 10.0], ("9", "10"), [1, 0, 1]),
        ([0.5, 2.0, 0.5], ("0.5", "2.0"), [0, 1, 0]),
        ([True, False, True], ("False", "True"), [1, 0, 1]),
        (pd.Categorical([True, False, True]), ("False", "True"), [1, 0, 1]),
        (["é", "Z", "a"], ("Z", "a", "é"), [2, 0, 1]),
    ],
)  # fmt: skip
def test_levels_and_codes(column, levels, codes):
    column_codes, column_levels = take_columns(pd.DataFrame({"g": column}), ["g"])["g"].codes_and_levels()
    assert column_levels == levels
    assert column_codes.tolist() == codes


@pytest.mark.parametrize("cell", [datetime.date(2020, 1, 1), datetime.timedelta(1), pd.Timestamp(2020, 1, 1)])
def test_dates(cell):
    assert take_columns(pd.DataFrame({"d": [cell]}), ["d"])["d"].kind == "date"


def test_a_lazy_frame_works_or_is_refused_in_words():
    with pytest.raises(InputError, match=r"collect\(\)|data must be a data frame"):
        take_columns(pl.LazyFrame({"x": [1]}), ["x"])


@pytest.mark.parametrize(
    ("layers", "unwanted"),
    [
        ("tables formulas priors families plans", ["pymc", "pytensor", "jax", "arviz", "formulaic"]),
        ("tables formulas", ["pandas", "polars"]),
    ],
)
def test_reading_and_checking_import_little(layers, unwanted):
    package = Path(glmm_zoo.__file__).parent
    files = [p for layer in layers.split() for p in (*package.glob(f"{layer}.py"), *package.glob(f"{layer}/**/*.py"))]
    modules = [".".join(p.relative_to(package.parent).with_suffix("").parts) for p in files if p.stem != "__init__"]
    code = f"import sys; import {', '.join(modules)}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "glmm_zoo.tables.frames" in loaded and not set(unwanted) & set(loaded)


def test_interval_categories_are_levels():
    column = take_columns(pd.DataFrame({"x": pd.cut([1.0, 2.0, 3.0], 3)}), ["x"])["x"]
    assert column.codes_and_levels()[1] == ("(0.998, 1.667]", "(1.667, 2.333]", "(2.333, 3.0]")


# ------------------------------------------------------------------------------------------------ tables put together


def test_stacked_rows_keep_the_levels_of_the_first_table():
    first = take_columns(pd.DataFrame({"x": [1, 2], "g": ["b", "a"], "w": [0.5, 1.5]}), ["x", "g", "w"])
    second = take_columns(pd.DataFrame({"x": [3], "g": ["A"], "other": [1]}), ["x", "g", "other"])
    both = stack_tables(first, second)
    assert (both.rows, list(both.columns), both.row_numbers.tolist()) == (3, ["x", "g", "w"], [0, 1, 2])
    assert both["x"].values.tolist() == [1, 2, 3]
    assert (both["g"].levels, both["g"].text.tolist()) == (("a", "b", "A"), ["b", "a", "A"])
    assert both["w"].missing.tolist() == [False, False, True] and np.isnan(both["w"].values[2])
    with pytest.raises(InputError, match="column 'g' is number in the data frame and text in the data frame"):
        stack_tables(first, take_columns(pd.DataFrame({"g": [1]}), ["g"]))


def test_merged_tables_have_every_row_and_column():
    frame = pd.DataFrame({"x": [1, None, 3, 4], "g": ["b", "a", None, "b"], "ok": [True, False, True, None]})
    tables = [take_columns(frame, [name], "drop") for name in frame]
    whole = merge_tables(tables)
    assert whole.row_numbers.tolist() == [0, 1, 2, 3] and whole.dropped == 1
    assert {name: column.missing.tolist() for name, column in whole.columns.items()} == {
        name: frame[name].isna().tolist() for name in frame
    }
    assert whole["g"].text.tolist() == ["b", "a", "", "b"]
    assert whole["ok"].kind == "number"  # a logical has no missing value
    assert merge_tables(tables[:1])["x"].values.tolist() == [1, 3, 4]
