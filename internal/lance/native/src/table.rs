//! A table handle: its schema, state, metadata and counts.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use lance::dataset::transaction::{Operation, Transaction, UpdateMap, UpdateMapEntry};
use lance::dataset::WriteParams;
use lance::Dataset;
use serde::Deserialize;
use serde_json::json;

use crate::abi::{self, Answer, Call};
use crate::connection::Conn;
use crate::error::{Code, Error, Result};
use crate::ipc;
use crate::write::{commit, CommitOptions};

/// An open table. It follows the newest version or stays at one, as its connection and `pixano_versions` say.
pub struct Table {
    pub name: String,
    pub inner: lancedb::Table,
    pub conn: Arc<Conn>,
    /// Files that a sync has already made durable; files of a table never change once written.
    pub synced: Mutex<HashSet<PathBuf>>,
}

impl Table {
    pub fn new(name: String, inner: lancedb::Table, conn: Arc<Conn>) -> Result<Self> {
        let table = Self { name, inner, conn, synced: Mutex::default() };
        match table.inner.dataset() {
            Some(_) => Ok(table),
            None => Err(table.not_native()),
        }
    }

    fn not_native(&self) -> Error {
        Error::new(Code::Unsupported, format!("table {:?} is no native table", self.name))
    }

    /// The version that reads see.
    pub async fn dataset(&self) -> Result<Arc<Dataset>> {
        Ok(self.inner.dataset().ok_or_else(|| self.not_native())?.get().await?)
    }

    /// The newest version, as every write starts from; refused on a table checked out at a version.
    pub async fn newest(&self) -> Result<Arc<Dataset>> {
        let wrapper = self.inner.dataset().ok_or_else(|| self.not_native())?;
        if let Some(version) = wrapper.time_travel_version() {
            return Err(Error::invalid(format!(
                "table {:?} is checked out at version {version}: check out the latest one before writing",
                self.name
            )));
        }
        let mut dataset = (*wrapper.get().await?).clone();
        dataset.checkout_latest().await?;
        Ok(Arc::new(dataset))
    }

    /// Makes a version that was just committed the one that reads of this handle see.
    pub fn advance(&self, dataset: Dataset) -> Result<()> {
        self.inner.dataset().ok_or_else(|| self.not_native())?.update(dataset);
        Ok(())
    }
}

pub fn limit_files(params: &mut WriteParams, rows: usize, bytes: usize) {
    if rows > 0 {
        params.max_rows_per_file = rows;
    }
    if bytes > 0 {
        params.max_bytes_per_file = bytes;
    }
}

pub async fn schema(call: Call) -> Result<Answer> {
    let table = abi::table(call.handle)?;
    let dataset = table.dataset().await?;
    Answer::bytes(ipc::encode_schema(&arrow_schema::Schema::from(dataset.schema()))?)
}

#[derive(Deserialize)]
struct CountRequest {
    #[serde(default, rename = "where")]
    filter: String,
}

pub async fn count(call: Call) -> Result<Answer> {
    let r: CountRequest = call.request()?;
    let table = abi::table(call.handle)?;
    let filter = (!r.filter.is_empty()).then_some(r.filter);
    let rows =
        table.inner.count_rows(filter).await.map_err(|e| Error::from(e).context(format!("count {:?}", table.name)))?;
    Answer::json(json!({"rows": rows}))
}

#[derive(Deserialize)]
struct InfoRequest {
    #[serde(default)]
    stats: bool,
}

/// Fragments with fewer rows than this are worth compacting.
const SMALL_FRAGMENT: usize = 100_000;

pub async fn info(call: Call) -> Result<Answer> {
    let r: InfoRequest = call.request()?;
    let table = abi::table(call.handle)?;
    let dataset = table.dataset().await?;
    let manifest = dataset.manifest();
    let arrow = arrow_schema::Schema::from(dataset.schema());
    let columns: Vec<_> = arrow
        .fields()
        .iter()
        .map(|f| json!({"name": f.name(), "nullable": f.is_nullable(), "type": f.data_type().to_string()}))
        .collect();
    let files: Vec<String> =
        dataset.fragments().iter().flat_map(|f| f.files.iter()).map(|f| format!("data/{}", f.path)).collect();
    let primary_key: Vec<_> = dataset.schema().unenforced_primary_key().iter().map(|f| f.name.clone()).collect();
    let mut info = json!({
        "name": table.name,
        "uri": dataset.uri(),
        "version": dataset.version_id(),
        "latest_version": dataset.latest_version_id().await?,
        "storage_version": manifest.data_storage_format.version.to_string(),
        "manifest_paths_v2": dataset.manifest_location().naming_scheme == lance_table::io::commit::ManifestNamingScheme::V2,
        "rows": dataset.count_rows(None).await?,
        "deleted_rows": dataset.count_deleted_rows().await?,
        "fragments": dataset.count_fragments(),
        "data_files": files.len(),
        "small_files": dataset.num_small_files(SMALL_FRAGMENT).await,
        "config": dataset.config(),
        "metadata": dataset.metadata(),
        "schema_metadata": arrow.metadata(),
        "timestamp_ms": dataset.version().timestamp.timestamp_millis(),
        "unenforced_primary_key": primary_key,
        "columns": columns,
        "bytes": null,
    });
    if r.stats {
        let store = dataset.object_store(None).await?;
        let mut bytes = 0;
        for file in dataset.fragments().iter().flat_map(|f| f.files.iter()) {
            // Old writers did not note sizes in the manifest.
            bytes += match file.file_size_bytes.get() {
                Some(size) => u64::from(size),
                None => store.size(&dataset.data_dir().join(file.path.as_str())).await?,
            };
        }
        info["bytes"] = json!(bytes);
        info["files"] = json!(files);
    }
    Answer::json(info)
}

#[derive(Deserialize)]
struct MetadataRequest {
    schema: Option<BTreeMap<String, String>>,
    #[serde(default)]
    fields: HashMap<String, BTreeMap<String, String>>,
    #[serde(default)]
    config: BTreeMap<String, Option<String>>,
    #[serde(default)]
    opts: CommitOptions,
}

fn replacement(values: BTreeMap<String, String>) -> UpdateMap {
    let update_entries = values.into_iter().map(|(key, value)| UpdateMapEntry { key, value: Some(value) }).collect();
    UpdateMap { update_entries, replace: true }
}

/// Schema metadata, field metadata and configuration in one commit.
pub async fn set_metadata(call: Call) -> Result<Answer> {
    let r: MetadataRequest = call.request()?;
    let table = abi::table(call.handle)?;
    let dataset = table.newest().await?;
    let mut fields = HashMap::new();
    for (column, values) in r.fields {
        let field = dataset
            .schema()
            .field(&column)
            .ok_or_else(|| Error::invalid(format!("set metadata of {:?}: no column {column:?}", table.name)))?;
        fields.insert(field.id, replacement(values));
    }
    let operation = Operation::UpdateConfig {
        config_updates: (!r.config.is_empty()).then(|| UpdateMap {
            update_entries: r.config.into_iter().map(|(key, value)| UpdateMapEntry { key, value }).collect(),
            replace: false,
        }),
        table_metadata_updates: None,
        schema_metadata_updates: r.schema.map(replacement),
        field_metadata_updates: fields,
    };
    let transaction = Transaction::new(dataset.version_id(), operation, None);
    let version = commit(&table, dataset, transaction, None, &r.opts).await?;
    Answer::json(json!({"version": version}))
}
