//! The engine's log records, given to a callback of the caller or to nobody; never to standard error.

use std::sync::OnceLock;

use log::{Level, LevelFilter, Log, Metadata, Record};

/// `(level, target, target_len, message, message_len)`; level 1 is error and 5 trace. Called from any thread.
pub type Callback = unsafe extern "C" fn(i32, *const u8, u64, *const u8, u64);

static CALLBACK: OnceLock<Callback> = OnceLock::new();

struct Forward;

impl Log for Forward {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record) {
        let Some(callback) = CALLBACK.get() else { return };
        let level = match record.level() {
            Level::Error => 1,
            Level::Warn => 2,
            Level::Info => 3,
            Level::Debug => 4,
            Level::Trace => 5,
        };
        let (target, message) = (record.target(), record.args().to_string());
        unsafe { callback(level, target.as_ptr(), target.len() as u64, message.as_ptr(), message.len() as u64) }
    }

    fn flush(&self) {}
}

static FORWARD: Forward = Forward;

/// Installs the callback. Panics are logged too, in place of the default report on standard error.
pub fn install(callback: Option<Callback>) {
    if let Some(callback) = callback {
        let _ = CALLBACK.set(callback);
        let _ = log::set_logger(&FORWARD);
    }
    std::panic::set_hook(Box::new(|info| log::error!(target: "pixano_lance", "panic: {info}")));
}

/// What is logged from now on; an unknown word is "off".
pub fn set_level(level: &str) {
    log::set_max_level(match level {
        "error" => LevelFilter::Error,
        "warn" => LevelFilter::Warn,
        "info" => LevelFilter::Info,
        "debug" => LevelFilter::Debug,
        "trace" => LevelFilter::Trace,
        _ => LevelFilter::Off,
    });
}
