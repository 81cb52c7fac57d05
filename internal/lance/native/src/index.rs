//! Indexes: made, listed, measured, warmed and dropped only on request.

use std::time::Duration;

use lance::index::DatasetIndexExt;
use lancedb::index::scalar::{BTreeIndexBuilder, BitmapIndexBuilder, FtsIndexBuilder, LabelListIndexBuilder};
use lancedb::index::vector::{IvfFlatIndexBuilder, IvfHnswPqIndexBuilder, IvfHnswSqIndexBuilder, IvfPqIndexBuilder};
use lancedb::index::Index;
use serde::Deserialize;
use serde_json::{json, Value};

use crate::abi::{self, Answer, Call};
use crate::error::{Code, Error, Result};
use crate::read::metric;

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Request {
    Create(Box<Create>),
    List,
    Stats { name: String },
    Drop { name: String },
    Prewarm { name: String },
    Wait { names: Vec<String>, timeout_ms: u64 },
}

#[derive(Deserialize)]
struct Create {
    columns: Vec<String>,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default = "yes")]
    replace: bool,
    #[serde(default)]
    metric: String,
    #[serde(default)]
    partitions: u32,
    #[serde(default)]
    sub_vectors: u32,
    #[serde(default)]
    bits: u32,
    #[serde(default)]
    m: u32,
    #[serde(default)]
    ef_construction: u32,
    #[serde(default)]
    sample_rate: u32,
    #[serde(default)]
    max_iterations: u32,
    #[serde(default)]
    fts: Option<Tokenizer>,
}

fn yes() -> bool {
    true
}

/// Options of a full text index; absent ones are the engine's.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Tokenizer {
    tokenizer: Option<String>,
    language: Option<String>,
    lower_case: Option<bool>,
    stem: Option<bool>,
    remove_stop_words: Option<bool>,
    ascii_folding: Option<bool>,
    with_position: Option<bool>,
    max_token_length: Option<usize>,
    ngram_min: Option<u32>,
    ngram_max: Option<u32>,
    prefix_only: Option<bool>,
}

impl Tokenizer {
    fn builder(&self) -> Result<FtsIndexBuilder> {
        let mut b = FtsIndexBuilder::default();
        if let Some(v) = &self.tokenizer {
            if !["simple", "whitespace", "raw", "ngram"].contains(&v.as_str()) {
                return Err(Error::invalid(format!("tokenizer {v:?}: want simple, whitespace, raw or ngram")));
            }
            b = b.base_tokenizer(v.clone());
        }
        if let Some(v) = &self.language {
            b = b.language(v).map_err(|e| Error::invalid(format!("language {v:?}: {e}")))?;
        }
        if let Some(v) = self.lower_case {
            b = b.lower_case(v);
        }
        if let Some(v) = self.stem {
            b = b.stem(v);
        }
        if let Some(v) = self.remove_stop_words {
            b = b.remove_stop_words(v);
        }
        if let Some(v) = self.ascii_folding {
            b = b.ascii_folding(v);
        }
        if let Some(v) = self.with_position {
            b = b.with_position(v);
        }
        if let Some(v) = self.max_token_length {
            b = b.max_token_length((v > 0).then_some(v));
        }
        if let Some(v) = self.ngram_min {
            b = b.ngram_min_length(v);
        }
        if let Some(v) = self.ngram_max {
            b = b.ngram_max_length(v);
        }
        if let Some(v) = self.prefix_only {
            b = b.ngram_prefix_only(v);
        }
        Ok(b)
    }
}

macro_rules! set {
    ($builder:ident, $($value:expr => $method:ident),*) => {{
        $(if $value > 0 { $builder = $builder.$method($value); })*
        $builder
    }};
}

impl Create {
    fn index(&self) -> Result<Index> {
        let distance = if self.metric.is_empty() { metric("l2")? } else { metric(&self.metric)? };
        Ok(match self.kind.as_str() {
            "BTREE" => Index::BTree(BTreeIndexBuilder::default()),
            "BITMAP" => Index::Bitmap(BitmapIndexBuilder::default()),
            "LABEL_LIST" => Index::LabelList(LabelListIndexBuilder::default()),
            "FTS" => Index::FTS(self.fts.as_ref().unwrap_or(&Tokenizer::default()).builder()?),
            "IVF_FLAT" => {
                let mut b = IvfFlatIndexBuilder::default().distance_type(distance);
                Index::IvfFlat(set!(b, self.partitions => num_partitions, self.sample_rate => sample_rate, self.max_iterations => max_iterations))
            }
            "IVF_PQ" => {
                let mut b = IvfPqIndexBuilder::default().distance_type(distance);
                Index::IvfPq(set!(b, self.partitions => num_partitions, self.sample_rate => sample_rate, self.max_iterations => max_iterations,
                    self.sub_vectors => num_sub_vectors, self.bits => num_bits))
            }
            "IVF_HNSW_SQ" => {
                let mut b = IvfHnswSqIndexBuilder::default().distance_type(distance);
                Index::IvfHnswSq(set!(b, self.partitions => num_partitions, self.sample_rate => sample_rate, self.max_iterations => max_iterations,
                    self.m => num_edges, self.ef_construction => ef_construction))
            }
            "IVF_HNSW_PQ" => {
                let mut b = IvfHnswPqIndexBuilder::default().distance_type(distance);
                Index::IvfHnswPq(set!(b, self.partitions => num_partitions, self.sample_rate => sample_rate, self.max_iterations => max_iterations,
                    self.m => num_edges, self.ef_construction => ef_construction, self.sub_vectors => num_sub_vectors, self.bits => num_bits))
            }
            other => {
                return Err(Error::invalid(format!(
                    "index type {other:?}: want BTREE, BITMAP, LABEL_LIST, FTS, IVF_FLAT, IVF_PQ, IVF_HNSW_SQ or IVF_HNSW_PQ"
                )))
            }
        })
    }
}

pub async fn index(call: Call) -> Result<Answer> {
    let r: Request = call.request()?;
    let table = abi::table(call.handle)?;
    let missing = |name: &str| Error::new(Code::NotFound, format!("table {:?} has no index {name:?}", table.name));
    match r {
        Request::Create(r) => {
            let what = format!("create a {} index on {:?} of {:?}", r.kind, r.columns, table.name);
            table.newest().await?;
            let before = table.inner.list_indices().await?;
            let mut builder = table.inner.create_index(&r.columns, r.index()?).replace(r.replace);
            if !r.name.is_empty() {
                builder = builder.name(r.name.clone());
            }
            builder.execute().await.map_err(|e| Error::from(e).context(&what))?;
            let after = table.inner.list_indices().await?;
            let name = match r.name.as_str() {
                "" => after
                    .iter()
                    .find(|i| {
                        !before.iter().any(|b| b.index_uuid == i.index_uuid && b.name == i.name)
                            && i.columns == r.columns
                    })
                    .or_else(|| after.iter().find(|i| i.columns == r.columns))
                    .map(|i| i.name.clone())
                    .unwrap_or_default(),
                name => name.to_string(),
            };
            Answer::json(json!({"name": name, "version": table.dataset().await?.version_id()}))
        }
        Request::List => {
            let indexes: Vec<Value> = table
                .inner
                .list_indices()
                .await?
                .iter()
                .map(|i| json!({"name": i.name, "type": i.index_type.to_string(), "columns": i.columns}))
                .collect();
            Answer::json(json!({"indexes": indexes}))
        }
        Request::Stats { name } => {
            let stats = table.inner.index_stats(&name).await?.ok_or_else(|| missing(&name))?;
            // The engine's own text has what its typed form leaves out, such as the loss of k-means.
            let details: Value =
                serde_json::from_str(&table.dataset().await?.index_statistics(&name).await?).unwrap_or_default();
            Answer::json(json!({
                "indexed_rows": stats.num_indexed_rows,
                "unindexed_rows": stats.num_unindexed_rows,
                "type": stats.index_type.to_string(),
                "metric": stats.distance_type.map(|d| d.to_string()).unwrap_or_default(),
                "num_indices": stats.num_indices,
                "loss": details["indices"][0]["loss"],
            }))
        }
        Request::Drop { name } => {
            let known = table.inner.list_indices().await?.iter().any(|i| i.name == name);
            if !known {
                return Err(missing(&name));
            }
            table.inner.drop_index(&name).await.map_err(|e| Error::from(e).context(format!("drop index {name:?}")))?;
            Answer::json(json!({"version": table.dataset().await?.version_id()}))
        }
        Request::Prewarm { name } => {
            table
                .inner
                .prewarm_index(&name)
                .await
                .map_err(|e| Error::from(e).context(format!("prewarm index {name:?}")))?;
            Answer::none()
        }
        Request::Wait { names, timeout_ms } => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            table.inner.wait_for_index(&names, Duration::from_millis(timeout_ms)).await?;
            Answer::none()
        }
    }
}
