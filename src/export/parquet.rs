//! A table as files of Parquet.
//!
//! Rows are collected column by column, up to so many bytes, and written as a row group then: what is in memory does not
//! grow with the table.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parquet::{
    basic::Compression,
    data_type::{BoolType, ByteArray, ByteArrayType, Int64Type},
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::{parser::parse_message_type, types::TypePtr},
};

use super::columns::{Cells, Column, Type};

/// A row group ends when its cells take so many bytes, or when it has so many rows.
const GROUP_BYTES: usize = 32 << 20;
const GROUP_ROWS: usize = 1 << 20;

/// A table in a folder of its own, with a file for each partition, or several if a partition comes back later.
pub(super) struct Table {
    folder: PathBuf,
    schema: TypePtr,
    properties: Arc<WriterProperties>,
    rows: Rows,
    part: Option<Part>,
}

struct Part {
    partition: String,
    writer: SerializedFileWriter<File>,
}

impl Table {
    /// Makes a table with these columns, in the folder of that name.
    pub fn new(root: &Path, name: &str, columns: &[Column]) -> io::Result<Table> {
        let schema = parse_message_type(&schema(name, columns)).map_err(failed)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("scapd version ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        Ok(Table {
            folder: root.join(name),
            schema: Arc::new(schema),
            properties: Arc::new(properties),
            rows: Rows::new(columns),
            part: None,
        })
    }

    /// Returns what takes the cells of the next row, of this partition: `host=a/date=2026-11-28`. [`end_row`](Table::end_row)
    /// ends it.
    pub fn row(&mut self, partition: &str) -> io::Result<&mut Rows> {
        if self.part.as_ref().is_none_or(|part| part.partition != partition) {
            self.close()?;
            let folder = self.folder.join(partition);
            fs::create_dir_all(&folder)?;
            let file = create(&folder)?;
            let writer = SerializedFileWriter::new(file, self.schema.clone(), self.properties.clone());
            let writer = writer.map_err(failed)?;
            self.part = Some(Part { partition: partition.to_owned(), writer });
        }
        Ok(&mut self.rows)
    }

    /// Ends a row.
    pub fn end_row(&mut self) -> io::Result<()> {
        self.rows.next = 0;
        self.rows.count += 1;
        if self.rows.bytes() >= GROUP_BYTES || self.rows.count >= GROUP_ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(part) = self.part.as_mut().filter(|_| self.rows.count > 0) else { return Ok(()) };
        self.rows.write(&mut part.writer).map_err(failed)
    }

    /// Ends the table. If it has no rows, it gets a file of this partition.
    pub fn finish(&mut self, partition: &str) -> io::Result<()> {
        if !self.folder.exists() {
            self.row(partition)?;
        }
        self.close()
    }

    /// Ends the file, if there is one.
    fn close(&mut self) -> io::Result<()> {
        self.flush()?;
        let Some(part) = self.part.take() else { return Ok(()) };
        part.writer.into_inner().map_err(failed)?.sync_all()
    }
}

/// Creates the next file of a partition.
fn create(folder: &Path) -> io::Result<File> {
    let mut number = 0;
    loop {
        match File::create_new(folder.join(format!("part-{number}.parquet"))) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => number += 1,
            made => return made,
        }
    }
}

/// Returns the error of the file, if it is one.
fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(cause) => *cause,
            Err(cause) => io::Error::other(cause),
        },
        other => io::Error::other(other),
    }
}

/// Returns the schema of a table, as Parquet's parser takes it.
fn schema(name: &str, columns: &[Column]) -> String {
    let column = |column: &Column| {
        let name = column.name;
        match column.ty {
            Type::Int => format!("optional int64 {name};"),
            Type::Bool => format!("optional boolean {name};"),
            Type::Text => format!("optional binary {name} (STRING);"),
            Type::Time => format!("optional int64 {name} (TIMESTAMP(NANOS,true));"),
            Type::Map => format!(
                "required group {name} (MAP) {{ repeated group key_value {{ required binary key (STRING); \
                 required binary value (STRING); }} }}"
            ),
        }
    };
    format!("message {name} {{ {} }}", columns.iter().map(column).collect::<String>())
}

/// The rows of a row group, by columns.
pub(super) struct Rows {
    columns: Vec<Cell>,
    /// The column of the next cell.
    next: usize,
    count: usize,
    bytes: usize,
}

/// The cells of a column.
enum Cell {
    Int { values: Vec<i64>, levels: Vec<i16> },
    Bool { values: Vec<bool>, levels: Vec<i16> },
    Text { texts: Texts, levels: Vec<i16> },
    Map { names: Texts, values: Texts, levels: Vec<i16>, repeats: Vec<i16>, has_entries: bool },
}

impl Cell {
    fn new(ty: Type) -> Cell {
        match ty {
            Type::Int | Type::Time => Cell::Int { values: Vec::new(), levels: Vec::new() },
            Type::Bool => Cell::Bool { values: Vec::new(), levels: Vec::new() },
            Type::Text => Cell::Text { texts: Texts::default(), levels: Vec::new() },
            Type::Map => Cell::Map {
                names: Texts::default(),
                values: Texts::default(),
                levels: Vec::new(),
                repeats: Vec::new(),
                has_entries: false,
            },
        }
    }
}

/// Texts, one behind the other.
#[derive(Default)]
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    fn push(&mut self, text: &str) -> usize {
        self.bytes.extend_from_slice(text.as_bytes());
        self.ends.push(self.bytes.len());
        text.len() + size_of::<usize>()
    }

    /// Returns all texts, which share one memory, and forgets them.
    fn take(&mut self) -> Vec<ByteArray> {
        let all = ByteArray::from(std::mem::take(&mut self.bytes));
        let mut start = 0;
        let text = |end: usize| {
            let start = std::mem::replace(&mut start, end);
            all.slice(start, end - start)
        };
        self.ends.drain(..).map(text).collect()
    }
}

impl Rows {
    fn new(columns: &[Column]) -> Rows {
        let columns = columns.iter().map(|column| Cell::new(column.ty)).collect();
        Rows { columns, next: 0, count: 0, bytes: 0 }
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn cell(&mut self) -> Option<&mut Cell> {
        self.next += 1;
        self.bytes += size_of::<i64>() + size_of::<i16>();
        self.columns.get_mut(self.next - 1)
    }

    /// Writes the rows as a row group, and forgets them.
    fn write(&mut self, file: &mut SerializedFileWriter<File>) -> Result<(), ParquetError> {
        let mut group = file.next_row_group()?;
        for cell in &mut self.columns {
            match cell {
                Cell::Int { values, levels } => {
                    if let Some(mut column) = group.next_column()? {
                        column.typed::<Int64Type>().write_batch(values, Some(levels), None)?;
                        column.close()?;
                    }
                    values.clear();
                    levels.clear();
                }
                Cell::Bool { values, levels } => {
                    if let Some(mut column) = group.next_column()? {
                        column.typed::<BoolType>().write_batch(values, Some(levels), None)?;
                        column.close()?;
                    }
                    values.clear();
                    levels.clear();
                }
                Cell::Text { texts, levels } => {
                    if let Some(column) = group.next_column()? {
                        write_texts(column, texts, levels, None)?;
                    }
                    levels.clear();
                }
                Cell::Map { names, values, levels, repeats, .. } => {
                    for texts in [names, values] {
                        if let Some(column) = group.next_column()? {
                            write_texts(column, texts, levels, Some(repeats))?;
                        }
                    }
                    levels.clear();
                    repeats.clear();
                }
            }
        }
        (self.count, self.bytes) = (0, 0);
        group.close().map(drop)
    }
}

fn write_texts(
    mut column: SerializedColumnWriter<'_>,
    texts: &mut Texts,
    levels: &[i16],
    repeats: Option<&[i16]>,
) -> Result<(), ParquetError> {
    column.typed::<ByteArrayType>().write_batch(&texts.take(), Some(levels), repeats)?;
    column.close()
}

impl Cells for Rows {
    fn int(&mut self, value: Option<i64>) {
        if let Some(Cell::Int { values, levels }) = self.cell() {
            values.extend(value);
            levels.push(value.is_some().into());
        }
    }

    fn bool(&mut self, value: Option<bool>) {
        if let Some(Cell::Bool { values, levels }) = self.cell() {
            values.extend(value);
            levels.push(value.is_some().into());
        }
    }

    fn text(&mut self, value: Option<&str>) {
        let mut bytes = 0;
        if let Some(Cell::Text { texts, levels }) = self.cell() {
            bytes = value.map_or(0, |text| texts.push(text));
            levels.push(value.is_some().into());
        }
        self.bytes += bytes;
    }

    fn time(&mut self, ns: Option<u64>) {
        self.int(ns.and_then(|ns| i64::try_from(ns).ok()));
    }

    fn entry(&mut self, name: &str, value: &str) {
        if let Some(Cell::Map { names, values, levels, repeats, has_entries }) =
            self.columns.get_mut(self.next)
        {
            self.bytes += names.push(name) + values.push(value) + 2 * size_of::<i16>();
            levels.push(1);
            repeats.push(std::mem::replace(has_entries, true).into());
        }
    }

    fn end_map(&mut self) {
        if let Some(Cell::Map { levels, repeats, has_entries, .. }) = self.cell()
            && !std::mem::take(has_entries)
        {
            levels.push(0);
            repeats.push(0);
        }
    }
}
