use super::{
    columns::{Column, Type},
    events::EventRows,
    tables::{CONNECTIONS, LEDGER, PROCESSES},
};

/// Returns the rows of a table's columns in docs/EXPORT.md.
fn documented(columns: &[Column]) -> String {
    let row = |column: &Column| {
        let ty = match column.ty {
            Type::Int => "integer",
            Type::Bool => "boolean",
            Type::Text => "text",
            Type::Time => "time",
            Type::Map => "map",
        };
        format!("| `{}` | {ty} | {} |\n", column.name, column.about)
    };
    columns.iter().map(row).collect()
}

#[test]
fn the_columns_are_documented() {
    let page = include_str!("../../docs/EXPORT.md");
    for columns in [EventRows::columns(), PROCESSES.to_vec(), CONNECTIONS.to_vec(), LEDGER.to_vec()] {
        let rows = documented(&columns);
        assert!(
            page.contains(&format!("| --- | --- | --- |\n{rows}\n")),
            "docs/EXPORT.md lacks these rows:\n{rows}"
        );
    }
}

#[test]
fn the_fields_of_columns_exist() {
    assert!(EventRows::new().is_ok());
}
