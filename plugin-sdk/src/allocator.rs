//! The heap of a plugin: an arena that is part of its memory from the start, and then whatever more it needs.
//!
//! In isolation `message`, each message has an instance of its own, and most of what that costs is memory: pages that
//! are touched for the first time, and, dearest of all, memory that grows, which the host's kernel makes known to
//! every core, twice: when it grows, and when the next instance begins with less. Most handlers fit into the arena, and
//! their memory never grows. What is not used of it is never touched, and costs nothing.
//!
//! The standard library's own allocator grows memory at its first allocation.

#![allow(unsafe_code, reason = "a global allocator is raw memory work; talc does it, and is told here where memory is")]

use core::{
    alloc::Layout,
    arch::wasm32::{memory_grow, memory_size},
    ptr::NonNull,
};

use talc::{
    base::{Talc, binning::Binning},
    cell::TalcSyncCell,
    source::Source,
    wasm::WasmBinning,
};

/// Enough for a message of some kilobytes as a tree of values, and its answer.
const ARENA_BYTES: usize = 192 * 1024;

/// WebAssembly Core Specification 2.0, section 4.2.8.
const PAGE_BYTES: usize = 64 * 1024;

/// One less than there can be: the address behind the last one would be zero.
const MAX_PAGES: usize = 65_535;

/// What an allocation may take beyond its own size, whatever its alignment: at most as much again, and the marks of a
/// heap.
const MARKS_BYTES: usize = 256;

/// Zeros, which take no room in the component.
static mut ARENA: [u8; ARENA_BYTES] = [0; ARENA_BYTES];

#[global_allocator]
static HEAP: TalcSyncCell<ArenaFirst, WasmBinning> = TalcSyncCell::new_wasm(ArenaFirst::new());

/// Gives the arena, and memory that has grown when that is full.
#[derive(Debug)]
struct ArenaFirst {
    arena_is_used: bool,
    /// Where the heap ends that grows. The next pages continue it, so that a vector which grows leaves no holes.
    end: Option<NonNull<u8>>,
}

impl ArenaFirst {
    const fn new() -> Self {
        Self { arena_is_used: false, end: None }
    }
}

// SAFETY: it allocates nothing, and answers `Ok` only after it has given memory to the allocator.
unsafe impl Source for ArenaFirst {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        if !talc.source.arena_is_used {
            talc.source.arena_is_used = true;
            // SAFETY: nothing else names the arena, and this happens once.
            return unsafe { talc.claim((&raw mut ARENA).cast(), ARENA_BYTES) }.map(drop).ok_or(());
        }
        let bytes = layout.size().checked_add(layout.align()).and_then(|sum| sum.checked_add(MARKS_BYTES)).ok_or(())?;
        let pages = bytes.div_ceil(PAGE_BYTES);
        if memory_size::<0>().checked_add(pages).is_none_or(|sum| sum > MAX_PAGES) {
            return Err(());
        }
        let before = memory_grow::<0>(pages);
        if before == usize::MAX {
            return Err(());
        }
        let start = (before * PAGE_BYTES) as *mut u8;
        let old_end = talc.source.end.take().filter(|end| end.as_ptr() == start);
        // SAFETY: these pages came into being a moment ago, and nobody else knows of them. They follow the heap that
        // they extend.
        talc.source.end = unsafe {
            match old_end {
                Some(end) => Some(talc.extend(end, start.wrapping_add(pages * PAGE_BYTES))),
                None => talc.claim(start, pages * PAGE_BYTES),
            }
        };
        talc.source.end.map(drop).ok_or(())
    }
}
