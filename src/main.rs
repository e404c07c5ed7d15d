//! The command `scapd`.
fn main() {}
