//! Names the damaged file behind an error. The engine's errors on cut files say "failed to fill whole
//! buffer" and no more, and some of its decoders panic; a person needs to know which file to restore.

use std::panic::AssertUnwindSafe;

use futures::{FutureExt, StreamExt, TryStreamExt};
use lance::Dataset;
use lance_io::object_store::ObjectStore;
use lance_table::io::deletion::deletion_file_path;
use object_store::path::Path;

use crate::abi;
use crate::connection::Conn;
use crate::error::{is_torn_struct, Code, Error};
use crate::table::Table;

/// Every Lance file, manifests included, ends in these bytes after 12 bytes of footer.
const LANCE: &[u8] = b"LANC";
/// Lists of deleted rows are Arrow files, or bitmaps that end in nothing special.
const ARROW: &[u8] = b"ARROW1";
const BITMAP: &[u8] = b"";
const FOOTER: u64 = 16;

/// Files looked at: an error is no time to read a footer of each of a million.
const MOST_FILES: usize = 2000;

fn suspicious(code: Code) -> bool {
    matches!(code, Code::Corrupt | Code::Io | Code::Panic | Code::NotFound | Code::Internal | Code::InvalidInput)
}

/// What is wrong with one file, if its size or its end, which should be `magic`, show it.
async fn check(store: &ObjectStore, path: &Path, want: Option<u64>, magic: &[u8]) -> Option<String> {
    let size = match store.size(path).await {
        Ok(size) => size,
        Err(e) => match Error::from(e).code {
            Code::NotFound => return Some("is missing".to_string()),
            _ => return None,
        },
    };
    if let Some(want) = want.filter(|want| *want != size) {
        return Some(format!("has {size} bytes, its manifest says {want}"));
    }
    if size < FOOTER {
        return Some(format!("has {size} bytes, too few for such a file"));
    }
    if magic.is_empty() {
        return None;
    }
    let end = size as usize;
    let tail = store.read_one_range(path, end - magic.len()..end).await.ok()?;
    (tail.as_ref() != magic).then(|| format!("was cut or overwritten: its {size} bytes do not end as such a file does"))
}

/// Adds the damaged file to an error of a call on the table `handle`.
pub async fn explain(handle: u64, error: Error) -> Error {
    if !suspicious(error.code) {
        return error;
    }
    match abi::table(handle) {
        Ok(table) => explain_read(&table, error).await,
        Err(_) => error,
    }
}

/// As `explain`, for a table.
pub async fn explain_read(table: &Table, error: Error) -> Error {
    if !suspicious(error.code) {
        return error;
    }
    let look = async { explain_data(&*table.dataset().await.ok()?, &error).await };
    // What looks for damage must not fail on it.
    AssertUnwindSafe(look).catch_unwind().await.ok().flatten().unwrap_or(error)
}

async fn explain_data(dataset: &Dataset, error: &Error) -> Option<Error> {
    if is_torn_struct(&error.message) {
        return explain_struct(dataset, error).await;
    }
    let store = dataset.object_store(None).await.ok()?;
    let files = dataset.fragments().iter().flat_map(|f| f.files.iter()).take(MOST_FILES);
    for file in files {
        let want = file.file_size_bytes.get().map(u64::from);
        let path = dataset.data_dir().join(file.path.as_str());
        if let Some(wrong) = check(&store, &path, want, LANCE).await {
            let message = format!("{}: data file {} {wrong}", error.message, file.path);
            return Some(Error::new(Code::Corrupt, message));
        }
    }
    for fragment in dataset.fragments().iter().take(MOST_FILES) {
        let Some(deleted) = &fragment.deletion_file else { continue };
        let magic = if deleted.file_type.suffix() == "arrow" { ARROW } else { BITMAP };
        let whole = deletion_file_path(&Path::default(), fragment.id, deleted);
        let Some(name) = whole.filename() else { continue };
        if let Some(wrong) = check(&store, &dataset.deletions_dir().join(name), None, magic).await {
            return Some(Error::new(Code::Corrupt, format!("{}: deletion file {name} {wrong}", error.message)));
        }
    }
    None
}

/// Finds the file of a torn struct column by reading the fragments one by one.
async fn explain_struct(dataset: &Dataset, error: &Error) -> Option<Error> {
    for fragment in dataset.fragments().iter().take(MOST_FILES) {
        let mut scan = dataset.scan();
        scan.with_fragments(vec![fragment.clone()]);
        let outcome = match scan.try_into_stream().await {
            Ok(rows) => rows.try_for_each(|_| async { Ok(()) }).await,
            Err(e) => Err(e),
        };
        if outcome.is_err_and(|e| is_torn_struct(&e.to_string())) {
            let files: Vec<&str> = fragment.files.iter().map(|f| f.path.as_str()).collect();
            let message = format!("{}: in data file {}", error.message, files.join(", "));
            return Some(Error::new(Code::Corrupt, message));
        }
    }
    None
}

/// Adds a damaged newest manifest to an error of opening the table `name`.
pub async fn explain_open(conn: &Conn, name: &str, error: Error) -> Error {
    if !suspicious(error.code) {
        return error;
    }
    let look = async {
        let (store, base) = crate::objects::store(conn).await.ok()?;
        let versions = base.join(format!("{name}.lance")).join("_versions");
        let mut manifests: Vec<(u64, Path)> = store
            .list(Some(versions))
            .filter_map(|found| async move { found.ok() })
            .filter_map(|found| async move { Some((version_of(found.location.filename()?)?, found.location)) })
            .collect()
            .await;
        manifests.sort();
        let (version, path) = manifests.pop()?;
        let wrong = check(&store, &path, None, LANCE).await?;
        let file = path.filename().unwrap_or_default();
        let message = format!("{}: the manifest of version {version}, {file}, {wrong}", error.message);
        Some(Error::new(Code::Corrupt, message))
    };
    AssertUnwindSafe(look).catch_unwind().await.ok().flatten().unwrap_or(error)
}

/// The version in a manifest's name; newer writers count down from the largest number.
fn version_of(name: &str) -> Option<u64> {
    let number: u64 = name.strip_suffix(".manifest")?.parse().ok()?;
    Some(if number > u64::MAX / 2 { u64::MAX - number } else { number })
}

#[cfg(test)]
mod tests {
    use super::version_of;

    #[test]
    fn versions_in_both_naming_schemes() {
        assert_eq!(version_of("7.manifest"), Some(7));
        assert_eq!(version_of("18446744073709551608.manifest"), Some(7));
        assert_eq!(version_of("latest_version_hint.json"), None);
    }
}
