//! Tables of summaries.

use comfy_table::{CellAlignment, Table, presets};

/// Returns a table without lines.
pub(crate) fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

/// Formats the first `top` rows of a list, and the number of further rows. The last two columns are numbers.
pub(super) fn ranking(
    header: [&str; 3],
    rows: impl ExactSizeIterator<Item = [String; 3]>,
    top: usize,
) -> Table {
    let more = rows.len().saturating_sub(top);
    let mut table = plain_table();
    table.set_header(header);
    table.add_rows(rows.take(top));
    if more > 0 {
        table.add_row([format!("… and {more} more")]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
