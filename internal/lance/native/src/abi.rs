//! What every exported function shares: the reply, the table of handles, the runtime, cancellation and panics.

use std::any::Any;
use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, RwLock};

use bytes::Bytes;
use futures::FutureExt;
use serde::de::DeserializeOwned;
use serde::Serialize;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::connection::Conn;
use crate::damage;
use crate::error::{Code, Error, Result};
use crate::read::Reader;
use crate::stream::Input;
use crate::table::Table;

/// Number of the interface. Both sides hold it; the Go side refuses a library with another one.
pub const ABI: u32 = 2;

/// What a call answers. The callee fills all of it, also on error, when `data` is the message.
#[repr(C)]
pub struct Reply {
    pub code: i32,
    /// Bit 0: the stream has ended.
    pub flags: u32,
    /// A new object, or 0.
    pub handle: u64,
    /// Owned by the caller, who gives it back with `pixano_free`. May be null.
    pub data: *mut u8,
    pub len: u64,
    pub cap: u64,
}

/// End of a result stream.
pub const FLAG_END: u32 = 1;

/// The successful outcome of a call.
#[derive(Default)]
pub struct Answer {
    pub flags: u32,
    pub handle: u64,
    pub data: Vec<u8>,
}

impl Answer {
    pub fn none() -> Result<Self> {
        Ok(Self::default())
    }

    pub fn json(value: impl Serialize) -> Result<Self> {
        Ok(Self { data: to_json(&value)?, ..Self::default() })
    }

    pub fn bytes(data: Vec<u8>) -> Result<Self> {
        Ok(Self { data, ..Self::default() })
    }

    pub fn with_handle(mut self, handle: u64) -> Self {
        self.handle = handle;
        self
    }
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| Error::new(Code::Internal, format!("encode the answer: {e}")))
}

/// One call: its handle and copies of the caller's request and body, so that nothing of the caller's
/// memory is looked at after the call has returned.
pub struct Call {
    pub handle: u64,
    req: Vec<u8>,
    pub body: Bytes,
}

impl Call {
    /// The request, decoded. An empty request is `{}`.
    pub fn request<T: DeserializeOwned>(&self) -> Result<T> {
        let text: &[u8] = if self.req.is_empty() { b"{}" } else { &self.req };
        serde_json::from_slice(text).map_err(|e| Error::invalid(format!("request: {e}")))
    }
}

/// Everything a handle can stand for.
#[derive(Clone)]
pub enum Object {
    Connection(Arc<Conn>),
    Table(Arc<Table>),
    Reader(Arc<Reader>),
    Input(Arc<Input>),
}

static OBJECTS: LazyLock<RwLock<HashMap<u64, Object>>> = LazyLock::new(Default::default);
static TOKENS: LazyLock<RwLock<HashMap<u64, CancellationToken>>> = LazyLock::new(Default::default);
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Registers an object. Handles are never used twice, so a stale one is an error and not another object.
pub fn register(object: Object) -> u64 {
    let handle = NEXT.fetch_add(1, Ordering::Relaxed);
    OBJECTS.write().unwrap_or_else(|e| e.into_inner()).insert(handle, object);
    handle
}

fn lookup(handle: u64, what: &str) -> Result<Object> {
    OBJECTS
        .read()
        .unwrap_or_else(|e| e.into_inner())
        .get(&handle)
        .cloned()
        .ok_or_else(|| Error::new(Code::Closed, format!("no open {what} has handle {handle}")))
}

macro_rules! getter {
    ($name:ident, $variant:ident, $type:ty, $what:literal) => {
        pub fn $name(handle: u64) -> Result<Arc<$type>> {
            match lookup(handle, $what)? {
                Object::$variant(object) => Ok(object),
                _ => Err(Error::invalid(format!("handle {handle} is no {}", $what))),
            }
        }
    };
}
getter!(connection, Connection, Conn, "connection");
getter!(table, Table, Table, "table");
getter!(reader, Reader, Reader, "reader");
getter!(input, Input, Input, "input stream");

/// Forgets a handle; what it stood for goes when the last call that uses it has returned.
pub fn unregister(handle: u64) {
    let object = OBJECTS.write().unwrap_or_else(|e| e.into_inner()).remove(&handle);
    if let Some(object) = object {
        // Dropping a table or a scan may need the runtime.
        let _inside = runtime().map(|r| r.enter());
        if let Object::Reader(reader) = &object {
            reader.stop();
        }
        drop(object);
    }
}

static RUNTIME: OnceLock<std::result::Result<Runtime, String>> = OnceLock::new();
pub static THREADS: Mutex<usize> = Mutex::new(0);

/// The runtime of all calls, made at first use.
pub fn runtime() -> Result<&'static Runtime> {
    started(&RUNTIME, "pixano-lance")
}

/// A runtime, made at its first use with as many threads as the process asked for.
pub fn started(
    runtime: &'static OnceLock<std::result::Result<Runtime, String>>,
    name: &str,
) -> Result<&'static Runtime> {
    runtime
        .get_or_init(|| {
            let wanted = *THREADS.lock().unwrap_or_else(|e| e.into_inner());
            let threads = match wanted {
                0 => std::thread::available_parallelism().map_or(2, |n| n.get()).max(2),
                n => n,
            };
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(threads)
                .thread_name(name)
                // Plans of deeply nested filters recurse; the default of 2 MiB has overflowed on them.
                .thread_stack_size(8 << 20)
                .enable_all()
                .build()
                .map_err(|e| e.to_string())
        })
        .as_ref()
        .map_err(|e| Error::new(Code::Internal, format!("start the threads {name}: {e}")))
}

pub fn call_begin() -> u64 {
    let call = NEXT.fetch_add(1, Ordering::Relaxed);
    TOKENS.write().unwrap_or_else(|e| e.into_inner()).insert(call, CancellationToken::new());
    call
}

pub fn call_cancel(call: u64) {
    if let Some(token) = TOKENS.read().unwrap_or_else(|e| e.into_inner()).get(&call) {
        token.cancel();
    }
}

pub fn call_end(call: u64) {
    TOKENS.write().unwrap_or_else(|e| e.into_inner()).remove(&call);
}

pub fn panic_message(payload: Box<dyn Any + Send>) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|s| (*s).to_string())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown cause".to_string())
}

/// Copies a caller's buffer.
///
/// # Safety
/// `data` points to `len` readable bytes, or `len` is 0.
pub unsafe fn copy(data: *const u8, len: u64) -> Vec<u8> {
    if data.is_null() || len == 0 {
        return Vec::new();
    }
    unsafe { std::slice::from_raw_parts(data, len as usize) }.to_vec()
}

/// Writes the outcome into the caller's reply and returns its code.
///
/// # Safety
/// `out` points to a `Reply` that may be written.
pub unsafe fn answer(out: *mut Reply, outcome: Result<Answer>) -> i32 {
    let (code, flags, handle, mut data) = match outcome {
        Ok(a) => (0, a.flags, a.handle, a.data),
        Err(e) => (e.code as i32, 0, 0, e.message.into_bytes()),
    };
    let (ptr, len, cap) = if data.is_empty() {
        (std::ptr::null_mut(), 0, 0)
    } else {
        let parts = (data.as_mut_ptr(), data.len() as u64, data.capacity() as u64);
        std::mem::forget(data);
        parts
    };
    unsafe { out.write(Reply { code, flags, handle, data: ptr, len, cap }) };
    code
}

/// Runs one exported function: copies its arguments, drives its future on the runtime while the calling
/// thread waits, stops it when the call is cancelled, and turns panics into errors.
///
/// A cancelled future is waited for until it has stopped, so nothing of it goes on after the return. One
/// that finished first answers as if it had not been cancelled: a commit that landed is never hidden.
///
/// # Safety
/// The pointers are those of the interface: readable buffers of the given lengths and a writable reply.
pub unsafe fn run<F>(
    arguments: (u64, u64, *const u8, u64, *const u8, u64),
    out: *mut Reply,
    function: impl FnOnce(Call) -> F,
) -> i32
where
    F: Future<Output = Result<Answer>> + Send + 'static,
{
    let (handle, call, req, req_len, body, body_len) = arguments;
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let (req, body) = unsafe { (copy(req, req_len), Bytes::from(copy(body, body_len))) };
        let token = match call {
            0 => None,
            _ => TOKENS.read().unwrap_or_else(|e| e.into_inner()).get(&call).cloned(),
        };
        if token.as_ref().is_some_and(|t| t.is_cancelled()) {
            return Err(Error::cancelled());
        }
        let runtime = runtime()?;
        let future = function(Call { handle, req, body });
        let mut task = runtime.spawn(async move {
            let outcome = AssertUnwindSafe(future).catch_unwind().await;
            match outcome.unwrap_or_else(|payload| Err(Error::new(Code::Panic, panic_message(payload)))) {
                Err(e) => Err(damage::explain(handle, e).await),
                answer => answer,
            }
        });
        let joined = runtime.block_on(async {
            let Some(token) = token else { return task.await };
            tokio::select! {
                joined = &mut task => joined,
                () = token.cancelled() => {
                    task.abort();
                    task.await
                }
            }
        });
        match joined {
            Ok(outcome) => outcome,
            Err(e) if e.is_panic() => Err(Error::new(Code::Panic, panic_message(e.into_panic()))),
            Err(_) => Err(Error::cancelled()),
        }
    }))
    .unwrap_or_else(|payload| Err(Error::new(Code::Panic, panic_message(payload))));
    unsafe { answer(out, outcome) }
}
