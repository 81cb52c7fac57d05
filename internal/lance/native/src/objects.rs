//! Plain objects beside the tables, under the connection's URI and with its credentials.

use futures::{StreamExt, TryStreamExt};
use lance_io::object_store::ObjectStore as LanceStore;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use serde::Deserialize;
use serde_json::{json, Value};
use std::sync::Arc;

use crate::abi::{self, Answer, Call};
use crate::connection::Conn;
use crate::error::{Code, Error, Result};

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Request {
    Get {
        path: String,
        offset: Option<u64>,
        length: Option<u64>,
    },
    Head {
        path: String,
    },
    List {
        #[serde(default)]
        prefix: String,
        #[serde(default)]
        recursive: bool,
        #[serde(default)]
        limit: usize,
    },
    Put {
        path: String,
    },
    PutIfAbsent {
        path: String,
    },
    Delete {
        path: String,
    },
}

/// The store of a connection and the place of its URI in it.
pub async fn store(conn: &Conn) -> Result<(Arc<LanceStore>, Path)> {
    let registry = conn.session.store_registry();
    Ok(LanceStore::from_uri_and_params(registry, &conn.uri, &conn.store_params()).await?)
}

fn inside(base: &Path, path: &str, empty_is_fine: bool) -> Result<Path> {
    let bad = |why: &str| Error::invalid(format!("object path {path:?}: {why}"));
    if path.is_empty() && empty_is_fine {
        return Ok(base.clone());
    }
    if path.is_empty() || path.starts_with('/') {
        return Err(bad("want a path relative to the connection"));
    }
    let mut whole = base.clone();
    for part in path.trim_end_matches('/').split('/') {
        if part.is_empty() || part == "." || part == ".." || part.contains('\0') {
            return Err(bad("an empty, \".\" or \"..\" part"));
        }
        whole = whole.join(part);
    }
    Ok(whole)
}

fn relative(base: &Path, path: &Path) -> String {
    let whole = path.as_ref();
    whole.strip_prefix(base.as_ref()).unwrap_or(whole).trim_start_matches('/').to_string()
}

fn describe(base: &Path, meta: &ObjectMeta) -> Value {
    json!({
        "path": relative(base, &meta.location),
        "size": meta.size,
        "modified_ms": meta.last_modified.timestamp_millis(),
        "etag": meta.e_tag,
    })
}

pub async fn objects(call: Call) -> Result<Answer> {
    let r: Request = call.request()?;
    let conn = abi::connection(call.handle)?;
    let (store, base) = store(&conn).await?;
    let inner: &dyn ObjectStore = store.inner.as_ref();
    match r {
        Request::Get { path, offset, length } => {
            let at = |e: object_store::Error| Error::from(e).context(format!("get {path:?}"));
            let range = match (offset, length) {
                (None, None) => None,
                (offset, None) => Some(GetRange::Offset(offset.unwrap_or(0))),
                (offset, Some(length)) => {
                    let start = offset.unwrap_or(0);
                    Some(GetRange::Bounded(start..start.saturating_add(length)))
                }
            };
            let options = GetOptions { range, ..Default::default() };
            let got = inner.get_opts(&inside(&base, &path, false)?, options).await.map_err(at)?;
            Answer::bytes(got.bytes().await.map_err(at)?.into())
        }
        Request::Head { path } => {
            let meta = inner
                .head(&inside(&base, &path, false)?)
                .await
                .map_err(|e| Error::from(e).context(format!("head {path:?}")))?;
            Answer::json(describe(&base, &meta))
        }
        Request::List { prefix, recursive, limit } => {
            let from = inside(&base, &prefix, true)?;
            let at = |e: object_store::Error| Error::from(e).context(format!("list {prefix:?}"));
            let limit = if limit == 0 { usize::MAX } else { limit };
            if conn.local.as_ref().is_some_and(|dir| !dir.exists()) {
                return Answer::json(json!({"objects": [], "prefixes": []}));
            }
            let (mut found, prefixes) = match recursive {
                true => {
                    let found: Vec<ObjectMeta> = inner.list(Some(&from)).take(limit).try_collect().await.map_err(at)?;
                    (found, Vec::new())
                }
                false => {
                    let level = inner.list_with_delimiter(Some(&from)).await.map_err(at)?;
                    (level.objects, level.common_prefixes)
                }
            };
            found.sort_by(|a, b| a.location.cmp(&b.location));
            found.truncate(limit);
            let mut prefixes: Vec<String> = prefixes.iter().map(|p| relative(&base, p)).collect();
            prefixes.sort();
            let objects: Vec<Value> = found.iter().map(|m| describe(&base, m)).collect();
            Answer::json(json!({"objects": objects, "prefixes": prefixes}))
        }
        Request::Put { path } => put(inner, &base, &path, &call, PutMode::Overwrite).await,
        Request::PutIfAbsent { path } => put(inner, &base, &path, &call, PutMode::Create).await,
        Request::Delete { path } => {
            let whole = inside(&base, &path, false)?;
            let at = |e: object_store::Error| Error::from(e).context(format!("delete {path:?}"));
            // Object stores answer alike whether or not there was something to delete.
            if let Err(object_store::Error::NotFound { .. }) = inner.head(&whole).await {
                return Err(Error::new(Code::NotFound, format!("delete {path:?}: no such object")));
            }
            inner.delete(&whole).await.map_err(at)?;
            Answer::none()
        }
    }
}

async fn put(store: &dyn ObjectStore, base: &Path, path: &str, call: &Call, mode: PutMode) -> Result<Answer> {
    let payload = PutPayload::from_bytes(call.body.clone());
    let options = PutOptions { mode, ..Default::default() };
    let done = store
        .put_opts(&inside(base, path, false)?, payload, options)
        .await
        .map_err(|e| Error::from(e).context(format!("put {path:?}")))?;
    Answer::json(json!({"etag": done.e_tag}))
}
