//! Queries, and the readers that stream their results.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, RecordBatch};
use arrow_schema::{DataType, Schema};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use lance::dataset::scanner::ColumnOrdering;
use lance::dataset::ProjectionRequest;
use lance_index::scalar::inverted::query::{FtsQuery, MatchQuery, MultiMatchQuery, Operator, PhraseQuery};
use lance_index::scalar::FullTextSearchQuery;
use lancedb::query::{ExecutableQuery, QueryBase, QueryExecutionOptions, Select, VectorQuery};
use lancedb::rerankers::rrf::RRFReranker;
use lancedb::DistanceType;
use serde::Deserialize;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, Mutex};
use tokio::task::AbortHandle;
use tokio::time::{timeout_at, Instant};

use crate::abi::{self, Answer, Call, Object, FLAG_END};
use crate::damage;
use crate::error::{Code, Error, Result};
use crate::ipc;
use crate::sort::{self, Key, Sorted};
use crate::table::Table;

/// A running query. A task reads one batch ahead of the caller and encodes it.
pub struct Reader {
    batches: Mutex<mpsc::Receiver<Result<Vec<u8>>>>,
    producer: AbortHandle,
    stop: Stop,
    deadline: Option<Instant>,
}

/// Tells code that does not yield that nobody waits for its result any more.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a reader reads.
pub struct Batches {
    pub stream: BoxStream<'static, Result<RecordBatch>>,
    /// The table that they come from, where an error should be explained with its files.
    pub table: Option<Arc<Table>>,
    /// When to give up.
    pub deadline: Option<Instant>,
    pub stop: Stop,
}

impl Batches {
    fn of(table: Arc<Table>, stream: BoxStream<'static, Result<RecordBatch>>) -> Self {
        Self { stream, table: Some(table), deadline: None, stop: Stop::default() }
    }

    /// Has `runtime` produce them, and answers with a new reader and their schema.
    pub fn register(self, runtime: &Runtime, schema: &Schema) -> Result<Answer> {
        let answer = Answer::bytes(ipc::encode_schema(schema)?)?;
        Ok(answer.with_handle(abi::register(Object::Reader(Reader::start(runtime, self)))))
    }
}

impl Reader {
    fn start(runtime: &Runtime, batches: Batches) -> Arc<Self> {
        let Batches { mut stream, table, deadline, stop } = batches;
        let (sender, receiver) = mpsc::channel(1);
        let producer = runtime.spawn(async move {
            loop {
                let next = std::panic::AssertUnwindSafe(stream.next()).catch_unwind().await;
                let item = match next {
                    Ok(None) => break,
                    Ok(Some(Ok(batch))) if batch.num_rows() == 0 => continue,
                    Ok(Some(batch)) => batch.and_then(|batch| ipc::encode_batch(&batch)),
                    Err(payload) => Err(Error::new(Code::Panic, abi::panic_message(payload))),
                };
                let item = match (item, &table) {
                    (Err(e), Some(table)) if e.code == Code::Panic => {
                        Err(damage::explain_read(table, e.context(format!("query {:?}", table.name))).await)
                    }
                    (Err(e), Some(table)) => Err(damage::explain_read(table, e).await),
                    (item, _) => item,
                };
                let failed = item.is_err();
                if sender.send(item).await.is_err() || failed {
                    break;
                }
            }
        });
        Arc::new(Self { batches: Mutex::new(receiver), producer: producer.abort_handle(), stop, deadline })
    }

    /// The next batch, encoded. The time limit is kept here, by a thread that the producer cannot occupy.
    async fn next(&self) -> Result<Option<Vec<u8>>> {
        let mut batches = self.batches.lock().await;
        let next = match self.deadline {
            None => batches.recv().await,
            Some(at) => timeout_at(at, batches.recv()).await.map_err(|_| {
                self.stop();
                Error::new(Code::Cancelled, "the query ran longer than its time limit")
            })?,
        };
        next.transpose()
    }

    pub fn stop(&self) {
        self.stop.0.store(true, Ordering::Relaxed);
        self.producer.abort();
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop();
    }
}

pub async fn read(call: Call) -> Result<Answer> {
    match abi::reader(call.handle)?.next().await? {
        Some(batch) => Answer::bytes(batch),
        None => Ok(Answer { flags: FLAG_END, ..Answer::default() }),
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Query {
    #[serde(rename = "where")]
    filter: String,
    columns: Option<Vec<String>>,
    exprs: Option<Vec<(String, String)>>,
    order_by: Vec<Order>,
    limit: Option<usize>,
    offset: Option<usize>,
    with_row_id: bool,
    row_ids: Option<Vec<u64>>,
    batch_rows: u32,
    postfilter: bool,
    fast_search: bool,
    vector: Option<Vector>,
    fts: Option<Fts>,
    hybrid: Option<Hybrid>,
}

#[derive(Deserialize)]
struct Order {
    column: String,
    #[serde(default)]
    descending: bool,
    #[serde(default)]
    nulls_first: bool,
}

#[derive(Deserialize)]
struct Vector {
    #[serde(default)]
    column: String,
    count: usize,
    dim: usize,
    #[serde(default)]
    metric: String,
    #[serde(default)]
    exact: bool,
    #[serde(default)]
    nprobes: usize,
    #[serde(default)]
    ef: usize,
    #[serde(default)]
    refine_factor: u32,
    lower_bound: Option<f32>,
    upper_bound: Option<f32>,
}

#[derive(Deserialize)]
struct Fts {
    query: String,
    #[serde(default)]
    columns: Vec<String>,
    fuzziness: Option<u32>,
    #[serde(default)]
    operator: String,
    #[serde(default)]
    phrase: bool,
    boost: Option<f32>,
}

/// Rows of a batch when the caller does not say. Lance's own; lancedb's is 1024, which for a scan means eight times as
/// many messages to make and to read.
const BATCH_ROWS: u32 = 8192;

#[derive(Deserialize)]
struct Hybrid {
    rrf_k: Option<f32>,
}

/// The constant of reciprocal-rank fusion, from the paper that introduced it (Cormack et al., 2009).
const RRF_K: f32 = 60.0;

pub fn metric(name: &str) -> Result<DistanceType> {
    match name {
        "l2" => Ok(DistanceType::L2),
        "cosine" => Ok(DistanceType::Cosine),
        "dot" => Ok(DistanceType::Dot),
        other => Err(Error::invalid(format!("metric {other:?}: want l2, cosine or dot"))),
    }
}

impl Fts {
    fn query(&self) -> Result<FullTextSearchQuery> {
        let operator = match self.operator.as_str() {
            "" | "or" => Operator::Or,
            "and" => Operator::And,
            other => return Err(Error::invalid(format!("operator {other:?}: want or, and"))),
        };
        let leaf = |column: Option<String>| {
            MatchQuery::new(self.query.clone())
                .with_column(column)
                .with_fuzziness(Some(self.fuzziness.unwrap_or(0)))
                .with_operator(operator)
                .with_boost(self.boost.unwrap_or(1.0))
        };
        let query = match (self.phrase, self.columns.as_slice()) {
            (true, []) => FtsQuery::Phrase(PhraseQuery::new(self.query.clone())),
            (true, [column]) => {
                FtsQuery::Phrase(PhraseQuery::new(self.query.clone()).with_column(Some(column.clone())))
            }
            (true, _) => return Err(Error::invalid("a phrase is searched in one column")),
            (false, []) => FtsQuery::Match(leaf(None)),
            (false, [column]) => FtsQuery::Match(leaf(Some(column.clone()))),
            (false, columns) => FtsQuery::MultiMatch(MultiMatchQuery {
                match_queries: columns.iter().map(|c| leaf(Some(c.clone()))).collect(),
            }),
        };
        Ok(FullTextSearchQuery::new_query(query))
    }
}

impl Query {
    fn select(&self) -> Result<Select> {
        match (&self.columns, &self.exprs) {
            (Some(_), Some(_)) => Err(Error::invalid("columns and exprs exclude each other")),
            (Some(columns), None) => Ok(Select::Columns(columns.clone())),
            (None, Some(exprs)) => Ok(Select::Dynamic(exprs.clone())),
            (None, None) => Ok(Select::All),
        }
    }

    fn apply<Q: QueryBase>(&self, mut query: Q) -> Result<Q> {
        query = query.select(self.select()?);
        if !self.filter.is_empty() {
            query = query.only_if(&self.filter);
        }
        if let Some(limit) = self.limit {
            query = query.limit(limit);
        }
        if let Some(offset) = self.offset {
            query = query.offset(offset);
        }
        if self.with_row_id {
            query = query.with_row_id();
        }
        if self.postfilter {
            query = query.postfilter();
        }
        if self.fast_search {
            query = query.fast_search();
        }
        if !self.order_by.is_empty() {
            let order = self
                .order_by
                .iter()
                .map(|o| ColumnOrdering {
                    ascending: !o.descending,
                    nulls_first: o.nulls_first,
                    column_name: o.column.clone(),
                })
                .collect();
            query = query.order_by(Some(order));
        }
        if let Some(fts) = &self.fts {
            query = query.full_text_search(fts.query()?);
        }
        Ok(query)
    }

    /// The query as a sorted scan, where it is a plain one with an order.
    async fn sorted(&self, table: &Table) -> Result<Option<Sorted>> {
        if self.order_by.is_empty() || self.vector.is_some() || self.fts.is_some() {
            return Ok(None);
        }
        let dataset = table.dataset().await?;
        let paths = |columns: &[String]| -> Vec<(String, String)> {
            columns.iter().map(|column| (column.clone(), sort::quote(column))).collect()
        };
        let output = match self.select()? {
            Select::Dynamic(exprs) => exprs,
            Select::Columns(columns) => paths(&columns),
            _ => paths(&dataset.schema().fields.iter().map(|f| f.name.clone()).collect::<Vec<_>>()),
        };
        let keys = self.order_by.iter().map(|o| Key {
            column: o.column.clone(),
            descending: o.descending,
            nulls_first: o.nulls_first,
        });
        Ok(Some(Sorted {
            keys: keys.collect(),
            dataset,
            filter: self.filter.clone(),
            output,
            limit: self.limit,
            offset: self.offset.unwrap_or(0),
            with_row_id: self.with_row_id,
            batch_rows: self.batch_rows as usize,
        }))
    }

    fn options(&self) -> QueryExecutionOptions {
        let mut options = QueryExecutionOptions::default();
        options.max_batch_length = if self.batch_rows > 0 { self.batch_rows } else { BATCH_ROWS };
        options
    }

    /// The vector query, or none for a plain one.
    async fn vector(&self, table: &Table, body: &Bytes) -> Result<Option<VectorQuery>> {
        let Some(v) = &self.vector else { return Ok(None) };
        let values: Vec<f32> = body.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        if v.count == 0
            || v.dim == 0
            || v.count.checked_mul(v.dim) != Some(values.len())
            || !body.len().is_multiple_of(4)
        {
            return Err(Error::invalid(format!(
                "query vectors: {} values, want {} vectors of {} values",
                values.len(),
                v.count,
                v.dim
            )));
        }
        if values.iter().any(|x| !x.is_finite()) {
            return Err(Error::invalid("query vectors: a value is not finite"));
        }
        let schema = Schema::from(table.dataset().await?.schema());
        let (column, item, dim) = vector_column(&schema, &v.column, &table.name)?;
        if dim != v.dim {
            return Err(Error::invalid(format!(
                "query vector has {} values, column {column:?} of table {:?} holds vectors of {dim}",
                v.dim, table.name
            )));
        }
        let mut vectors = values.chunks_exact(v.dim).map(|chunk| -> Result<ArrayRef> {
            let values: ArrayRef = Arc::new(Float32Array::from(chunk.to_vec()));
            Ok(arrow_cast::cast(&values, &item)?)
        });
        let plain = self.apply(table.inner.query())?;
        let mut query =
            plain.nearest_to(vectors.next().transpose()?.ok_or_else(|| Error::invalid("no query vector"))?)?;
        for vector in vectors {
            query = query.add_query_vector(vector?)?;
        }
        query = query.column(&column);
        if !v.metric.is_empty() {
            query = query.distance_type(metric(&v.metric)?);
        }
        if v.exact {
            query = query.bypass_vector_index();
        }
        if v.nprobes > 0 {
            query = query.nprobes(v.nprobes)?;
        }
        if v.ef > 0 {
            query = query.ef(v.ef);
        }
        if v.refine_factor > 0 {
            query = query.refine_factor(v.refine_factor);
        }
        if v.lower_bound.is_some() || v.upper_bound.is_some() {
            query = query.distance_range(v.lower_bound, v.upper_bound);
        }
        if self.fts.is_some() {
            let k = self.hybrid.as_ref().and_then(|h| h.rrf_k).unwrap_or(RRF_K);
            query = query.rerank(Arc::new(RRFReranker::new(k)));
        }
        Ok(Some(query))
    }
}

/// Name, element type and dimension of the vector column meant: the one named, or the only one there is.
fn vector_column(schema: &Schema, name: &str, table: &str) -> Result<(String, DataType, usize)> {
    let shape = |t: &DataType| match t {
        DataType::FixedSizeList(item, dim) => Some((item.data_type().clone(), *dim as usize)),
        _ => None,
    };
    if name.is_empty() {
        let mut found =
            schema.fields().iter().filter_map(|f| shape(f.data_type()).map(|(t, d)| (f.name().clone(), t, d)));
        return match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (None, _) => Err(Error::invalid(format!("table {table:?} has no vector column"))),
            _ => Err(Error::invalid(format!("table {table:?} has several vector columns: name one"))),
        };
    }
    let field =
        schema.field_with_name(name).map_err(|_| Error::invalid(format!("table {table:?} has no column {name:?}")))?;
    let (item, dim) = shape(field.data_type()).ok_or_else(|| {
        Error::invalid(format!("column {name:?} of table {table:?} holds no vectors but {}", field.data_type()))
    })?;
    Ok((name.to_string(), item, dim))
}

pub async fn query(call: Call) -> Result<Answer> {
    let q: Query = call.request()?;
    let table = abi::table(call.handle)?;
    let what = format!("query {:?}", table.name);
    let at = |e: Error| e.context(&what);
    if let Some(row_ids) = &q.row_ids {
        return take(&table, row_ids, &q).await.map_err(at);
    }
    if let Some(sorted) = q.sorted(&table).await.map_err(at)? {
        let (schema, batches) = sorted.execute().await.map_err(at)?;
        return Batches::of(table, batches).register(abi::runtime()?, &schema);
    }
    let stream = match q.vector(&table, &call.body).await.map_err(at)? {
        Some(query) => query.execute_with_options(q.options()).await,
        None => q.apply(table.inner.query()).map_err(at)?.execute_with_options(q.options()).await,
    }
    .map_err(|e| at(e.into()))?;
    let schema = stream.schema();
    let batches = stream.map(move |batch| batch.map_err(|e| Error::from(e).context(&what))).boxed();
    Batches::of(table, batches).register(abi::runtime()?, &schema)
}

async fn take(table: &Table, row_ids: &[u64], q: &Query) -> Result<Answer> {
    let dataset = table.dataset().await?;
    let schema = Schema::from(dataset.schema());
    let columns: Vec<String> = match &q.columns {
        Some(columns) => columns.clone(),
        None => schema.fields().iter().map(|f| f.name().clone()).collect(),
    };
    if let Some(missing) = columns.iter().find(|c| dataset.schema().field(c).is_none()) {
        return Err(Error::invalid(format!("no column {missing:?}")));
    }
    // The engine panics on rows of fragments that are gone.
    if !dataset.manifest().uses_stable_row_ids() {
        let lengths: HashMap<u64, u64> =
            dataset.fragments().iter().map(|f| (f.id, f.physical_rows.map_or(u64::MAX, |n| n as u64))).collect();
        let known = |id: &&u64| lengths.get(&(*id >> 32)).is_some_and(|rows| *id & 0xffff_ffff < *rows);
        if let Some(unknown) = row_ids.iter().find(|id| !known(id)) {
            return Err(Error::new(Code::NotFound, format!("no row {unknown} in version {}", dataset.version_id())));
        }
    }
    let projection = ProjectionRequest::from_columns(columns, dataset.schema());
    let batch = dataset.take_rows(row_ids, projection).await?;
    let schema = batch.schema();
    let stream = futures::stream::iter([Ok(batch)]).boxed();
    Batches { stream, table: None, deadline: None, stop: Stop::default() }.register(abi::runtime()?, &schema)
}

#[derive(Deserialize)]
struct ExplainRequest {
    query: Query,
    #[serde(default)]
    analyze: bool,
    #[serde(default)]
    verbose: bool,
}

pub async fn explain(call: Call) -> Result<Answer> {
    let r: ExplainRequest = call.request()?;
    let table = abi::table(call.handle)?;
    if let Some(sorted) = r.query.sorted(&table).await? {
        return Answer::bytes(sorted.explain(r.analyze, r.verbose).await?.into_bytes());
    }
    let text = match r.query.vector(&table, &call.body).await? {
        Some(query) if r.analyze => query.analyze_plan().await,
        Some(query) => query.explain_plan(r.verbose).await,
        None if r.analyze => r.query.apply(table.inner.query())?.analyze_plan().await,
        None => r.query.apply(table.inner.query())?.explain_plan(r.verbose).await,
    }
    .map_err(|e| Error::from(e).context(format!("explain {:?}", table.name)))?;
    Answer::bytes(text.into_bytes())
}
