"""Write one table in every format that the reader knows, by other programs than the reader.

A table is a dict: column -> (kind, values); kind is ``text``, ``number``, ``date`` or ``datetime``, and values
are str, float, datetime.date, datetime.datetime or None.
"""

import csv
import ctypes
import datetime as dt
import glob
import gzip
import io
import json
import os

import pandas as pd
import pyreadstat

EPOCH = dt.datetime(1960, 1, 1)
SAS_FORMATS = {"date": "DATE9", "datetime": "E8601DT19"}


def as_text(kind, value):
    """Write a value by hand as SDTM does: the text that every format must give."""
    if value is None:
        return ""
    return (
        repr(value).removesuffix(".0") if kind == "number" else value if kind == "text" else value.isoformat()
    )


def as_sas(kind, value):
    """Count days or seconds since 1960, as SAS keeps dates."""
    if kind == "date" and value is not None:
        return float((value - EPOCH.date()).days)
    return (value - EPOCH).total_seconds() if kind == "datetime" and value is not None else value


def texts(table):
    return {name: [as_text(kind, value) for value in values] for name, (kind, values) in table.items()}


def csv_text(table, delimiter=",", ends="\n", quoting=csv.QUOTE_MINIMAL):
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=ends, quoting=quoting)
    writer.writerow(table)
    writer.writerows(zip(*texts(table).values()))
    return stream.getvalue()


def dataset_json(table, name, typed):
    kinds = {"text": "string", "number": "float"}
    columns = []
    for column, (kind, _) in table.items():
        about = {"itemOID": f"IT.{name}.{column}", "name": column, "label": column}
        about["dataType"] = kinds.get(kind, kind) if typed else "string"
        if typed and kind in SAS_FORMATS:
            about |= {"targetDataType": "integer", "displayFormat": f"{SAS_FORMATS[kind]}."}
        columns.append(about)
    cells = [
        [as_sas(kind, value) for value in values] if typed else texts(table)[column]
        for column, (kind, values) in table.items()
    ]
    rows = [list(row) for row in zip(*cells)]
    return {"datasetJSONVersion": "1.1.0", "name": name, "records": len(rows), "columns": columns}, rows


def parquet(table, typed):
    if not typed:
        return pd.DataFrame(texts(table), dtype="string")
    frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name, (_, values) in table.items()})
    for name, (kind, _) in table.items():
        if kind == "number":
            frame[name] = frame[name].astype(float)
        if kind == "datetime":
            frame[name] = pd.to_datetime(frame[name])
    return frame


def sas_frame(table):
    columns = {name: [as_sas(kind, value) for value in values] for name, (kind, values) in table.items()}
    frame = pd.DataFrame(columns)
    for name, (kind, _) in table.items():
        frame[name] = frame[name].astype("str" if kind == "text" else float).where(frame[name].notna())
    return frame.astype({name: object for name, (kind, _) in table.items() if kind == "text"})


def xpt(table, path, version, name):
    formats = {column: SAS_FORMATS[kind] for column, (kind, _) in table.items() if kind in SAS_FORMATS}
    pyreadstat.write_xport(
        sas_frame(table), str(path), table_name=name, file_format_version=version, variable_format=formats
    )


def readstat():
    """The ReadStat library inside pyreadstat: it can write sas7bdat, although pyreadstat does not offer it."""
    library = ctypes.CDLL(
        glob.glob(os.path.join(os.path.dirname(pyreadstat.__file__), "_readstat_writer*.so"))[0]
    )
    pointer = ctypes.c_void_p
    library.readstat_writer_init.restype = library.readstat_add_variable.restype = pointer
    library.readstat_add_variable.argtypes = [pointer, ctypes.c_char_p, ctypes.c_int, ctypes.c_size_t]
    library.readstat_variable_set_format.argtypes = [pointer, ctypes.c_char_p]
    library.readstat_begin_writing_sas7bdat.argtypes = [pointer, pointer, ctypes.c_long]
    library.readstat_insert_string_value.argtypes = [pointer, pointer, ctypes.c_char_p]
    library.readstat_insert_double_value.argtypes = [pointer, pointer, ctypes.c_double]
    library.readstat_insert_missing_value.argtypes = [pointer, pointer]
    for name in ("begin_row", "end_row", "end_writing", "writer_free"):
        getattr(library, f"readstat_{name}").argtypes = [pointer]
    return library


def sas7bdat(table, path):
    library, written = readstat(), bytearray()

    @ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
    def write(data, size, _):
        written.extend(ctypes.string_at(data, size))
        return size

    writer = library.readstat_writer_init()
    writer = ctypes.c_void_p(writer)
    library.readstat_set_data_writer(writer, write)
    variables = []
    for name, (kind, values) in table.items():
        width = max([len((value or "").encode()) for value in values] + [1]) if kind == "text" else 0
        variable = library.readstat_add_variable(writer, name.encode(), 0 if kind == "text" else 5, width)
        if kind in SAS_FORMATS:
            library.readstat_variable_set_format(variable, SAS_FORMATS[kind].encode())
        variables.append((variable, kind))
    columns = [values for _, values in table.values()]
    status = library.readstat_begin_writing_sas7bdat(writer, None, len(columns[0]))
    for row in zip(*columns):
        status |= library.readstat_begin_row(writer)
        for (variable, kind), value in zip(variables, row):
            if value is None:
                status |= library.readstat_insert_missing_value(writer, variable)
            elif kind == "text":
                status |= library.readstat_insert_string_value(writer, variable, value.encode())
            else:
                status |= library.readstat_insert_double_value(writer, variable, as_sas(kind, value))
        status |= library.readstat_end_row(writer)
    assert status == 0 and library.readstat_end_writing(writer) == 0
    library.readstat_writer_free(writer)
    path.write_bytes(written)


def _write_text(encoding, **how):
    return lambda table, path, name: path.write_bytes(csv_text(table, **how).encode(encoding))


def _write_json(typed):
    def write(table, path, name):
        about, rows = dataset_json(table, name, typed)
        path.write_text(json.dumps({**about, "rows": rows}, ensure_ascii=False), encoding="utf-8")

    return write


def _write_ndjson(table, path, name):
    about, rows = dataset_json(table, name, typed=True)
    path.write_text("\n".join(map(json.dumps, [about, *rows])) + "\n")


# label -> (ending, writer)
WRITERS = {
    "csv": (".csv", _write_text("utf-8")),
    "csv, upper case": (".CSV", _write_text("utf-8")),
    "csv, byte order mark": (".csv", _write_text("utf-8-sig")),
    "csv, utf-16": (".csv", _write_text("utf-16")),
    "csv, lines of windows": (".csv", _write_text("utf-8", ends="\r\n")),
    "csv, all quoted": (".csv", _write_text("utf-8", quoting=csv.QUOTE_ALL)),
    "csv, semicolons": (".csv", _write_text("utf-8", delimiter=";")),
    "csv, tabs": (".csv", _write_text("utf-8", delimiter="\t")),
    "csv.gz": (
        ".csv.gz",
        lambda table, path, name: path.write_bytes(gzip.compress(csv_text(table).encode())),
    ),
    "xpt 5": (".xpt", lambda table, path, name: xpt(table, path, 5, name)),
    "xpt 8": (".xpt", lambda table, path, name: xpt(table, path, 8, name)),
    "sas7bdat": (".sas7bdat", lambda table, path, name: sas7bdat(table, path)),
    "parquet, text": (".parquet", lambda table, path, name: parquet(table, False).to_parquet(path)),
    "parquet, typed": (".parquet", lambda table, path, name: parquet(table, True).to_parquet(path)),
    "json, text": (".json", _write_json(typed=False)),
    "json, typed": (".json", _write_json(typed=True)),
    "ndjson": (".ndjson", _write_ndjson),
}


def write(table, folder, domain, label):
    """Write a table as `domain` in one of `WRITERS`; return the folder."""
    ending, writer = WRITERS[label]
    writer(table, folder / f"{domain.lower()}{ending}", domain)
    return folder


DM = {
    "STUDYID": ("text", ["S", "S", "S"]),
    "DOMAIN": ("text", ["DM"] * 3),
    "USUBJID": ("text", ["S-1", "S-2", "S-3"]),
    "DTHDTC": ("date", [dt.date(2020, 1, 1), None, dt.date(1959, 12, 31)]),
    "AGE": ("number", [61.0, 58.5, None]),
    "SEX": ("text", ["F", None, "M"]),
}
