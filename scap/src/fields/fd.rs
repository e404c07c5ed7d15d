//! Fields of the descriptor that the event refers to.

use super::row::Row;

pub(super) const ROWS: &[Row] = &[];
