//! A narrow C interface over LanceDB, made for the Go package beside it.
//!
//! Every function but the first few has one signature: a handle, a cancellation token (0: none), a JSON
//! request, a body and a reply to fill. Requests, bodies and what the replies hold are described at each.
//!
//! Ownership: the request and the body belong to the caller and are not looked at after the return. A
//! reply's `data` belongs to the caller and is given back once with `pixano_free`. Handles live until
//! `pixano_close`; a closed or foreign one is an error, never another object.
//!
//! Threads: every function may be called from any thread, also many at once and on one handle. Each
//! blocks its thread until it is done or has been cancelled; the work itself is done by the threads of one
//! runtime, that of SQL by those of a second one. No panic leaves the library.

mod abi;
mod connection;
mod damage;
mod error;
mod index;
mod ipc;
mod log;
mod maintain;
mod objects;
mod read;
mod sort;
mod sql;
mod stream;
mod table;
mod write;

use abi::{Answer, Call, Reply};
use error::{Error, Result};
use serde::Deserialize;
use serde_json::json;

/// The number of this interface.
#[no_mangle]
pub extern "C" fn pixano_abi_version() -> u32 {
    abi::ABI
}

/// Gives back a reply's `data` with its `len` and `cap`. Once; null is fine.
///
/// # Safety
/// The three values are those of one reply of this library, not given back before.
#[no_mangle]
pub unsafe extern "C" fn pixano_free(data: *mut u8, len: u64, cap: u64) {
    if !data.is_null() {
        drop(unsafe { Vec::from_raw_parts(data, len as usize, cap as usize) });
    }
}

/// Cancellation tokens, for one call or several. `op` 0 gives a new one, `call` aside; 1 cancels the calls that run or
/// will run with `call`, without waiting for them; 2 forgets it, which every token needs once.
#[no_mangle]
pub extern "C" fn pixano_call(op: u32, call: u64) -> u64 {
    match op {
        0 => return abi::call_begin(),
        1 => abi::call_cancel(call),
        _ => abi::call_end(call),
    }
    call
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Init {
    log_level: String,
    threads: usize,
    cpu_threads: usize,
    io_core_reservation: Option<i64>,
}

/// Settings of the process, before anything else; later calls change the log level and nothing more.
/// Request `{"log_level","threads","cpu_threads","io_core_reservation"}`, where 0 and a negative
/// reservation leave the engine's choice. Answers the versions of what is inside.
///
/// # Safety
/// `req` points to `req_len` readable bytes and `out` to a writable reply. `log`, where given, may be
/// called from any thread until the process ends.
#[no_mangle]
pub unsafe extern "C" fn pixano_init(req: *const u8, req_len: u64, log: Option<log::Callback>, out: *mut Reply) -> i32 {
    let request = unsafe { abi::copy(req, req_len) };
    let outcome = std::panic::catch_unwind(|| init(&request, log))
        .unwrap_or_else(|payload| Err(Error::new(error::Code::Panic, abi::panic_message(payload))));
    unsafe { abi::answer(out, outcome) }
}

static STARTED: std::sync::Once = std::sync::Once::new();

fn init(request: &[u8], callback: Option<log::Callback>) -> Result<Answer> {
    let r: Init = match request {
        [] => Init::default(),
        text => serde_json::from_slice(text).map_err(|e| Error::invalid(format!("init: {e}")))?,
    };
    STARTED.call_once(|| {
        log::install(callback);
        *abi::THREADS.lock().unwrap_or_else(|e| e.into_inner()) = r.threads;
        // By default the engine keeps two cores for I/O, which on a machine of two leaves one for all decoding.
        let cores = std::thread::available_parallelism().map_or(2, |n| n.get());
        let reserved = match r.io_core_reservation {
            Some(n) if n >= 0 => Some(n as usize),
            _ if cores <= 4 => Some(0),
            _ => None,
        };
        let threads = match r.cpu_threads {
            0 if cores <= 4 => Some(cores),
            0 => None,
            n => Some(n),
        };
        for (name, value) in [("LANCE_IO_CORE_RESERVATION", reserved), ("LANCE_CPU_THREADS", threads)] {
            if let (Some(value), None) = (value, std::env::var_os(name)) {
                std::env::set_var(name, value.to_string());
            }
        }
    });
    log::set_level(&r.log_level);
    Answer::json(json!({
        "abi": abi::ABI,
        "lancedb": "0.41.0",
        "lance": "14.0.2",
        "datafusion": datafusion::DATAFUSION_VERSION,
        "arrow": arrow::ARROW_VERSION,
        "target": option_env!("PIXANO_TARGET").unwrap_or(std::env::consts::ARCH),
        "profile": if cfg!(debug_assertions) { "dev" } else { "release" },
        "source": option_env!("PIXANO_SOURCE_SHA256").unwrap_or(""),
    }))
}

macro_rules! export {
    ($($(#[$doc:meta])* $name:ident => $function:path;)*) => {$(
        $(#[$doc])*
        ///
        /// # Safety
        /// `req` and `body` point to as many readable bytes as said, `out` to a writable reply.
        #[no_mangle]
        pub unsafe extern "C" fn $name(
            handle: u64, call: u64, req: *const u8, req_len: u64, body: *const u8, body_len: u64, out: *mut Reply,
        ) -> i32 {
            unsafe { abi::run((handle, call, req, req_len, body, body_len), out, $function) }
        }
    )*};
}

async fn close(call: Call) -> Result<Answer> {
    abi::unregister(call.handle);
    Answer::none()
}

export! {
    /// Closes any handle. A running scan stops; an input stream that was not finished is aborted. Closing
    /// twice is fine. Calls that run on the handle end first, or with an error.
    pixano_close => close;
    /// Opens a database. Request: uri, storage options, read consistency, cache sizes. Gives a connection.
    pixano_connect => connection::connect;
    /// The names of a connection's tables, sorted.
    pixano_table_names => connection::table_names;
    /// Creates a table from an IPC body or an input stream, also without rows. Gives a table.
    pixano_create_table => connection::create_table;
    /// Opens a table at its newest version, a version or a tag. Gives a table.
    pixano_open_table => connection::open_table;
    /// Drops a table and its files.
    pixano_drop_table => connection::drop_table;
    /// A table's schema with all metadata, as an IPC stream without batches.
    pixano_schema => table::schema;
    /// What is known of a table without reading its rows; sizes and files on request.
    pixano_table_info => table::info;
    /// Replaces schema or field metadata, merges configuration; one commit.
    pixano_set_metadata => table::set_metadata;
    /// Input streams. `op` open, with the schema of an IPC body: gives one; push, with the batches of an IPC body: blocks
    /// while the stream is full; finish: ends it, well or with an error that makes the write fail.
    pixano_stream => stream::stream;
    /// Appends to a table or replaces its rows and schema; one commit.
    pixano_write => write::write;
    /// Updates, inserts and deletes rows by comparing keys with the input; one commit.
    pixano_merge_insert => write::merge_insert;
    /// Sets columns of the matching rows to SQL expressions; one commit.
    pixano_update => write::update;
    /// Deletes the matching rows; one commit, or none where nothing matches.
    pixano_delete => write::delete;
    /// The transactions of a version and of those before it, with their properties.
    pixano_transaction => maintain::transaction;
    /// Makes a version's files durable on a local disk.
    pixano_sync => maintain::sync;
    /// Starts a query: scan, vector, full text, hybrid, or rows by id. Gives a reader and the result's schema.
    pixano_query => read::query;
    /// The next batch of a reader as an IPC stream; flag 1 at the end.
    pixano_read => read::read;
    /// Counts matching rows.
    pixano_count => table::count;
    /// The plan of a query, or its measured execution.
    pixano_explain => read::explain;
    /// Starts one read-only SQL query over the tables given. Gives a reader and the result's schema.
    pixano_sql => sql::sql;
    /// Creates, lists, measures, drops, prewarms and waits for indexes.
    pixano_index => index::index;
    /// Compacts, refreshes indexes, prunes old versions.
    pixano_optimize => maintain::optimize;
    /// Lists, checks out and restores versions; lists and changes tags.
    pixano_versions => maintain::versions;
    /// Adds, alters and drops columns.
    pixano_columns => maintain::columns;
    /// Reads, lists, writes and deletes plain objects under a connection's URI.
    pixano_objects => objects::objects;
}
