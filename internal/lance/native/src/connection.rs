//! Connections: a directory or object-store prefix with one Lance table per `NAME.lance`.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use lance::dataset::{WriteMode, WriteParams};
use lance::io::{ObjectStoreParams, StorageOptionsAccessor};
use lance::session::Session;
use lance_file::version::LanceFileVersion;
use lancedb::connection::{ConnectBuilder, Connection};
use lancedb::database::CreateTableMode;
use lancedb::table::WriteOptions;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OnceCell;

use crate::abi::{self, Answer, Call, Object};
use crate::damage;
use crate::error::{Code, Error, Result};
use crate::stream::source;
use crate::table::{self, Table};

/// One database. Tables opened through it share its caches.
pub struct Conn {
    pub uri: String,
    /// The directory, where the URI names one of this machine.
    pub local: Option<PathBuf>,
    pub storage_options: HashMap<String, String>,
    pub session: Arc<Session>,
    consistency: Option<Duration>,
    inner: OnceCell<Connection>,
}

#[derive(Deserialize)]
struct ConnectRequest {
    uri: String,
    #[serde(default)]
    storage_options: HashMap<String, String>,
    read_consistency_ms: Option<u64>,
    #[serde(default)]
    index_cache_bytes: usize,
    #[serde(default)]
    metadata_cache_bytes: usize,
}

/// Bytes of decoded indexes kept in memory when the caller does not say.
const INDEX_CACHE: usize = 512 << 20;
/// Bytes of file footers and page tables kept in memory when the caller does not say.
const METADATA_CACHE: usize = 256 << 20;

/// The local path a URI stands for, or none for an object store.
fn local_path(uri: &str) -> Option<PathBuf> {
    if let Some(rest) = uri.strip_prefix("file://") {
        return Some(PathBuf::from(rest));
    }
    (!uri.contains("://")).then(|| PathBuf::from(uri))
}

pub async fn connect(call: Call) -> Result<Answer> {
    let r: ConnectRequest = call.request()?;
    if r.uri.is_empty() {
        return Err(Error::invalid("connect: the uri is empty"));
    }
    let or = |given: usize, default: usize| if given == 0 { default } else { given };
    let conn = Conn {
        local: local_path(&r.uri),
        uri: r.uri,
        storage_options: r.storage_options,
        session: Arc::new(Session::new(
            or(r.index_cache_bytes, INDEX_CACHE),
            or(r.metadata_cache_bytes, METADATA_CACHE),
            Default::default(),
        )),
        consistency: r.read_consistency_ms.map(Duration::from_millis),
        inner: OnceCell::new(),
    };
    if let Some(dir) = &conn.local {
        if dir.is_file() {
            return Err(Error::invalid(format!("connect: {} is a file, want a directory", dir.display())));
        }
    }
    // An object store is contacted here, so that wrong credentials or a wrong bucket are said at once.
    if conn.local.is_none() {
        conn.inner().await?;
    }
    Ok(Answer::default().with_handle(abi::register(Object::Connection(Arc::new(conn)))))
}

impl Conn {
    /// The engine's connection. It makes a missing directory, so it is asked for only where that is meant.
    async fn inner(&self) -> Result<&Connection> {
        self.inner
            .get_or_try_init(|| async {
                let mut builder: ConnectBuilder = lancedb::connect(&self.uri)
                    .session(self.session.clone())
                    .storage_options(self.storage_options.clone());
                if let Some(interval) = self.consistency {
                    builder = builder.read_consistency_interval(interval);
                }
                builder.execute().await.map_err(|e| Error::from(e).context(format!("connect {}", self.uri)))
            })
            .await
    }

    fn missing(&self) -> Option<&Path> {
        self.local.as_deref().filter(|dir| !dir.exists())
    }

    pub fn store_params(&self) -> ObjectStoreParams {
        ObjectStoreParams {
            storage_options_accessor: (!self.storage_options.is_empty())
                .then(|| Arc::new(StorageOptionsAccessor::with_static_options(self.storage_options.clone()))),
            ..Default::default()
        }
    }
}

pub async fn table_names(call: Call) -> Result<Answer> {
    let conn = abi::connection(call.handle)?;
    if conn.missing().is_some() {
        return Answer::json(json!({"names": []}));
    }
    let listed = conn.inner().await?.table_names().execute().await?;
    // A creation that failed leaves a folder without a manifest, which is no table.
    let (store, base) = crate::objects::store(&conn).await?;
    let mut names: Vec<String> = futures::stream::iter(listed)
        .map(|name| {
            let versions = base.clone().join(format!("{name}.lance")).join("_versions");
            let mut found = store.list(Some(versions));
            async move { found.next().await.is_some_and(|first| first.is_ok()).then_some(name) }
        })
        .buffer_unordered(LOOKS)
        .filter_map(|name| async move { name })
        .collect()
        .await;
    names.sort();
    Answer::json(json!({"names": names}))
}

/// Folders looked into at once.
const LOOKS: usize = 16;

#[derive(Deserialize)]
struct CreateRequest {
    name: String,
    #[serde(default)]
    mode: String,
    #[serde(default)]
    storage_version: String,
    #[serde(default)]
    v2_manifest_paths: bool,
    #[serde(default)]
    stream: u64,
    #[serde(default)]
    properties: HashMap<String, String>,
    #[serde(default)]
    max_rows_per_file: usize,
    #[serde(default)]
    max_bytes_per_file: usize,
}

pub fn parse_storage_version(text: &str) -> Result<LanceFileVersion> {
    // 0.1 can no longer be written, "next" is not stable.
    match text {
        "" | "2.0" => Ok(LanceFileVersion::V2_0),
        "2.1" => Ok(LanceFileVersion::V2_1),
        "2.2" => Ok(LanceFileVersion::V2_2),
        other => Err(Error::invalid(format!("storage version {other:?}: want 2.0, 2.1 or 2.2"))),
    }
}

pub async fn create_table(call: Call) -> Result<Answer> {
    let r: CreateRequest = call.request()?;
    let conn = abi::connection(call.handle)?;
    let mut params = WriteParams {
        mode: WriteMode::Create,
        data_storage_version: Some(parse_storage_version(&r.storage_version)?),
        enable_v2_manifest_paths: r.v2_manifest_paths,
        store_params: Some(conn.store_params()),
        session: Some(conn.session.clone()),
        skip_auto_cleanup: true,
        ..Default::default()
    };
    table::limit_files(&mut params, r.max_rows_per_file, r.max_bytes_per_file);
    if !r.properties.is_empty() {
        params = params.with_transaction_properties(r.properties);
    }
    let mode = match r.mode.as_str() {
        "" | "create" => CreateTableMode::Create,
        "overwrite" => {
            params.mode = WriteMode::Overwrite;
            CreateTableMode::Overwrite
        }
        "exist_ok" => CreateTableMode::exist_ok(|request| request),
        other => return Err(Error::invalid(format!("mode {other:?}: want create, overwrite or exist_ok"))),
    };
    let input = source(r.stream, &call.body)?;
    let what = || format!("create table {:?}", r.name);
    let inner = conn
        .inner()
        .await?
        .create_table(&r.name, input.into_scannable())
        .mode(mode)
        .write_options(WriteOptions { lance_write_params: Some(params) })
        .execute()
        .await
        .map_err(|e| Error::from(e).context(what()))?;
    let table = Table::new(r.name.clone(), inner, conn.clone())?;
    let dataset = table.dataset().await?;
    let answer = Answer::json(json!({"version": dataset.version_id(), "rows": dataset.count_rows(None).await?}))?;
    Ok(answer.with_handle(abi::register(Object::Table(Arc::new(table)))))
}

#[derive(Deserialize)]
struct OpenRequest {
    name: String,
    version: Option<u64>,
    tag: Option<String>,
}

pub async fn open_table(call: Call) -> Result<Answer> {
    let r: OpenRequest = call.request()?;
    let conn = abi::connection(call.handle)?;
    if let Some(dir) = conn.missing() {
        return Err(Error::new(Code::NotFound, format!("open table {:?}: no directory {}", r.name, dir.display())));
    }
    let what = || format!("open table {:?}", r.name);
    let opening = async {
        let inner =
            conn.inner().await?.open_table(&r.name).execute().await.map_err(|e| Error::from(e).context(what()))?;
        Ok::<_, Error>(inner)
    };
    // Decoders of manifests panic on some cut ones.
    let opened = AssertUnwindSafe(opening)
        .catch_unwind()
        .await
        .unwrap_or_else(|payload| Err(Error::new(Code::Panic, abi::panic_message(payload)).context(what())));
    let inner = match opened {
        Ok(inner) => inner,
        Err(e) => return Err(damage::explain_open(&conn, &r.name, e).await),
    };
    match (r.version, &r.tag) {
        (Some(_), Some(_)) => return Err(Error::invalid(format!("{}: version and tag exclude each other", what()))),
        (Some(version), None) => inner
            .checkout(version)
            .await
            .map_err(|e| Error::from(e).context(format!("{}, version {version}", what())))?,
        (None, Some(tag)) => {
            inner.checkout_tag(tag).await.map_err(|e| Error::from(e).context(format!("{}, tag {tag:?}", what())))?
        }
        (None, None) => {}
    }
    let table = Table::new(r.name.clone(), inner, conn.clone())?;
    let answer = Answer::json(json!({"version": table.dataset().await?.version_id()}))?;
    Ok(answer.with_handle(abi::register(Object::Table(Arc::new(table)))))
}

#[derive(Deserialize)]
struct DropRequest {
    name: String,
    #[serde(default)]
    ignore_missing: bool,
}

pub async fn drop_table(call: Call) -> Result<Answer> {
    let r: DropRequest = call.request()?;
    let conn = abi::connection(call.handle)?;
    let not_found = || Error::new(Code::NotFound, format!("drop table {:?}: no such table", r.name));
    if conn.missing().is_some() {
        return if r.ignore_missing { Answer::none() } else { Err(not_found()) };
    }
    // The engine answers alike whether or not the directory was there, so the list is asked first.
    let inner = conn.inner().await?;
    if !inner.table_names().execute().await?.contains(&r.name) {
        return if r.ignore_missing { Answer::none() } else { Err(not_found()) };
    }
    inner.drop_table(&r.name, &[]).await.map_err(|e| Error::from(e).context(format!("drop table {:?}", r.name)))?;
    Answer::none()
}
