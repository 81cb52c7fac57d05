//! Upkeep: compaction, pruning, versions and tags, changes of columns, transactions, and syncing to disk.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::Schema;
use lance::dataset::cleanup::CleanupPolicyBuilder;
use lance::dataset::optimize::{compact_files, CompactionOptions};
use lance::dataset::{ColumnAlteration, NewColumnTransform};
use lance::index::DatasetIndexExt;
use lance::Dataset;
use lance_index::optimize::OptimizeOptions;
use serde::Deserialize;
use serde_json::{json, Value};

use crate::abi::{self, Answer, Call};
use crate::error::{Code, Error, Result};
use crate::ipc;
use crate::table::Table;
use crate::write::CommitOptions;

#[derive(Deserialize)]
struct OptimizeRequest {
    compact: Option<Compact>,
    prune: Option<Prune>,
    index: Option<Reindex>,
    #[serde(default)]
    opts: CommitOptions,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Compact {
    target_rows_per_fragment: usize,
    max_rows_per_group: usize,
    materialize_deletions: Option<bool>,
    materialize_deletions_threshold: Option<f32>,
    threads: usize,
}

#[derive(Deserialize)]
struct Prune {
    older_than_ms: Option<i64>,
    keep_versions: Option<usize>,
    #[serde(default)]
    delete_unverified: bool,
    #[serde(default)]
    error_if_tagged: bool,
}

#[derive(Deserialize)]
struct Reindex {
    names: Option<Vec<String>>,
    merge: Option<usize>,
    #[serde(default)]
    retrain: bool,
}

/// Compacts, refreshes indexes and prunes, in this order, whichever are asked for.
pub async fn optimize(call: Call) -> Result<Answer> {
    let r: OptimizeRequest = call.request()?;
    let table = abi::table(call.handle)?;
    let what = format!("optimize {:?}", table.name);
    let at = |e: lance::Error| Error::from(e).context(&what);
    let mut dataset = (*table.newest().await?).clone();
    let properties = (!r.opts.properties.is_empty()).then(|| Arc::new(r.opts.properties.clone()));
    let mut answer = json!({
        "fragments_removed": 0, "fragments_added": 0, "files_removed": 0, "files_added": 0,
        "bytes_removed": 0, "old_versions": 0, "index_updated": false,
    });
    if let Some(c) = r.compact {
        let mut options = CompactionOptions { transaction_properties: properties.clone(), ..Default::default() };
        if c.target_rows_per_fragment > 0 {
            options.target_rows_per_fragment = c.target_rows_per_fragment;
        }
        if c.max_rows_per_group > 0 {
            options.max_rows_per_group = c.max_rows_per_group;
        }
        if c.threads > 0 {
            options.num_threads = Some(c.threads);
        }
        if let Some(v) = c.materialize_deletions {
            options.materialize_deletions = v;
        }
        if let Some(v) = c.materialize_deletions_threshold {
            options.materialize_deletions_threshold = v;
        }
        let metrics = compact_files(&mut dataset, options, None).await.map_err(at)?;
        answer["fragments_removed"] = json!(metrics.fragments_removed);
        answer["fragments_added"] = json!(metrics.fragments_added);
        answer["files_removed"] = json!(metrics.files_removed);
        answer["files_added"] = json!(metrics.files_added);
        table.advance(dataset.clone())?;
    }
    if let Some(i) = r.index {
        let before = dataset.version_id();
        let mut options = OptimizeOptions::default();
        options.num_indices_to_merge = i.merge;
        options.index_names = i.names;
        options.retrain = i.retrain;
        options.transaction_properties = properties;
        dataset.optimize_indices(&options).await.map_err(at)?;
        answer["index_updated"] = json!(dataset.version_id() != before);
        table.advance(dataset.clone())?;
    }
    if let Some(p) = r.prune {
        let mut policy = CleanupPolicyBuilder::default()
            .delete_unverified(p.delete_unverified)
            .error_if_tagged_old_versions(p.error_if_tagged);
        if p.older_than_ms.is_none() && p.keep_versions.is_none() {
            return Err(Error::invalid(format!("{what}: prune wants older_than_ms or keep_versions")));
        }
        if let Some(ms) = p.older_than_ms {
            policy = policy.before_timestamp(chrono::Utc::now() - chrono::Duration::milliseconds(ms));
        }
        if let Some(keep) = p.keep_versions {
            policy = policy.retain_n_versions(&dataset, keep).await.map_err(at)?;
        }
        let stats = dataset.cleanup_with_policy(policy.build()).await.map_err(at)?;
        answer["bytes_removed"] = json!(stats.bytes_removed);
        answer["old_versions"] = json!(stats.old_versions);
    }
    answer["version"] = json!(dataset.version_id());
    Answer::json(answer)
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum VersionsRequest {
    List,
    Current,
    Checkout { version: Option<u64>, tag: Option<String> },
    Latest,
    Restore,
    Tags,
    TagCreate { tag: String, version: u64 },
    TagUpdate { tag: String, version: u64 },
    TagDelete { tag: String },
}

pub async fn versions(call: Call) -> Result<Answer> {
    let r: VersionsRequest = call.request()?;
    let table = abi::table(call.handle)?;
    let what = format!("table {:?}", table.name);
    let at = |e: Error| e.context(&what);
    let tags = |e: lance::Error| Error::from(e).context(&what);
    match r {
        VersionsRequest::List => {
            let versions: Vec<Value> = table
                .dataset()
                .await?
                .versions()
                .await?
                .iter()
                .map(|v| json!({"version": v.version, "timestamp_ms": v.timestamp.timestamp_millis(), "metadata": v.metadata}))
                .collect();
            return Answer::json(json!({"versions": versions}));
        }
        VersionsRequest::Current => {}
        VersionsRequest::Checkout { version: Some(version), tag: None } => {
            table.inner.checkout(version).await.map_err(|e| at(e.into()))?;
        }
        VersionsRequest::Checkout { version: None, tag: Some(tag) } => {
            table.inner.checkout_tag(&tag).await.map_err(|e| at(e.into()))?;
        }
        VersionsRequest::Checkout { .. } => return Err(at(Error::invalid("checkout wants a version or a tag"))),
        VersionsRequest::Latest => table.inner.checkout_latest().await.map_err(|e| at(e.into()))?,
        VersionsRequest::Restore => table.inner.restore().await.map_err(|e| at(e.into()))?,
        VersionsRequest::Tags => {
            let listed = table.dataset().await?.tags().list().await?;
            let tags: serde_json::Map<String, Value> = listed
                .into_iter()
                .map(|(name, t)| (name, json!({"version": t.version, "manifest_bytes": t.manifest_size})))
                .collect();
            return Answer::json(json!({"tags": tags}));
        }
        VersionsRequest::TagCreate { tag, version } => {
            table.dataset().await?.tags().create(&tag, version).await.map_err(tags)?;
        }
        VersionsRequest::TagUpdate { tag, version } => {
            table.dataset().await?.tags().update(&tag, version).await.map_err(tags)?;
        }
        VersionsRequest::TagDelete { tag } => {
            table.dataset().await?.tags().delete(&tag).await.map_err(tags)?;
        }
    }
    Answer::json(json!({"version": table.dataset().await?.version_id()}))
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum ColumnsRequest {
    Add { columns: Vec<(String, String)> },
    AddSchema,
    Alter { alterations: Vec<Alteration> },
    Drop { columns: Vec<String> },
}

#[derive(Deserialize)]
struct Alteration {
    path: String,
    rename: Option<String>,
    nullable: Option<bool>,
    /// Number of the field in the body's schema whose type the column gets.
    data_type: Option<usize>,
}

pub async fn columns(call: Call) -> Result<Answer> {
    let r: ColumnsRequest = call.request()?;
    let table = abi::table(call.handle)?;
    let what = format!("change the columns of {:?}", table.name);
    let mut dataset = (*table.newest().await?).clone();
    let outcome = match r {
        ColumnsRequest::Add { columns } => {
            dataset.add_columns(NewColumnTransform::SqlExpressions(columns), None, None).await
        }
        ColumnsRequest::AddSchema => {
            dataset.add_columns(NewColumnTransform::AllNulls(ipc::decode_schema(&call.body)?), None, None).await
        }
        ColumnsRequest::Alter { alterations } => {
            let types = match call.body.is_empty() {
                true => Arc::new(Schema::empty()),
                false => ipc::decode_schema(&call.body)?,
            };
            let alterations = alterations
                .into_iter()
                .map(|a| {
                    let mut alteration = ColumnAlteration::new(a.path);
                    alteration.rename = a.rename;
                    alteration.nullable = a.nullable;
                    if let Some(number) = a.data_type {
                        let field = types
                            .fields()
                            .get(number)
                            .ok_or_else(|| Error::invalid(format!("no type number {number}")))?;
                        alteration.data_type = Some(field.data_type().clone());
                    }
                    Ok(alteration)
                })
                .collect::<Result<Vec<_>>>()?;
            dataset.alter_columns(&alterations).await
        }
        ColumnsRequest::Drop { columns } => {
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            dataset.drop_columns(&columns).await
        }
    };
    outcome.map_err(|e| Error::from(e).context(&what))?;
    let version = dataset.version_id();
    table.advance(dataset)?;
    Answer::json(json!({"version": version}))
}

#[derive(Deserialize)]
struct TransactionRequest {
    #[serde(default)]
    version: u64,
    #[serde(default)]
    count: u64,
}

pub async fn transaction(call: Call) -> Result<Answer> {
    let r: TransactionRequest = call.request()?;
    let table = abi::table(call.handle)?;
    let dataset = table.dataset().await?;
    let newest = if r.version == 0 { dataset.version_id() } else { r.version };
    let mut found = Vec::new();
    for version in (1..=newest).rev().take(r.count.max(1) as usize) {
        found.push(match dataset.read_version_transaction(version).await {
            Ok(v) => match v.transaction {
                Some(t) => json!({
                    "version": version,
                    "timestamp_ms": v.timestamp.timestamp_millis(),
                    "uuid": t.uuid,
                    "read_version": t.read_version,
                    "operation": t.operation.to_string(),
                    "properties": t.transaction_properties.map(|p| (*p).clone()).unwrap_or_default(),
                }),
                None => json!({"version": version, "timestamp_ms": v.timestamp.timestamp_millis(), "missing": true}),
            },
            Err(e) => match Error::from(e) {
                // Pruned.
                e if e.code == Code::NotFound => json!({"version": version, "missing": true}),
                e => return Err(e.context(format!("transaction of version {version} of {:?}", table.name))),
            },
        });
    }
    Answer::json(json!({"transactions": found}))
}

#[derive(Deserialize)]
struct SyncRequest {
    #[serde(default)]
    version: u64,
}

/// Makes a version durable: its data, deletion, index and transaction files, its manifest, and the
/// directories that name them. The engine itself syncs nothing on a local disk.
pub async fn sync(call: Call) -> Result<Answer> {
    let r: SyncRequest = call.request()?;
    let table = abi::table(call.handle)?;
    let Some(root) = table.conn.local.as_ref().map(|dir| dir.join(format!("{}.lance", table.name))) else {
        return Answer::json(json!({"files": 0}));
    };
    let mut dataset = table.dataset().await?;
    if r.version != 0 && r.version != dataset.version_id() {
        dataset = Arc::new(dataset.checkout_version(r.version).await?);
    }
    let files = version_files(&dataset, &root).await?;
    let table = table.clone();
    let synced = tokio::task::spawn_blocking(move || sync_files(&table, files))
        .await
        .map_err(|e| Error::new(Code::Internal, e.to_string()))??;
    Answer::json(json!({"files": synced}))
}

async fn version_files(dataset: &Dataset, root: &Path) -> Result<Vec<PathBuf>> {
    let manifest = dataset.manifest();
    let mut files = Vec::new();
    for fragment in manifest.fragments.iter() {
        files.extend(fragment.files.iter().filter(|f| f.base_id.is_none()).map(|f| root.join("data").join(&f.path)));
        if let Some(deleted) = &fragment.deletion_file {
            let name = lance_table::io::deletion::deletion_file_path(
                &object_store::path::Path::default(),
                fragment.id,
                deleted,
            );
            files.push(root.join(name.as_ref()));
        }
    }
    for index in dataset.load_indices().await?.iter() {
        let dir = root.join("_indices").join(index.uuid.to_string());
        if let Ok(entries) = std::fs::read_dir(dir) {
            files.extend(entries.flatten().map(|e| e.path()));
        }
    }
    if let Some(transaction) = &manifest.transaction_file {
        files.push(root.join("_transactions").join(transaction));
    }
    // Last: the manifest is what makes the rest reachable.
    if let Some(name) = dataset.manifest_location().path.filename() {
        files.push(root.join("_versions").join(name));
    }
    Ok(files)
}

fn sync_files(table: &Table, files: Vec<PathBuf>) -> Result<usize> {
    let mut synced = table.synced.lock().unwrap_or_else(|e| e.into_inner());
    let mut directories = Vec::new();
    let mut count = 0;
    for file in &files {
        if synced.contains(file) {
            continue;
        }
        let fsync = |path: &Path| File::open(path).and_then(|f| f.sync_all());
        fsync(file).map_err(|e| Error::from(e).context(format!("sync {}", file.display())))?;
        count += 1;
        for directory in file.ancestors().skip(1).take_while(|d| d.starts_with(table_root(file))) {
            if !directories.contains(&directory) {
                directories.push(directory);
            }
        }
    }
    for directory in directories {
        File::open(directory)
            .and_then(|d| d.sync_all())
            .map_err(|e| Error::from(e).context(format!("sync {}", directory.display())))?;
    }
    *synced = files.into_iter().collect::<HashSet<_>>();
    Ok(count)
}

/// The `NAME.lance` directory that a file of a table lies in.
fn table_root(file: &Path) -> &Path {
    file.ancestors().find(|d| d.extension().is_some_and(|e| e == "lance") && d.is_dir()).unwrap_or(file)
}
