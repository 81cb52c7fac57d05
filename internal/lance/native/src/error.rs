//! Errors as a code of the interface and a message. The whole chain of causes is looked at, since what
//! matters (no space, permission, corruption) sits at its end while its head says only "LanceError(IO)".

use arrow_schema::ArrowError;
use datafusion::error::DataFusionError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Code {
    NotFound = 1,
    Exists = 2,
    InvalidInput = 3,
    Conflict = 4,
    Io = 5,
    Unsupported = 6,
    Cancelled = 7,
    Panic = 8,
    Closed = 9,
    Corrupt = 10,
    Permission = 11,
    NoSpace = 12,
    Internal = 13,
}

#[derive(Clone, Debug)]
pub struct Error {
    pub code: Code,
    pub message: String,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidInput, message)
    }

    pub fn cancelled() -> Self {
        Self::new(Code::Cancelled, "cancelled")
    }

    /// Puts what was being done before the message.
    pub fn context(mut self, what: impl std::fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// A chain of causes as one error: the innermost cause that tells decides the code.
    fn from_chain(error: &(dyn std::error::Error + 'static), fallback: Code) -> Self {
        let code = innermost(error);
        let last =
            std::iter::successors(Some(error), |e| e.source()).last().map_or_else(String::new, |e| e.to_string());
        // Engine errors end in the place in its own sources, of no use to a reader.
        let mut message = plain(&error.to_string());
        let last = plain(&last);
        if !message.contains(&last) {
            message = format!("{message}: {last}");
        }
        let code = code.unwrap_or(fallback);
        Self { code: refine(code, &message), message }
    }
}

/// Heads that name the engine's layers and not what happened.
const HEADS: [&str; 12] = [
    "lance error: ",
    "LanceError(IO): ",
    "LanceError(Schema): ",
    "LanceError(Arrow): ",
    "LanceError(Index): ",
    "Invalid user input: ",
    "Invalid input, ",
    "Invalid argument error: ",
    "External error: ",
    "Schema error: ",
    "Error during planning: ",
    "Query Execution error: ",
];

/// The engine's message without layers, places in its sources and dumps of whole schemas.
fn plain(text: &str) -> String {
    let text = strip_locations(text);
    let mut rest = text.as_str();
    while let Some(shorter) = HEADS.iter().find_map(|head| rest.strip_prefix(head)) {
        rest = shorter;
    }
    rest.split(" in schema:\n").next().unwrap_or(rest).to_string()
}

/// Drops ", /path/to/source.rs:12:34" and the request to report a bug.
fn strip_locations(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(".rs:") {
        let head = &rest[..at];
        let start = head.rfind([' ', '(', '\n']).map_or(0, |i| i + 1);
        let tail = &rest[at + 4..];
        let number = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let line = number(tail);
        let column = tail[line..].strip_prefix(':').map_or(0, number);
        let digits = if column > 0 { line + 1 + column } else { line };
        let kept = head[..start].trim_end();
        let kept = kept.strip_suffix("location:").unwrap_or(kept).trim_end();
        out.push_str(kept.strip_suffix(',').unwrap_or(kept));
        rest = &tail[digits..];
    }
    out.push_str(rest);
    out.replace(
        "Encountered internal error. Please file a bug report at https://github.com/lance-format/lance/issues. ",
        "",
    )
}

/// Whether a message is about a struct column whose parts hold more rows than it does, as lancedb 0.17 for Python
/// writes them from slices of tables.
pub fn is_torn_struct(message: &str) -> bool {
    message.contains("children must all have the same length")
}

/// Codes that only the text tells, where the engine has one variant for several causes.
fn refine(code: Code, message: &str) -> Code {
    let lower = message.to_ascii_lowercase();
    if lower.contains("no space left on device") || lower.contains("os error 28)") {
        return Code::NoSpace;
    }
    if lower.contains("permission denied") || lower.contains("os error 13)") {
        return Code::Permission;
    }
    if is_torn_struct(message) {
        return Code::Corrupt;
    }
    if lower.contains("unknown lance storage version") {
        return Code::Unsupported;
    }
    match code {
        Code::Io | Code::Internal if lower.contains("unexpected end of file") || lower.contains("corrupt") => {
            Code::Corrupt
        }
        // The footer or a page lies outside of a file that was cut.
        Code::Io
            if lower.contains("out of range") || lower.contains("range started at") || lower.contains("too small") =>
        {
            Code::Corrupt
        }
        // Asked of the query by its planner, not broken in the engine.
        Code::Internal | Code::Io
            if lower.contains("no field named")
                || lower.contains("schema error")
                || lower.contains("does not exist in the dataset schema")
                || lower.contains("column ") && lower.contains("does not exist") =>
        {
            Code::InvalidInput
        }
        other => other,
    }
}

/// The code of the innermost cause that has one.
fn innermost(error: &(dyn std::error::Error + 'static)) -> Option<Code> {
    std::iter::successors(Some(error), |e| e.source()).filter_map(classify).last()
}

fn classify(error: &(dyn std::error::Error + 'static)) -> Option<Code> {
    if let Some(e) = error.downcast_ref::<lancedb::Error>() {
        return classify_lancedb(e);
    }
    if let Some(e) = error.downcast_ref::<lance::Error>() {
        return classify_lance(e);
    }
    if let Some(e) = error.downcast_ref::<std::io::Error>() {
        return classify_io(e);
    }
    if let Some(e) = error.downcast_ref::<object_store::Error>() {
        return classify_store(e);
    }
    if let Some(e) = error.downcast_ref::<DataFusionError>() {
        return classify_datafusion(e);
    }
    if let Some(e) = error.downcast_ref::<ArrowError>() {
        return classify_arrow(e);
    }
    // An inner error of the bridge itself, on its way through a stream.
    error.downcast_ref::<Error>().map(|e| e.code)
}

fn classify_lancedb(error: &lancedb::Error) -> Option<Code> {
    use lancedb::Error as E;
    Some(match error {
        E::TableNotFound { .. } | E::DatabaseNotFound { .. } | E::IndexNotFound { .. } => Code::NotFound,
        E::TableAlreadyExists { .. } | E::DatabaseAlreadyExists { .. } => Code::Exists,
        E::TableCorrupted { .. } => Code::Corrupt,
        E::InvalidTableName { .. }
        | E::InvalidInput { .. }
        | E::Schema { .. }
        | E::ColumnNotFound { .. }
        | E::ColumnAlreadyExists { .. }
        | E::InvalidExpression { .. }
        | E::NotAComputedColumn { .. }
        | E::NotAMaterializedView { .. } => Code::InvalidInput,
        E::NotSupported { .. } => Code::Unsupported,
        E::CreateDir { source, .. } => return classify_io(source),
        E::External { source } => return innermost(source.as_ref()),
        _ => return None,
    })
}

fn classify_lance(error: &lance::Error) -> Option<Code> {
    use lance::Error as E;
    Some(match error {
        E::InvalidInput { .. }
        | E::SchemaMismatch { .. }
        | E::Schema { .. }
        | E::FieldNotFound { .. }
        | E::InvalidRef { .. }
        | E::Unprocessable { .. } => Code::InvalidInput,
        E::DatasetAlreadyExists { .. } | E::RefConflict { .. } => Code::Exists,
        E::DatasetNotFound { .. }
        | E::NotFound { .. }
        | E::IndexNotFound { .. }
        | E::RefNotFound { .. }
        | E::VersionNotFound { .. } => Code::NotFound,
        E::CorruptFile { .. } => Code::Corrupt,
        E::NotSupported { .. } | E::VersionConflict { .. } => Code::Unsupported,
        E::CommitConflict { .. }
        | E::IncompatibleTransaction { .. }
        | E::RetryableCommitConflict { .. }
        | E::TooMuchWriteContention { .. } => Code::Conflict,
        E::IO { .. } => Code::Io,
        E::DiskCapExceeded { .. } => Code::NoSpace,
        // Transparent: its `source` skips what it holds.
        E::External { source } => return innermost(source.as_ref()),
        E::Shared { source } => return innermost(source.as_ref()),
        _ => return None,
    })
}

fn classify_io(error: &std::io::Error) -> Option<Code> {
    use std::io::ErrorKind as K;
    Some(match error.kind() {
        K::NotFound => Code::NotFound,
        K::PermissionDenied | K::ReadOnlyFilesystem => Code::Permission,
        K::StorageFull | K::QuotaExceeded => Code::NoSpace,
        K::UnexpectedEof | K::InvalidData => Code::Corrupt,
        K::AlreadyExists => Code::Exists,
        _ => Code::Io,
    })
}

fn classify_store(error: &object_store::Error) -> Option<Code> {
    use object_store::Error as E;
    Some(match error {
        E::NotFound { .. } => Code::NotFound,
        E::AlreadyExists { .. } => Code::Exists,
        E::Precondition { .. } => Code::Conflict,
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => Code::Permission,
        E::NotSupported { .. } | E::NotImplemented { .. } => Code::Unsupported,
        E::InvalidPath { .. } => Code::InvalidInput,
        _ => return None,
    })
}

fn classify_datafusion(error: &DataFusionError) -> Option<Code> {
    use DataFusionError as E;
    Some(match error {
        E::SQL(..) | E::Plan(_) | E::SchemaError(..) | E::Configuration(_) => Code::InvalidInput,
        E::NotImplemented(_) => Code::Unsupported,
        E::ResourcesExhausted(_) => Code::NoSpace,
        E::Execution(_) => Code::InvalidInput,
        E::IoError(e) => return classify_io(e),
        E::Context(_, inner) => return classify_datafusion(inner),
        E::Diagnostic(_, inner) => return classify_datafusion(inner),
        E::ArrowError(e, _) => return classify_arrow(e),
        E::External(source) => return innermost(source.as_ref()),
        E::Shared(source) => return classify_datafusion(source),
        _ => return None,
    })
}

fn classify_arrow(error: &ArrowError) -> Option<Code> {
    use ArrowError as E;
    Some(match error {
        E::CastError(_)
        | E::ParseError(_)
        | E::SchemaError(_)
        | E::ComputeError(_)
        | E::DivideByZero
        | E::ArithmeticOverflow(_)
        | E::InvalidArgumentError(_) => Code::InvalidInput,
        E::IpcError(_) => Code::InvalidInput,
        E::NotYetImplemented(_) => Code::Unsupported,
        E::IoError(_, e) => return classify_io(e),
        E::ExternalError(source) => return innermost(source.as_ref()),
        _ => return None,
    })
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<lancedb::Error> for Error {
    fn from(e: lancedb::Error) -> Self {
        Self::from_chain(&e, Code::Internal)
    }
}

impl From<lance::Error> for Error {
    fn from(e: lance::Error) -> Self {
        Self::from_chain(&e, Code::Internal)
    }
}

impl From<DataFusionError> for Error {
    fn from(e: DataFusionError) -> Self {
        Self::from_chain(&e, Code::Internal)
    }
}

impl From<ArrowError> for Error {
    fn from(e: ArrowError) -> Self {
        Self::from_chain(&e, Code::InvalidInput)
    }
}

impl From<object_store::Error> for Error {
    fn from(e: object_store::Error) -> Self {
        Self::from_chain(&e, Code::Io)
    }
}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Self {
        Self::from_chain(&e, Code::Io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_of_the_engine_are_dropped() {
        let got = strip_locations("Not found: a/b, /crates/lance-1.0/src/dataset.rs:12:34");
        assert_eq!(got, "Not found: a/b");
        let got = strip_locations("x, location: src/a.rs:1:2: then y");
        assert_eq!(got, "x: then y");
        assert_eq!(strip_locations("plain"), "plain");
    }

    #[test]
    fn the_innermost_cause_decides() {
        let io = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let e: Error = lance::Error::io_source(Box::new(io)).into();
        assert_eq!(e.code, Code::NoSpace);
    }
}
