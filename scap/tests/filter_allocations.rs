//! A filter allocates nothing at an event.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use scap::{
    fields::{Argument, Field, Reference, Registry, Source, Type, Value},
    filter::Filter,
};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

struct Fields([Field; 4]);

impl Registry for Fields {
    fn fields(&self) -> &[Field] {
        &self.0
    }
}

struct Event;

impl Source for Event {
    fn values(&self, field: &Reference, each: &mut dyn FnMut(Value<'_>) -> bool) {
        match field.field {
            0 => each(Value::text("/usr/lib/Cat")),
            1 => each(Value::Uint(5)),
            2 => each(Value::Ip([10, 0, 0, 1].into())),
            _ => ["a", "b", "c"].iter().all(|text| each(Value::text(text))),
        };
    }
}

#[test]
fn tests_of_text_and_numbers_allocate_nothing() {
    let field = |name, ty, is_list| Field { name, ty, is_list, argument: Argument::None, about: "" };
    let fields = Fields([
        field("fd.name", Type::Text, false),
        field("evt.num", Type::Uint, false),
        field("fd.net", Type::Net, false),
        field("fdlist.names", Type::Text, true),
    ]);
    for (text, expected) in [
        ("fd.name = /usr/lib/Cat and evt.num < 10 and not evt.num in (1, 2, 3, 4, 6, 7, 8, 9)", true),
        ("fd.name in (a, b, c, d, e, f, g, h, i)", false),
        ("fd.name contains lib and fd.name endswith at and fd.name startswith /usr", true),
        ("fd.name contains a1 or fd.name contains b1 or fd.name contains c1", false),
        ("fd.name icontains CAT", true),
        ("fd.name glob /usr/*/[B-D]?t and fd.name iglob *C*T", true),
        ("fd.name regex '/usr/.*/Ca?t'", true),
        ("fd.name pmatch (/etc, /usr/lib, /v*)", true),
        ("fd.net = 10.0.0.0/8", true),
        ("fdlist.names in (a, b, c) and fdlist.names intersects (c)", true),
        ("basename(fd.name) = Cat and len(fd.name) = 12 and len(fdlist.names) = 3", true),
        ("fd.name = val(fd.name)", true),
    ] {
        let filter = Filter::parse(text, &fields).unwrap();
        // A regular expression makes its cache at its first use.
        assert_eq!(filter.matches(&Event), expected, "{text}");
        let before = ALLOCATIONS.get();
        for _ in 0..10 {
            filter.matches(&Event);
        }
        assert_eq!(ALLOCATIONS.get(), before, "{text}");
    }
}
