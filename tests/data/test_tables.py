"""Columns of CSV and Parquet files as inputs and labels."""

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from pslgs.data.loading import open_source
from pslgs.data.samples import SampleForm
from pslgs.spec.data import DataSource
from pslgs.spec.errors import InputError
from pslgs.spec.inputs import InputType, Layout

FIELD = "spec.data.train"
INTEGERS = SampleForm(input_type=InputType.INTEGER)


@pytest.fixture
def opened(tmp_path: Path, cache: Path):
    def open_(text, *, form=None, name="a.csv", path="*.csv", encoding="utf-8", **fields):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        labels = {} if "labelColumns" in fields else {"labelColumn": "y"}
        given = {"format": "CSV", "path": str(tmp_path / path)} | labels | fields
        return open_source(DataSource.model_validate(given), FIELD, cache, form or SampleForm())

    return open_


@pytest.fixture
def table(write_parquet, cache):
    def open_(columns, form=None, **fields):
        file = write_parquet("d.parquet", columns)
        given = {"format": "Parquet", "path": str(file)} | fields
        return open_source(DataSource.model_validate(given), FIELD, cache, form or SampleForm())

    return open_


def samples(source):
    return torch.stack([source.load(index) for index in range(len(source))])


def test_columns_of_csv_are_features_in_the_order_of_the_manifest(opened):
    source = opened("b,y,a,unused\n1,0,2.5,x\n-3,1,4e1,y\n", inputColumns=["a", "b"])
    assert samples(source).tolist() == [[2.5, 1.0], [40.0, -3.0]]
    assert samples(source).dtype == torch.float32
    assert (source.labels.tolist(), source.labels.dtype) == ([0, 1], np.int64)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a;y\n1.5;0\n", id="semicolons"),
        pytest.param("a\ty\n1.5\t0\n", id="tabs"),
        pytest.param("a,y\r\n 1.5 ,0 \r\n", id="spaces and carriage returns"),
        pytest.param('"a","y"\n"1.5","0"\n', id="quotes"),
        pytest.param("\ufeffa,y\n1.5,0\n", id="byte order mark"),
        pytest.param("  a , y\n1.5, 0\n", id="spaces around names"),
        pytest.param(gzip.compress(b"a,y\n1.5,0\n"), id="compressed"),
        pytest.param('note,a,y\n"two\nlines, one value",1.5,0\n', id="lines in a value"),
    ],
)
def test_csv_files_are_read_as_spreadsheets_write_them(text, opened):
    packed = isinstance(text, bytes)
    name, path = ("a.csv.gz", "*.gz") if packed else ("a.csv", "*.csv")
    source = opened(text, name=name, path=path, inputColumns=["a"])
    assert (samples(source).tolist(), source.labels.tolist()) == ([[1.5]], [0])


def test_files_that_match_are_one_dataset_whose_labels_have_one_type(opened, tmp_path):
    (tmp_path / "0.csv").write_text("y,a\n2,1\n")
    source = opened("a,y\n3,0.5\n", inputColumns=["a"])
    assert samples(source).tolist() == [[1.0], [3.0]]
    assert source.labels.tolist() == [2.0, 0.5]


def test_several_label_columns_are_targets_of_one_sample(opened, table):
    source = opened("a,u,v\n1,0.5,2\n2,1.5,3\n", inputColumns=["a"], labelColumns=["v", "u"])
    assert (source.labels.tolist(), source.labels.dtype) == ([[2, 0.5], [3, 1.5]], np.float32)
    columns = {"a": [1.0, 2.0], "u": [0, 1], "v": [True, False]}
    source = table(columns, inputColumns=["a"], labelColumns=["u", "v"])
    assert source.labels.tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        pytest.param(
            "a,y\n1,0\n2,1\nred,0\n", "", r"a.csv', whose column 'a' holds 'red'.*\(line 4\)$", id="text"
        ),
        pytest.param(
            "a,y\n1,0\n,1\n", "", r"a.csv', whose column 'a' has 1 missing .*\(line 3\)$", id="empty"
        ),
        pytest.param("a,y\n1,0\nNA,1\n", "", r"'a' has 1 missing value \('NA'\);.*\(line 3\)$", id="NA"),
        pytest.param("a,y\n1,0\nnan,1\n", "", r"column 'a' has 1 missing .*\(line 3\)$", id="nan"),
        pytest.param(
            "a,y\n1,0\n2,\n", "", r"'y' has 1 missing value; leave those rows out \(line 3\)$", id="no label"
        ),
        pytest.param("a,y\n1,0\n2,nan\n", "", r"'y' has 1 missing value .*\(line 3\)$", id="nan as label"),
        pytest.param(
            'a,note,y\n1,"two\nlines",0\n\n,x,1\n',
            "",
            r"has 1 missing .*\(line 5\)$",
            id="value of two lines",
        ),
        pytest.param(f"a,note,y\n,{'x' * 200_000},1\n", "", r"\(row 0, counted from 0\)$", id="long value"),
        pytest.param("a;y\n1,5;0\n", "", "holds '1,5'.*decimal point", id="decimal comma"),
        pytest.param('a,y\n"1,500",0\n', "", "holds '1,500'.*between thousands", id="thousands"),
        pytest.param("a,y\n15%,0\n", "", "holds '15%'.*decimal point", id="percentage"),
        pytest.param(
            "a,a,y\n1,2,0\n", ".inputColumns", "has 2 columns of this name", id="columns of one name"
        ),
        pytest.param("a,y,y\n1,2,0\n", ".labelColumn", "has 2 columns of this name", id="labels of one name"),
        pytest.param("b,y\n1,0\n", ".inputColumns", "names 'a', but .* has the columns b, y", id="no column"),
        pytest.param("a,b\n1,0\n", ".labelColumn", "is 'y', but .* has the columns a, b", id="no labels"),
        pytest.param("a,y\n1,0\n1,0,3\n", "", "a.csv', which is not a valid CSV file", id="one value more"),
        pytest.param(b"a,y\n\xff,0\n", "", "a.csv', .*save it with this encoding", id="not UTF-8"),
        pytest.param("a,y\n1,0\n".encode("utf-16"), "", "save it with this encoding", id="UTF-16"),
        pytest.param(b"a,y\n1,b\xf6se\n", "", "save it with this encoding", id="Latin-1 labels"),
        pytest.param("a,y\n", "", "holds no samples", id="no rows"),
    ],
)
def test_a_value_that_is_no_number_is_named_by_file_row_and_column(text, path, words, opened):
    with pytest.raises(InputError, match=words) as caught:
        opened(text, inputColumns=["a"])
    assert [each.path for each in caught.value.violations] == [FIELD + path]


def test_all_kinds_of_unusable_values_of_a_file_are_told_with_their_numbers(opened):
    with pytest.raises(InputError) as caught:
        opened('a,b,y\n1,NA,0\nred,2,\nblue,,1\n4,"0,5",1\n', inputColumns=["a", "b"])
    told = [each.problem.partition("whose ")[2] for each in caught.value.violations]
    assert [(each.partition(";")[0], each.rpartition(" (")[2]) for each in told] == [
        ("column 'a' holds 'red', which is not a number, and 1 more such value", "line 3)"),
        ("column 'b' has 2 missing values ('NA')", "line 2)"),
        ("column 'b' holds '0,5', which is not a number", "line 5)"),
        ("column 'y' has 1 missing value", "line 3)"),
    ]
    assert "fill them in before" in told[1]


def test_a_class_may_have_the_name_of_a_missing_value_where_it_is_declared(opened):
    text = "a,y\n1,none\n2,scratch\n"
    with pytest.raises(
        InputError, match=r"1 missing value \('none'\); .*add their name to spec\.data\.classes"
    ):
        opened(text, inputColumns=["a"])
    assert opened(text, inputColumns=["a"], classes=["none", "scratch"]).class_names == ("none", "scratch")


@pytest.mark.parametrize(
    "labels", [{"labelColumn": "b"}, {"labelColumns": ["b", "c"]}], ids=["one", "several"]
)
def test_a_label_among_the_inputs_is_refused(labels, opened):
    with pytest.raises(InputError, match="'b', which is a label") as caught:
        opened("a,b,c\n1,0,1\n", inputColumns=["a", "b"], **labels)
    assert [each.path for each in caught.value.violations] == [FIELD + ".inputColumns"]


def test_an_autoencoder_has_its_inputs_as_labels(opened):
    source = opened("a,b\n1,0\n", inputColumns=["a", "b"], labelColumns=["a", "b"])
    assert samples(source).tolist() == source.labels.tolist() == [[1.0, 0.0]]


def test_numbers_of_categories_are_integers_by_declaration(opened):
    source = opened("a,b,y\n3,1,0\n", form=INTEGERS, inputColumns=["a", "b"])
    assert (samples(source).tolist(), samples(source).dtype) == ([[3, 1]], torch.int64)
    with pytest.raises(InputError, match=r"column 'a' holds '3.5', which is not an integer"):
        opened("a,b,y\n3.5,1,0\n", form=INTEGERS, inputColumns=["a", "b"])


def test_columns_of_parquet_are_features_of_any_type_of_number_and_are_not_scaled(table):
    columns = {
        "i": pa.array([200, 1], pa.uint8()),
        "f": [0.5, 1.5],
        "b": [True, False],
        "d": pa.array(["1.25", "2.50"]).cast(pa.decimal128(5, 2)),
        "label": [0, 1],
    }
    source = table(columns, inputColumns=["f", "i", "b", "d"])
    assert samples(source).tolist() == [[0.5, 200, 1, 1.25], [1.5, 1, 0, 2.5]]


def test_columns_of_lists_are_the_channels_of_a_series(table):
    columns = {"x": [[1.0, 2.0, 3.0]], "y": [[4.0, 5.0, 6.0]], "label": [0]}
    assert samples(table(columns, inputColumns=["y", "x"])).tolist() == [[[4, 5, 6], [1, 2, 3]]]


def test_a_column_of_another_length_than_the_others_is_refused(table):
    columns = {"x": [[1.0, 2.0]], "y": [[4.0]], "label": [0]}
    with pytest.raises(InputError, match=r"'y' holds samples of the shape \[1\], but 'x' of \[2\]"):
        table(columns, inputColumns=["x", "y"])


NESTED = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def tensors():
    kind = pa.fixed_shape_tensor(pa.float32(), (3, 4))
    return pa.ExtensionArray.from_storage(kind, pa.array(NESTED.reshape(2, 12).tolist(), kind.storage_type))


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(NESTED.tolist, id="lists of lists"),
        pytest.param(
            lambda: pa.array(NESTED.tolist(), pa.list_(pa.list_(pa.float32(), 4), 3)), id="fixed-size lists"
        ),
        pytest.param(tensors, id="tensors"),
    ],
)
@pytest.mark.parametrize(
    ("layout", "shape"), [(None, (3, 4)), ("CT", (3, 4)), ("TC", (4, 3)), ("Flat", (12,)), ("CHW", (1, 3, 4))]
)
def test_nested_lists_give_the_shape_of_a_sample(column, layout, shape, table):
    form = SampleForm(layout and Layout(layout))
    source = table({"img": column(), "label": [0, 1]}, form)
    expected = NESTED.transpose(0, 2, 1) if layout == "TC" else NESTED.reshape(2, *shape)
    assert np.array_equal(samples(source), expected)


def test_a_list_becomes_a_series_of_one_channel_by_declaration(table):
    column = pa.array(np.ones((2, 1024)).tolist(), pa.list_(pa.float32(), 1024))
    assert table({"img": column, "label": [0, 1]}).load(0).shape == (1024,)
    assert table({"img": column, "label": [0, 1]}, SampleForm(Layout.CT)).load(0).shape == (1, 1024)


def test_lists_of_bytes_are_scaled_as_arrays_of_bytes_are(table):
    image = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3)
    column = pa.array([image.tolist()], pa.list_(pa.list_(pa.list_(pa.uint8()))))
    sample = table({"img": column, "label": [0]}).load(0)
    assert sample.dtype == torch.uint8
    assert np.array_equal(sample, image.transpose(2, 0, 1))
    wide = pa.array([[65535, 0]], pa.list_(pa.uint16()))
    assert table({"img": wide, "label": [0]}).load(0).tolist() == [1, 0]


def test_tokens_of_different_lengths_are_integers_of_the_declared_length(table):
    form = SampleForm(input_type=InputType.INTEGER, length=3)
    column = pa.array([[7, 8], [], [1, 2, 3, 4]], pa.list_(pa.int32()))
    source = table({"img": column, "label": [0, 1, 0]}, form)
    assert samples(source).tolist() == [[7, 8, 0], [0, 0, 0], [1, 2, 3]]
    assert samples(source).dtype == torch.int64


@pytest.mark.parametrize(
    ("column", "form", "words"),
    [
        pytest.param(
            [[1.0], [1.0, 2.0]], None, r"different lengths.*spec.data.length \(row 1\b", id="ragged"
        ),
        pytest.param(
            [[[1.0]], [[None]]], None, r"lists with missing values.* \(row 1\b", id="missing in nested lists"
        ),
        pytest.param(
            [[1.0], [2.0]], INTEGERS, "holds double, but spec.data.inputType is Integer", id="floats"
        ),
        pytest.param([1.0, 2.0], None, "has type double; it must hold", id="single numbers"),
        pytest.param([["a"], ["b"]], None, r"holds text \('a'\).* Embedding", id="words"),
    ],
)
def test_lists_that_are_no_samples_are_refused_with_their_row(column, form, words, table):
    with pytest.raises(InputError, match=words):
        table({"img": column, "label": [0, 1]}, form)


def test_missing_and_categorical_values_of_parquet_are_named_by_row_and_column(table):
    with pytest.raises(InputError, match=r"d.parquet', whose column 'a' has missing values.*row 7\b"):
        table({"a": [*range(7), None], "label": [0] * 8}, inputColumns=["a"])
    colours = pa.array(["red", "blue"]).dictionary_encode()
    with pytest.raises(InputError, match=r"column 'a' holds text \('red'\).*a column of 0 and 1 for each"):
        table({"a": colours, "label": [0, 1]}, inputColumns=["a"])


def test_a_conversion_is_made_anew_for_another_declaration(table):
    columns = {"img": pa.array([[7, 8]], pa.list_(pa.int64())), "label": [0]}
    assert table(columns).load(0).dtype == torch.float32
    assert table(columns, INTEGERS).load(0).dtype == torch.int64
    assert table(columns, SampleForm(length=1)).load(0).tolist() == [7]
