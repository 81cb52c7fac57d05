//! Arrow IPC streams in both directions.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{Schema, SchemaRef};
use bytes::Bytes;

use crate::error::{Error, Result};

/// A stream that holds only a schema, metadata included.
pub fn encode_schema(schema: &Schema) -> Result<Vec<u8>> {
    let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
    writer.finish()?;
    Ok(writer.into_inner()?)
}

/// A stream of one batch.
pub fn encode_batch(batch: &RecordBatch) -> Result<Vec<u8>> {
    let out = Vec::with_capacity(batch.get_array_memory_size() + 4096);
    let mut writer = StreamWriter::try_new(out, batch.schema_ref())?;
    writer.write(batch)?;
    writer.finish()?;
    Ok(writer.into_inner()?)
}

/// The schema and all batches of a stream. The batches share the memory of `data`.
pub fn decode(data: &Bytes) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let mut decoder = StreamDecoder::new();
    let mut buffer = Buffer::from(data.clone());
    let mut batches = Vec::new();
    while !buffer.is_empty() {
        let before = buffer.len();
        match decoder.decode(&mut buffer) {
            Ok(Some(batch)) => batches.push(batch),
            Ok(None) if buffer.len() == before => break,
            Ok(None) => {}
            Err(e) => return Err(Error::from(e).context("arrow stream")),
        }
    }
    let schema = decoder.schema().ok_or_else(|| Error::invalid("arrow stream: no schema message"))?;
    Ok((schema, batches))
}

/// The schema of a stream whose batches do not matter.
pub fn decode_schema(data: &Bytes) -> Result<SchemaRef> {
    Ok(decode(data)?.0)
}

/// Same names, types and nullability, whatever the metadata.
pub fn same_columns(a: &Schema, b: &Schema) -> bool {
    a.fields().len() == b.fields().len()
        && a.fields().iter().zip(b.fields()).all(|(a, b)| {
            a.name() == b.name() && a.data_type().equals_datatype(b.data_type()) && a.is_nullable() == b.is_nullable()
        })
}

/// The batch under another schema of the same columns.
pub fn with_schema(batch: RecordBatch, schema: &Arc<Schema>) -> Result<RecordBatch> {
    Ok(RecordBatch::try_new(schema.clone(), batch.columns().to_vec())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Int64Array;
    use arrow_schema::{DataType, Field};

    #[test]
    fn round_trip() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, false)]));
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(Int64Array::from(vec![1, 2]))]).unwrap();
        let (got, batches) = decode(&Bytes::from(encode_batch(&batch).unwrap())).unwrap();
        assert_eq!(got, schema);
        assert_eq!(batches, vec![batch]);
        let (got, batches) = decode(&Bytes::from(encode_schema(&schema).unwrap())).unwrap();
        assert_eq!(got, schema);
        assert!(batches.is_empty());
    }

    #[test]
    fn a_cut_or_foreign_stream_is_refused() {
        assert!(decode(&Bytes::new()).is_err());
        assert!(decode(&Bytes::from_static(b"not an arrow stream")).is_err());
    }
}
