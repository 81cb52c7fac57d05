//! Writes. Each prepares its files, then makes one commit that carries the caller's transaction properties
//! and keeps to the caller's rules for conflicts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_schema::Schema;
use async_trait::async_trait;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::{StreamExt, TryStreamExt};
use lance::dataset::transaction::{Operation, Transaction, UpdateMode};
use lance::dataset::{
    CommitBuilder, DeleteBuilder, InsertBuilder, MergeInsertBuilder, UncommittedMergeInsert, WhenMatched,
    WhenNotMatched, WhenNotMatchedBySource, WriteMode, WriteParams,
};
use lance::Dataset;
use lance_io::object_store::ObjectStore;
use lance_select::RowAddrTreeMap;
use lance_table::format::{IndexMetadata, Manifest, Transaction as ManifestTransaction};
use lance_table::io::commit::{
    commit_handler_from_url, CommitError, CommitHandler, ManifestLocation, ManifestNamingScheme, ManifestWriter,
};
use object_store::path::Path;
use serde::Deserialize;
use serde_json::json;

use crate::abi::{self, Answer, Call};
use crate::error::{Code, Error, Result};
use crate::stream::{source, Data};
use crate::table::{limit_files, Table};

/// The rules of a commit, part of every writing request.
#[derive(Deserialize, Default, Clone)]
#[serde(default)]
pub struct CommitOptions {
    /// Kept in the transaction, to be read back with `pixano_transaction`.
    pub properties: HashMap<String, String>,
    /// How often a write that met another one is prepared again; null is the engine's 10.
    pub conflict_retries: Option<u32>,
    /// The version that the commit must directly follow.
    pub expected_version: Option<u64>,
    pub stream: u64,
}

const DEFAULT_RETRIES: u32 = 10;

impl CommitOptions {
    fn retries(&self) -> u32 {
        match self.expected_version {
            Some(_) => 0,
            None => self.conflict_retries.unwrap_or(DEFAULT_RETRIES),
        }
    }

    fn check(&self, table: &Table, dataset: &Dataset) -> Result<()> {
        match self.expected_version {
            Some(want) if want != dataset.version_id() => Err(Error::new(
                Code::Conflict,
                format!("table {:?} is at version {}, expected {want}", table.name, dataset.version_id()),
            )),
            _ => Ok(()),
        }
    }
}

/// Commits a prepared transaction and lets the table's reads see it. Returns the new version.
pub async fn commit(
    table: &Table,
    dataset: Arc<Dataset>,
    mut transaction: Transaction,
    affected: Option<RowAddrTreeMap>,
    opts: &CommitOptions,
) -> Result<u64> {
    opts.check(table, &dataset)?;
    if !opts.properties.is_empty() {
        transaction.transaction_properties = Some(Arc::new(opts.properties.clone()));
    }
    let mut builder = CommitBuilder::new(dataset.clone()).with_skip_auto_cleanup(true);
    if let Some(affected) = affected {
        builder = builder.with_affected_rows(affected);
    }
    if let Some(expected) = opts.expected_version {
        let inner = commit_handler_from_url(dataset.uri(), &Some(table.conn.store_params())).await?;
        builder = builder.with_max_retries(1).with_commit_handler(Arc::new(Follows { expected, inner }));
    } else if let Some(retries) = opts.conflict_retries {
        builder = builder.with_max_retries(retries.max(1));
    }
    let committed = builder.execute(transaction).await?;
    let version = committed.version_id();
    table.advance(committed)?;
    Ok(version)
}

/// Lets a commit through only as the direct successor of one version. The engine would otherwise rebase it
/// over compatible commits of others, which its caller has not looked at.
#[derive(Debug)]
struct Follows {
    expected: u64,
    inner: Arc<dyn CommitHandler>,
}

#[async_trait]
impl CommitHandler for Follows {
    async fn resolve_latest_location(&self, base: &Path, store: &ObjectStore) -> lance::Result<ManifestLocation> {
        self.inner.resolve_latest_location(base, store).await
    }

    async fn resolve_version_location(
        &self,
        base: &Path,
        version: u64,
        store: &dyn object_store::ObjectStore,
    ) -> lance::Result<ManifestLocation> {
        self.inner.resolve_version_location(base, version, store).await
    }

    async fn commit(
        &self,
        manifest: &mut Manifest,
        indices: Option<Vec<IndexMetadata>>,
        base: &Path,
        store: &ObjectStore,
        writer: ManifestWriter,
        naming: ManifestNamingScheme,
        transaction: Option<ManifestTransaction>,
    ) -> std::result::Result<ManifestLocation, CommitError> {
        if manifest.version != self.expected + 1 {
            return Err(CommitError::CommitConflict);
        }
        self.inner.commit(manifest, indices, base, store, writer, naming, transaction).await
    }
}

/// Waits before a write is prepared again: a little longer each time, and not the same for all.
async fn back_off(attempt: u32) {
    let jitter =
        u64::from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.subsec_nanos()))
            % 10;
    tokio::time::sleep(Duration::from_millis(u64::from(attempt.min(10)) * 5 + jitter)).await;
}

fn may_repeat(e: &Error) -> bool {
    e.code == Code::Conflict
}

#[derive(Deserialize)]
struct WriteRequest {
    mode: String,
    #[serde(default)]
    opts: CommitOptions,
    #[serde(default)]
    max_rows_per_file: usize,
    #[serde(default)]
    max_bytes_per_file: usize,
}

pub async fn write(call: Call) -> Result<Answer> {
    let r: WriteRequest = call.request()?;
    let table = abi::table(call.handle)?;
    let mode = match r.mode.as_str() {
        "append" => WriteMode::Append,
        "overwrite" => WriteMode::Overwrite,
        other => return Err(Error::invalid(format!("mode {other:?}: want append or overwrite"))),
    };
    let what = format!("{} {:?}", r.mode, table.name);
    let input = source(r.opts.stream, &call.body)?;
    let dataset = table.newest().await?;
    r.opts.check(&table, &dataset)?;
    let mut params = WriteParams {
        mode,
        session: Some(table.conn.session.clone()),
        store_params: Some(table.conn.store_params()),
        skip_auto_cleanup: true,
        ..Default::default()
    };
    limit_files(&mut params, r.max_rows_per_file, r.max_bytes_per_file);
    let counted = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let tally = counted.clone();
    let schema = input.schema.clone();
    let stream = input.into_stream().inspect_ok(move |batch| {
        tally.fetch_add(batch.num_rows() as u64, std::sync::atomic::Ordering::Relaxed);
    });
    let stream: SendableRecordBatchStream = Box::pin(RecordBatchStreamAdapter::new(schema, stream));
    let transaction = InsertBuilder::new(dataset.clone())
        .with_params(&params)
        .execute_uncommitted_stream(stream)
        .await
        .map_err(|e| Error::from(e).context(&what))?;
    let rows = counted.load(std::sync::atomic::Ordering::Relaxed);
    let version = match &transaction.operation {
        // Nothing to add makes no version.
        Operation::Append { fragments } if fragments.is_empty() => dataset.version_id(),
        _ => commit(&table, dataset, transaction, None, &r.opts).await.map_err(|e| e.context(&what))?,
    };
    Answer::json(json!({"version": version, "rows": rows}))
}

#[derive(Deserialize)]
struct MergeRequest {
    on: Vec<String>,
    #[serde(default)]
    update_matched: bool,
    #[serde(default)]
    update_condition: String,
    #[serde(default)]
    insert_missing: bool,
    #[serde(default)]
    delete_missing: bool,
    #[serde(default)]
    delete_condition: String,
    #[serde(default)]
    opts: CommitOptions,
}

impl MergeRequest {
    fn job(&self, dataset: &Arc<Dataset>) -> lance::Result<lance::dataset::MergeInsertJob> {
        let mut builder = MergeInsertBuilder::try_new(dataset.clone(), self.on.clone())?;
        builder.when_matched(match (self.update_matched, self.update_condition.as_str()) {
            (false, _) => WhenMatched::DoNothing,
            (true, "") => WhenMatched::UpdateAll,
            (true, condition) => WhenMatched::update_if(dataset, condition)?,
        });
        builder.when_not_matched(if self.insert_missing {
            WhenNotMatched::InsertAll
        } else {
            WhenNotMatched::DoNothing
        });
        builder.when_not_matched_by_source(match (self.delete_missing, self.delete_condition.as_str()) {
            (false, _) => WhenNotMatchedBySource::Keep,
            (true, "") => WhenNotMatchedBySource::Delete,
            (true, condition) => WhenNotMatchedBySource::delete_if(dataset, condition)?,
        });
        builder.skip_auto_cleanup(true);
        builder.try_build()
    }
}

pub async fn merge_insert(call: Call) -> Result<Answer> {
    let r: MergeRequest = call.request()?;
    let table = abi::table(call.handle)?;
    let what = format!("merge into {:?}", table.name);
    if r.on.is_empty() {
        return Err(Error::invalid(format!("{what}: no key column")));
    }
    let input = source(r.opts.stream, &call.body)?;
    let mut attempts = 0;
    match input.data {
        // A stream is read once, so a conflict is the caller's to deal with.
        Data::Stream(stream) => {
            let dataset = table.newest().await?;
            r.opts.check(&table, &dataset)?;
            let job = r.job(&dataset).map_err(|e| Error::from(e).context(&what))?;
            let merged = job.execute_uncommitted(stream).await.map_err(|e| Error::from(e).context(&what))?;
            finish_merge(&table, dataset, merged, 1, &r.opts).await.map_err(|e| e.context(&what))
        }
        Data::Batches(batches) => loop {
            attempts += 1;
            let dataset = table.newest().await?;
            r.opts.check(&table, &dataset)?;
            let job = r.job(&dataset).map_err(|e| Error::from(e).context(&what))?;
            let merged =
                job.execute_uncommitted_batches(batches.clone()).await.map_err(|e| Error::from(e).context(&what))?;
            match finish_merge(&table, dataset, merged, attempts, &r.opts).await {
                Err(e) if may_repeat(&e) && attempts <= r.opts.retries() => back_off(attempts).await,
                outcome => return outcome.map_err(|e| e.context(&what)),
            }
        },
    }
}

async fn finish_merge(
    table: &Table,
    dataset: Arc<Dataset>,
    merged: UncommittedMergeInsert,
    attempts: u32,
    opts: &CommitOptions,
) -> Result<Answer> {
    let stats = merged.stats;
    let changed = stats.num_inserted_rows + stats.num_updated_rows + stats.num_deleted_rows > 0;
    // A repeated commit of the same files could store a row twice; the loop around prepares it anew instead.
    let once = CommitOptions { conflict_retries: opts.conflict_retries.map(|_| 1), ..opts.clone() };
    let version = match changed {
        true => commit(table, dataset, merged.transaction, merged.affected_rows, &once).await?,
        false => dataset.version_id(),
    };
    Answer::json(json!({
        "version": version,
        "inserted": stats.num_inserted_rows,
        "updated": stats.num_updated_rows,
        "deleted": stats.num_deleted_rows,
        "attempts": attempts,
    }))
}

#[derive(Deserialize)]
struct DeleteRequest {
    #[serde(rename = "where")]
    filter: String,
    #[serde(default)]
    opts: CommitOptions,
}

pub async fn delete(call: Call) -> Result<Answer> {
    let r: DeleteRequest = call.request()?;
    let table = abi::table(call.handle)?;
    let what = format!("delete from {:?}", table.name);
    if r.filter.trim().is_empty() {
        return Err(Error::invalid(format!("{what}: the condition is empty; \"true\" deletes every row")));
    }
    let mut attempts = 0;
    loop {
        attempts += 1;
        let dataset = table.newest().await?;
        r.opts.check(&table, &dataset)?;
        let staged = DeleteBuilder::new(dataset.clone(), r.filter.clone())
            .execute_uncommitted()
            .await
            .map_err(|e| Error::from(e).context(&what))?;
        let deleted = staged.num_deleted_rows;
        if deleted == 0 {
            return Answer::json(json!({"version": dataset.version_id(), "deleted": 0}));
        }
        match commit(&table, dataset, staged.transaction, staged.affected_rows, &r.opts).await {
            Ok(version) => return Answer::json(json!({"version": version, "deleted": deleted})),
            Err(e) if may_repeat(&e) && attempts <= r.opts.retries() => back_off(attempts).await,
            Err(e) => return Err(e.context(&what)),
        }
    }
}

#[derive(Deserialize)]
struct UpdateRequest {
    #[serde(default, rename = "where")]
    filter: String,
    set: Vec<(String, String)>,
    #[serde(default)]
    opts: CommitOptions,
}

/// Updates by expressions: the matching rows, with new values, are written to new files and deleted from
/// the old ones in one commit.
pub async fn update(call: Call) -> Result<Answer> {
    let r: UpdateRequest = call.request()?;
    let table = abi::table(call.handle)?;
    let what = format!("update {:?}", table.name);
    if r.set.is_empty() {
        return Err(Error::invalid(format!("{what}: no column to set")));
    }
    let filter = if r.filter.trim().is_empty() { "true".to_string() } else { r.filter.clone() };
    let mut attempts = 0;
    loop {
        attempts += 1;
        let dataset = table.newest().await?;
        r.opts.check(&table, &dataset)?;
        let outcome = try_update(&table, dataset, &filter, &r).await;
        match outcome {
            Err(e) if may_repeat(&e) && attempts <= r.opts.retries() => back_off(attempts).await,
            Err(e) => return Err(e.context(&what)),
            Ok((version, updated)) => return Answer::json(json!({"version": version, "updated": updated})),
        }
    }
}

async fn try_update(table: &Table, dataset: Arc<Dataset>, filter: &str, r: &UpdateRequest) -> Result<(u64, u64)> {
    let schema = Arc::new(Schema::from(dataset.schema()));
    for (i, (column, _)) in r.set.iter().enumerate() {
        schema.field_with_name(column).map_err(|_| Error::invalid(format!("no column {column:?} to set")))?;
        if r.set[..i].iter().any(|(other, _)| other == column) {
            return Err(Error::invalid(format!("column {column:?} is set twice")));
        }
    }
    let set: HashMap<&str, &str> = r.set.iter().map(|(c, e)| (c.as_str(), e.as_str())).collect();
    let projection: Vec<(&str, String)> = schema
        .fields()
        .iter()
        .map(|f| {
            let name = f.name().as_str();
            (name, set.get(name).map_or_else(|| format!("`{name}`"), |e| (*e).to_string()))
        })
        .collect();
    let projection: Vec<(&str, &str)> = projection.iter().map(|(n, e)| (*n, e.as_str())).collect();

    let staged = DeleteBuilder::new(dataset.clone(), filter).execute_uncommitted().await?;
    if staged.num_deleted_rows == 0 {
        return Ok((dataset.version_id(), 0));
    }
    let Operation::Delete { updated_fragments, deleted_fragment_ids, .. } = staged.transaction.operation else {
        return Err(Error::new(Code::Internal, "a delete was staged as another operation"));
    };

    let mut scan = dataset.scan();
    scan.filter(filter)?;
    scan.project_with_transform(&projection)?;
    let target = schema.clone();
    let rows = scan.try_into_stream().await?.map(move |batch| {
        let batch = batch.map_err(|e| DataFusionError::External(Box::new(e)))?;
        let columns = batch
            .columns()
            .iter()
            .zip(target.fields())
            .map(|(values, field)| arrow_cast::cast(values, field.data_type()))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        Ok(arrow_array::RecordBatch::try_new(target.clone(), columns)?)
    });
    let stream: SendableRecordBatchStream = Box::pin(RecordBatchStreamAdapter::new(schema, rows));
    let params = WriteParams {
        mode: WriteMode::Append,
        session: Some(table.conn.session.clone()),
        store_params: Some(table.conn.store_params()),
        ..Default::default()
    };
    let written = InsertBuilder::new(dataset.clone()).with_params(&params).execute_uncommitted_stream(stream).await?;
    let Operation::Append { fragments: new_fragments } = written.operation else {
        return Err(Error::new(Code::Internal, "an append was staged as another operation"));
    };

    // Indexes on columns that kept their values go on covering the rewritten rows.
    let mut modified = Vec::new();
    for (column, _) in &r.set {
        if let Some(field) = dataset.schema().field(column) {
            collect_ids(field, &mut modified);
        }
    }
    let operation = Operation::Update {
        removed_fragment_ids: deleted_fragment_ids,
        updated_fragments,
        new_fragments,
        fields_modified: vec![],
        compacted_sstables: vec![],
        fields_for_preserving_frag_bitmap: modified,
        update_mode: Some(UpdateMode::RewriteRows),
        inserted_rows_filter: None,
        updated_fragment_offsets: None,
    };
    let transaction = Transaction::new(dataset.version_id(), operation, None);
    let version = commit(table, dataset, transaction, staged.affected_rows, &r.opts).await?;
    Ok((version, staged.num_deleted_rows))
}

fn collect_ids(field: &lance_core::datatypes::Field, ids: &mut Vec<u32>) {
    ids.extend(u32::try_from(field.id));
    for child in &field.children {
        collect_ids(child, ids);
    }
}
