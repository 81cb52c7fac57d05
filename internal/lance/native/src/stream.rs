//! Data on its way in: a body that came with the call, or a stream that the caller goes on pushing into
//! from another thread while a write consumes it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt;
use lancedb::data::scannable::Scannable;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::abi::{self, Answer, Call, Object};
use crate::error::{Code, Error, Result};
use crate::ipc;

/// The two ends of an input stream.
pub struct Input {
    schema: SchemaRef,
    sender: tokio::sync::Mutex<Option<mpsc::Sender<RecordBatch>>>,
    receiver: Mutex<Option<mpsc::Receiver<RecordBatch>>>,
    /// Set by `finish`: the end of the data, or why there is none. A stream whose sender merely went away was aborted.
    outcome: Arc<OnceLock<std::result::Result<(), String>>>,
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Request {
    Open {
        #[serde(default)]
        capacity: usize,
    },
    Push,
    Finish {
        error: Option<String>,
    },
}

pub async fn stream(call: Call) -> Result<Answer> {
    match call.request()? {
        Request::Open { capacity } => open(&call, capacity),
        Request::Push => push(&call).await,
        Request::Finish { error } => finish(&call, error).await,
    }
}

fn open(call: &Call, capacity: usize) -> Result<Answer> {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    let input = Input {
        schema: ipc::decode_schema(&call.body)?,
        sender: tokio::sync::Mutex::new(Some(sender)),
        receiver: Mutex::new(Some(receiver)),
        outcome: Arc::default(),
    };
    Ok(Answer::default().with_handle(abi::register(Object::Input(Arc::new(input)))))
}

async fn push(call: &Call) -> Result<Answer> {
    let input = abi::input(call.handle)?;
    let (schema, batches) = ipc::decode(&call.body)?;
    if !ipc::same_columns(&schema, &input.schema) {
        return Err(Error::invalid("input stream: a batch has other columns than the stream"));
    }
    let sender = input.sender.lock().await;
    let gone = || Error::new(Code::Closed, "input stream: nothing reads it any more");
    for batch in batches {
        let batch = ipc::with_schema(batch, &input.schema)?;
        sender.as_ref().ok_or_else(gone)?.send(batch).await.map_err(|_| gone())?;
    }
    Answer::none()
}

async fn finish(call: &Call, error: Option<String>) -> Result<Answer> {
    let input = abi::input(call.handle)?;
    let _ = input.outcome.set(error.map_or(Ok(()), Err));
    input.sender.lock().await.take();
    Answer::none()
}

/// What a write reads.
pub struct Source {
    pub schema: SchemaRef,
    pub data: Data,
}

pub enum Data {
    /// In memory: may be read again when a commit has to be repeated.
    Batches(Vec<RecordBatch>),
    Stream(SendableRecordBatchStream),
}

/// The source that a request names: stream `handle`, or the body when it is 0.
pub fn source(handle: u64, body: &Bytes) -> Result<Source> {
    if handle == 0 {
        let (schema, batches) = ipc::decode(body)?;
        return Ok(Source { schema, data: Data::Batches(batches) });
    }
    let input = abi::input(handle)?;
    let receiver = input.receiver.lock().unwrap_or_else(|e| e.into_inner()).take();
    let receiver = receiver.ok_or_else(|| Error::invalid("input stream: it is being read already"))?;
    let outcome = input.outcome.clone();
    let batches = futures::stream::unfold(Some((receiver, outcome)), |state| async move {
        let (mut receiver, outcome) = state?;
        let failed = |why: &str| {
            let e = Error::new(Code::Closed, format!("input: {why}"));
            Some((Err(DataFusionError::External(Box::new(e))), None))
        };
        match receiver.recv().await {
            Some(batch) => Some((Ok(batch), Some((receiver, outcome)))),
            None => match outcome.get() {
                Some(Ok(())) => None,
                Some(Err(why)) => failed(why),
                None => failed("the stream was closed before it was finished"),
            },
        }
    });
    let schema = input.schema.clone();
    let stream = RecordBatchStreamAdapter::new(schema.clone(), batches.boxed());
    Ok(Source { schema, data: Data::Stream(Box::pin(stream)) })
}

impl Source {
    /// As a stream of the engine's plans, to be read once.
    pub fn into_stream(self) -> SendableRecordBatchStream {
        match self.data {
            Data::Stream(stream) => stream,
            Data::Batches(batches) => {
                let batches = futures::stream::iter(batches.into_iter().map(Ok));
                Box::pin(RecordBatchStreamAdapter::new(self.schema, batches))
            }
        }
    }

    /// As the engine's table builder wants it.
    pub fn into_scannable(self) -> impl Scannable {
        Piped { schema: self.schema.clone(), stream: Some(self.into_stream()) }
    }
}

struct Piped {
    schema: SchemaRef,
    stream: Option<SendableRecordBatchStream>,
}

impl Scannable for Piped {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn scan_as_stream(&mut self) -> lancedb::arrow::SendableRecordBatchStream {
        use lancedb::arrow::SimpleRecordBatchStream;
        let schema = self.schema.clone();
        let stream: Pin<Box<dyn futures::Stream<Item = lancedb::Result<RecordBatch>> + Send>> = match self.stream.take()
        {
            Some(stream) => stream.map(|batch| batch.map_err(Into::into)).boxed(),
            None => futures::stream::once(async {
                Err(lancedb::Error::InvalidInput { message: "an input stream is read once".into() })
            })
            .boxed(),
        };
        Box::pin(SimpleRecordBatchStream { schema, stream })
    }
}
