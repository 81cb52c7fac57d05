//! Read-only SQL over exactly the tables given.
//!
//! A query that joins everything with everything computes for hours, and an operator that loops without polling its
//! input never lets go of its thread: neither cancelling nor a time limit would reach it, and on a machine of two
//! cores two such queries would stop every other call. So SQL has threads of its own and waits for them on those of
//! the other calls; each operator gives its thread back after some batches; and the conditions of joins, which loop
//! inside one operator until a pair matches, fail once the query was stopped.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::{FieldRef, Schema, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::SchedulingType;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::DFParser;
use futures::StreamExt;
use lance::datafusion::LanceTableProvider;
use serde::Deserialize;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::{timeout_at, Instant};

use crate::abi::{self, Answer, Call};
use crate::error::{Code, Error, Result};
use crate::read::{Batches, Stop};

static RUNTIME: OnceLock<std::result::Result<Runtime, String>> = OnceLock::new();

/// The threads of SQL, made at its first use.
fn runtime() -> Result<&'static Runtime> {
    abi::started(&RUNTIME, "pixano-sql")
}

/// Ends a task whose caller went away.
struct Abort<T>(JoinHandle<T>);

impl<T> Drop for Abort<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Makes every operator yield, and conditions of joins heed a stop. The engine's own rule looks at sources only, whose
/// batches a join multiplies.
#[derive(Debug)]
struct Yielding(Stop);

impl PhysicalOptimizerRule for Yielding {
    fn name(&self) -> &str {
        "Yielding"
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let node = self.stoppable(node)?;
            if node.properties().scheduling_type == SchedulingType::Cooperative {
                return Ok(Transformed::yes(node));
            }
            Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>))
        })
        .map(|plan| plan.data)
    }

    fn schema_check(&self) -> bool {
        true
    }
}

impl Yielding {
    fn stoppable(&self, node: Arc<dyn ExecutionPlan>) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        let wrap = |filter: &JoinFilter| {
            let condition = Arc::new(Stoppable { condition: filter.expression().clone(), stop: self.0.clone() });
            Some(JoinFilter::new(condition, filter.column_indices().to_vec(), filter.schema().clone()))
        };
        if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
            if let Some(filter) = join.filter() {
                return Ok(Arc::new(NestedLoopJoinExecBuilder::from(join).with_filter(wrap(filter)).build()?));
            }
        }
        if let Some(join) = node.downcast_ref::<HashJoinExec>() {
            if let Some(filter) = join.filter() {
                return join.builder().with_filter(wrap(filter)).build_exec();
            }
        }
        Ok(node)
    }
}

/// A condition that fails once its query was stopped.
#[derive(Debug)]
struct Stoppable {
    condition: Arc<dyn PhysicalExpr>,
    stop: Stop,
}

impl std::fmt::Display for Stoppable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.condition.fmt(f)
    }
}

impl PartialEq for Stoppable {
    fn eq(&self, other: &Self) -> bool {
        self.condition.eq(&other.condition)
    }
}

impl Eq for Stoppable {}

impl Hash for Stoppable {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.condition.hash(state);
    }
}

impl PhysicalExpr for Stoppable {
    fn evaluate(&self, batch: &RecordBatch) -> datafusion::error::Result<ColumnarValue> {
        if self.stop.is_set() {
            return Err(DataFusionError::External(Box::new(Error::cancelled())));
        }
        self.condition.evaluate(batch)
    }

    fn return_field(&self, schema: &Schema) -> datafusion::error::Result<FieldRef> {
        self.condition.return_field(schema)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.condition]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> datafusion::error::Result<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(Self { condition: children.swap_remove(0), stop: self.stop.clone() }))
    }

    fn fmt_sql(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.condition.fmt_sql(f)
    }
}

#[derive(Deserialize)]
struct Request {
    sql: String,
    tables: BTreeMap<String, u64>,
    #[serde(default)]
    batch_rows: usize,
    #[serde(default)]
    memory_bytes: usize,
    #[serde(default)]
    time_ms: u64,
}

/// One read-only query over exactly the tables given. Their handles' versions are what it sees.
pub async fn sql(call: Call) -> Result<Answer> {
    let r: Request = call.request()?;
    let deadline = (r.time_ms > 0).then(|| Instant::now() + Duration::from_millis(r.time_ms));
    let mut running = Abort(runtime()?.spawn(start(r, deadline)));
    let joined = match deadline {
        None => (&mut running.0).await,
        Some(at) => timeout_at(at, &mut running.0)
            .await
            .map_err(|_| Error::new(Code::Cancelled, "sql: the query ran longer than its time limit"))?,
    };
    let started = joined.map_err(|e| match e.try_into_panic() {
        Ok(payload) => Error::new(Code::Panic, abi::panic_message(payload)),
        Err(_) => Error::cancelled(),
    })?;
    // Here and not in the task, whose result is dropped when the call was cancelled meanwhile.
    let (schema, batches) = started?;
    batches.register(runtime()?, &schema)
}

async fn start(r: Request, deadline: Option<Instant>) -> Result<(SchemaRef, Batches)> {
    let statements = DFParser::parse_sql(&r.sql).map_err(|e| Error::from(e).context("sql"))?;
    if statements.len() != 1 {
        return Err(Error::invalid(format!("sql: {} statements, want one query", statements.len())));
    }
    let stop = Stop::default();
    let mut config = SessionConfig::new().with_information_schema(false);
    if r.batch_rows > 0 {
        config = config.with_batch_size(r.batch_rows);
    }
    let mut environment = RuntimeEnvBuilder::new();
    if r.memory_bytes > 0 {
        let largest = NonZeroUsize::MIN.saturating_add(2);
        environment = environment
            .with_memory_pool(Arc::new(TrackConsumersPool::new(FairSpillPool::new(r.memory_bytes), largest)));
    }
    let state = SessionStateBuilder::new_with_default_features()
        .with_config(config)
        .with_runtime_env(Arc::new(environment.build()?))
        .with_physical_optimizer_rule(Arc::new(Yielding(stop.clone())))
        .build();
    let context = SessionContext::new_with_state(state);
    for (name, handle) in &r.tables {
        let dataset = abi::table(*handle)?.dataset().await?;
        let provider = LanceTableProvider::new_with_ordering(dataset, false, false, false);
        context.register_table(datafusion::sql::TableReference::bare(name.clone()), Arc::new(provider))?;
    }
    // Neither data definition nor changes nor SET, COPY, PREPARE and the like.
    let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let at = |e| Error::from(e).context("sql");
    let frame = context.sql_with_options(&r.sql, read_only).await.map_err(at)?;
    let stream = frame.execute_stream().await.map_err(at)?;
    let schema = stream.schema();
    let stream = stream.map(|batch| batch.map_err(|e| Error::from(e).context("sql"))).boxed();
    Ok((schema, Batches { stream, table: None, deadline, stop }))
}
