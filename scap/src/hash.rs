//! Tables for numbers that a capture gives. The standard library's hash costs more than the rest of what is done with
//! most events. This one differs in each process, so a capture cannot be made whose numbers meet in one place.

use foldhash::fast::RandomState;

pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;
pub(crate) type HashSet<T> = std::collections::HashSet<T, RandomState>;
