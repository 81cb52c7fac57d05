//! Sorted scans. The engine sorts whole rows, which for a page of a table means reading all of it; here a
//! page is found on its sort keys and row ids alone and its rows are fetched afterwards. Rows with equal
//! keys come in storage order.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{RecordBatch, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef, SortOptions};
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{execute_stream, ExecutionPlan};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use lance::dataset::{ProjectionRequest, ROW_ID};
use lance::Dataset;

use crate::error::{Error, Result};

/// Rows up to which fetching by row id is quicker than carrying whole rows through the sort.
const LATE: usize = 65_536;

pub struct Key {
    pub column: String,
    pub descending: bool,
    pub nulls_first: bool,
}

/// A plain query with an order.
pub struct Sorted {
    pub dataset: Arc<Dataset>,
    pub filter: String,
    pub keys: Vec<Key>,
    /// Output columns: name and SQL expression.
    pub output: Vec<(String, String)>,
    pub limit: Option<usize>,
    pub offset: usize,
    pub with_row_id: bool,
    pub batch_rows: usize,
}

/// A path as an SQL expression: `a`.`b`, so that no name is taken for a keyword or folded to lower case.
pub fn quote(path: &str) -> String {
    path.split('.').map(|part| format!("`{part}`")).collect::<Vec<_>>().join(".")
}

impl Sorted {
    fn late(&self) -> bool {
        self.limit.is_some_and(|limit| limit.saturating_add(self.offset) <= LATE)
    }

    fn key_name(number: usize) -> String {
        format!("__sort_key_{number}")
    }

    /// Scan, then sort. The late form carries only keys and row ids.
    async fn plan(&self) -> Result<Arc<dyn ExecutionPlan>> {
        for key in &self.keys {
            if self.dataset.schema().field(&key.column).is_none() {
                return Err(Error::invalid(format!("order by {:?}: no such column", key.column)));
            }
        }
        let mut projection: Vec<(String, String)> =
            self.keys.iter().enumerate().map(|(i, key)| (Self::key_name(i), quote(&key.column))).collect();
        if !self.late() {
            projection.extend(self.output.iter().cloned());
        }
        let projection: Vec<(&str, &str)> = projection.iter().map(|(n, e)| (n.as_str(), e.as_str())).collect();
        let mut scan = self.dataset.scan();
        if !self.filter.is_empty() {
            scan.filter(&self.filter)?;
        }
        scan.project_with_transform(&projection)?;
        scan.with_row_id();
        let input = scan.create_plan().await?;
        let schema = input.schema();
        let mut order = Vec::with_capacity(self.keys.len() + 1);
        for (i, key) in self.keys.iter().enumerate() {
            let options = SortOptions { descending: key.descending, nulls_first: key.nulls_first };
            order.push(PhysicalSortExpr { expr: col(&Self::key_name(i), &schema)?, options });
        }
        order.push(PhysicalSortExpr { expr: col(ROW_ID, &schema)?, options: SortOptions::default() });
        let order = LexOrdering::new(order).ok_or_else(|| Error::invalid("order by: no column"))?;
        let fetch = self.limit.map(|limit| limit.saturating_add(self.offset));
        Ok(Arc::new(SortExec::new(order, input).with_fetch(fetch)))
    }

    pub async fn explain(&self, analyze: bool, verbose: bool) -> Result<String> {
        let plan = self.plan().await?;
        if analyze && self.limit != Some(0) {
            execute_stream(plan.clone(), Arc::default())?.try_for_each(|_| async { Ok(()) }).await?;
        }
        let shown = match analyze {
            true => DisplayableExecutionPlan::with_metrics(plan.as_ref()).indent(verbose).to_string(),
            false => DisplayableExecutionPlan::new(plan.as_ref()).indent(verbose).to_string(),
        };
        let head = if self.late() { "Take: rows by row id, after\n" } else { "" };
        Ok(format!("{head}{shown}"))
    }

    pub async fn execute(self) -> Result<(SchemaRef, BoxStream<'static, Result<RecordBatch>>)> {
        let plan = self.plan().await?;
        // The engine's top-k operator asserts that k is not 0.
        if self.limit == Some(0) {
            return self.fetch(Vec::new()).await;
        }
        let sorted = execute_stream(plan, Arc::default())?;
        if self.late() {
            self.fetch(sorted.try_collect().await?).await
        } else {
            self.strip(sorted)
        }
    }

    /// The rows of a page, whose row ids `sorted` holds in order.
    async fn fetch(self, sorted: Vec<RecordBatch>) -> Result<(SchemaRef, BoxStream<'static, Result<RecordBatch>>)> {
        let mut ids = Vec::new();
        for batch in &sorted {
            let column = batch.column_by_name(ROW_ID).ok_or_else(|| Error::invalid("the sort lost its row ids"))?;
            ids.extend_from_slice(column.as_primitive::<UInt64Type>().values());
        }
        let page: Vec<u64> = ids.into_iter().skip(self.offset).take(self.limit.unwrap_or(usize::MAX)).collect();
        let output = self.output.iter().map(|(n, e)| (n.as_str(), e.as_str()));
        let projection = ProjectionRequest::from_sql(output);
        let mut rows = self.dataset.take_rows(&page, projection).await?;
        if self.with_row_id {
            let mut fields: Vec<_> = rows.schema().fields().iter().cloned().collect();
            fields.push(Arc::new(Field::new(ROW_ID, DataType::UInt64, true)));
            let mut columns = rows.columns().to_vec();
            columns.push(Arc::new(UInt64Array::from(page)));
            let schema = Schema::new_with_metadata(fields, rows.schema().metadata().clone());
            rows = RecordBatch::try_new(Arc::new(schema), columns)?;
        }
        Ok((rows.schema(), pieces(rows, self.batch_rows)))
    }

    /// The output of a sort of whole rows: without keys, and with the offset skipped.
    fn strip(
        self,
        sorted: datafusion::physical_plan::SendableRecordBatchStream,
    ) -> Result<(SchemaRef, BoxStream<'static, Result<RecordBatch>>)> {
        let schema = sorted.schema();
        let mut kept: Vec<usize> = (self.keys.len()..self.keys.len() + self.output.len()).collect();
        if self.with_row_id {
            kept.push(schema.index_of(ROW_ID)?);
        }
        let schema = Arc::new(schema.project(&kept)?);
        let batch_rows = self.batch_rows;
        let mut skip = self.offset;
        let batches = sorted
            .map(move |batch| -> Result<RecordBatch> {
                let batch = batch?.project(&kept)?;
                let skipped = skip.min(batch.num_rows());
                skip -= skipped;
                Ok(batch.slice(skipped, batch.num_rows() - skipped))
            })
            .flat_map(move |batch| match batch {
                Ok(batch) => pieces(batch, batch_rows),
                Err(e) => futures::stream::iter([Err(e)]).boxed(),
            });
        Ok((schema, batches.boxed()))
    }
}

/// A batch cut into batches of at most `rows` rows; 0 leaves it whole.
fn pieces(batch: RecordBatch, rows: usize) -> BoxStream<'static, Result<RecordBatch>> {
    let step = if rows == 0 { batch.num_rows().max(1) } else { rows };
    let starts: Vec<usize> = (0..batch.num_rows()).step_by(step).collect();
    futures::stream::iter(starts.into_iter().map(move |at| Ok(batch.slice(at, step.min(batch.num_rows() - at)))))
        .boxed()
}
